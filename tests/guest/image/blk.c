/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.c - a small virtio-blk driver. Test guest.
 */
#include "tests/guest/image/blk.h"

#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/intx.h"
#include "tests/guest/image/pci.h"

#define LOOKS_PER_TICK 64
#define PATIENCE_MS    8000 /* unless the command line has patience=MS */

struct blk_options blk_options_from_cmdline(void)
{
	return (struct blk_options){
		.index = (unsigned)option_number("disk", 0),
		.packed = option_is("ring", "packed"),
		.indirect = option_is("indirect", "1"),
		.interrupts = option_is("interrupts", "intx")   ? BLK_INTX
			      : option_is("interrupts", "poll") ? BLK_POLL
								: BLK_MSIX,
		.num_queues = (unsigned)option_number("queues", 1),
		.queue_size = (uint16_t)option_number("size", 0),
	};
}

static uint64_t wanted_features(const struct blk_options *opt)
{
	uint64_t features = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH) |
			    FEATURE(VIRTIO_F_RING_RESET) | FEATURE(VIRTIO_BLK_F_RO);

	if (opt->num_queues > 1)
		features |= FEATURE(VIRTIO_BLK_F_MQ);
	if (opt->packed)
		features |= FEATURE(VIRTIO_F_RING_PACKED);
	if (opt->indirect)
		features |= FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	return features;
}

static bool start_interrupts(struct blk *blk)
{
	const struct virtio *v = &blk->v;

	if (blk->opt.interrupts == BLK_INTX)
		intx_claim(v->slot, v->isr);
	if (blk->opt.interrupts != BLK_MSIX) {
		virtio_msix_disable(v);
		return true;
	}
	if (v->num_vectors < blk->num_queues + 1)
		return check(false, "a vector for each of %u queues: %u vectors", blk->num_queues,
			     v->num_vectors);
	virtio_msix_enable(v);
	write16(v->common + VIRTIO_PCI_COMMON_MSIX, 0);
	return read16(v->common + VIRTIO_PCI_COMMON_MSIX) == 0 ||
	       check(false, "the device takes a vector for configuration changes");
}

bool blk_start(struct blk *blk, const struct blk_options *opt)
{
	struct virtio *v = &blk->v;
	uint64_t wanted = wanted_features(opt);
	int slot = pci_find_virtio(2, opt->index);

	blk->opt = *opt;
	blk->patience_ms = (unsigned)option_number("patience", PATIENCE_MS);
	blk->num_queues = opt->num_queues ?: 1;
	blk->in_flight = blk->strange = 0;
	if (slot < 0 || !virtio_open(v, (unsigned)slot))
		return check(false, "disk %u is there, slot %d", opt->index, slot);
	if (!virtio_reset(v) || !virtio_negotiate(v, wanted & virtio_offered(v)))
		return check(false, "disk %u accepts features 0x%lx", opt->index, v->features);
	if (opt->packed != !!(v->features & FEATURE(VIRTIO_F_RING_PACKED)))
		return check(false, "disk %u offers packed rings", opt->index);
	if (!start_interrupts(blk))
		return false;
	for (unsigned i = 0; i < blk->num_queues; i++) {
		uint16_t vector = opt->interrupts == BLK_MSIX ? blk_vector(i) : NO_VECTOR;

		if (!virtio_queue_start(v, i, opt->queue_size, vector))
			return check(false, "queue %u starts", i);
		blk->seen[i] = blk_interrupts(blk, i);
	}
	for (unsigned i = 0; i < MAX_REQUESTS; i++)
		blk->requests[i].busy = false;
	virtio_driver_ok(v);
	return true;
}

bool blk_stop(struct blk *blk)
{
	bool idle = virtio_reset(&blk->v);

	for (unsigned i = 0; i < MAX_REQUESTS; i++)
		blk->requests[i].busy = false;
	blk->in_flight = 0;
	return idle;
}

uint64_t blk_capacity(const struct blk *blk)
{
	uint64_t capacity;
	uint8_t generation;

	do {
		generation = virtio_generation(&blk->v);
		capacity = read32(blk->v.config);
		capacity |= (uint64_t)read32(blk->v.config + 4) << 32;
	} while (virtio_generation(&blk->v) != generation);
	return capacity;
}

/* --- requests --- */

int blk_submit(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector, void *data,
	       uint32_t bytes, uint32_t piece)
{
	bool writable = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct buffer buffers[MAX_BUFFERS];
	struct blk_request *request;
	unsigned n = 1;
	int number = 0;

	while (number < MAX_REQUESTS && blk->requests[number].busy)
		number++;
	if (number == MAX_REQUESTS || (piece && bytes / piece > MAX_BUFFERS - 2))
		return -1;
	request = &blk->requests[number];
	request->header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	request->status = 0xee;
	buffers[0] = (struct buffer){(uint64_t)&request->header, sizeof(request->header), false};
	for (uint32_t done = 0; done < bytes; n++) {
		uint32_t part = piece && piece < bytes - done ? piece : bytes - done;

		buffers[n] = (struct buffer){(uint64_t)data + done, part, writable};
		done += part;
	}
	buffers[n++] = (struct buffer){(uint64_t)&request->status, 1, true};
	if (!queue_add(&blk->v.queues[queue], buffers, n, (uint16_t)number))
		return -1;
	request->busy = true;
	request->queue = (uint8_t)queue;
	blk->in_flight++;
	return number;
}

unsigned blk_interrupts(const struct blk *blk, unsigned queue)
{
	if (blk->opt.interrupts == BLK_INTX)
		return intx_count();
	return interrupt_counts[VECTOR_MSI + blk_vector(queue)];
}

static void reap_queue(struct blk *blk, unsigned queue)
{
	uint32_t bytes;
	uint16_t token;

	while ((token = queue_take(&blk->v.queues[queue], &bytes)) != NO_TOKEN) {
		if (token >= MAX_REQUESTS || !blk->requests[token].busy ||
		    blk->requests[token].queue != queue) {
			blk->strange++;
			continue;
		}
		blk->requests[token].busy = false;
		blk->requests[token].used_bytes = bytes;
		blk->in_flight--;
	}
}

void blk_reap(struct blk *blk)
{
	for (unsigned i = 0; i < blk->num_queues; i++) {
		unsigned now = blk_interrupts(blk, i);

		if (blk->opt.interrupts != BLK_POLL && now == blk->seen[i])
			continue;
		blk->seen[i] = now;
		reap_queue(blk, i);
	}
}

int blk_wait(struct blk *blk, int number)
{
	struct blk_request *request = &blk->requests[number];
	uint64_t deadline = clock_after_ms(blk->patience_ms);

	for (unsigned i = 1;; i++) {
		blk_reap(blk);
		if (!request->busy)
			return request->status;
		if (i % LOOKS_PER_TICK == 0 && clock_is_past(deadline))
			return -1;
		cpu_pause();
	}
}

bool blk_poll_all(struct blk *blk)
{
	enum blk_interrupts interrupts = blk->opt.interrupts;
	bool done;

	blk->opt.interrupts = BLK_POLL;
	done = blk_wait_all(blk);
	blk->opt.interrupts = interrupts;
	return done;
}

bool blk_wait_all(struct blk *blk)
{
	uint64_t deadline = clock_after_ms(blk->patience_ms);
	unsigned left = blk->in_flight;

	for (unsigned i = 1; blk->in_flight; i++) {
		blk_reap(blk);
		if (blk->in_flight != left) {
			left = blk->in_flight;
			deadline = clock_after_ms(blk->patience_ms);
		}
		if (i % LOOKS_PER_TICK == 0 && clock_is_past(deadline))
			return false;
		cpu_pause();
	}
	return true;
}

int blk_do(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector, void *data,
	   uint32_t bytes)
{
	int number = blk_submit(blk, queue, type, sector, data, bytes, 0);

	if (number < 0)
		return -1;
	queue_kick(&blk->v.queues[queue]);
	return blk_wait(blk, number);
}

/* --- what is written --- */

static uint64_t pattern(uint64_t sector, uint32_t version, uint32_t at)
{
	return sector << 40 ^ (uint64_t)version << 24 ^ at ^ 0x5249000000000000;
}

void pattern_fill(void *data, uint32_t bytes, uint64_t sector, uint32_t version)
{
	uint64_t *words = data;

	for (uint32_t i = 0; i < bytes / 8; i++)
		words[i] = pattern(sector + i / 64, version, i % 64);
}

bool pattern_check(const void *data, uint32_t bytes, uint64_t sector, uint32_t version)
{
	const uint64_t *words = data;

	for (uint32_t i = 0; i < bytes / 8; i++) {
		if (words[i] == pattern(sector + i / 64, version, i % 64))
			continue;
		note("sector %lu, word %u: got 0x%lx, expected 0x%lx", sector + i / 64, i % 64,
		     words[i], pattern(sector + i / 64, version, i % 64));
		return false;
	}
	return true;
}
