/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_setup.c - everything before the first request and after the last: session, memory, rings,
 * and a prepared chain for each request slot. Main thread.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/log.h"

#define PAGE_BYTES     4096u
#define MIN_QUEUE_SIZE 128u
#define CHAIN_DESCS    3u
#define PC_HOLE_START  (3ull << 30)
#define PC_HIGH_START  (4ull << 30)
#define SPLIT_REGIONS  4u
#define HUGE_BYTES     (2ull << 20)
#define CONFIG_BYTES   36u /* to the end of num_queues; a partial read is legal */

static unsigned ring_size(const struct load_options *options)
{
	unsigned need = (options->indirect ? 1 : CHAIN_DESCS) * (options->depth + 1);
	unsigned size = options->queue_size ? options->queue_size : MIN_QUEUE_SIZE;

	while (!options->queue_size && size < need)
		size *= 2;
	if (size < need)
		fatal("--queue-size=%u: depth %u %s needs %u entries", options->queue_size,
		      options->depth,
		      options->indirect ? "with indirect descriptors and a flush"
					: "with direct chains and a flush",
		      need);
	return size;
}

/* Guest memory that all queues need: rings and tables generously, lines, data. */
static uint64_t memory_bytes(const struct load_options *options)
{
	uint64_t size = ring_size(options);
	uint64_t ring = size * (16 + 2 + 8 + CHAIN_DESCS * 16) + PAGE_BYTES;
	uint64_t data = align_up(options->block_bytes + options->misalign, PAGE_BYTES);
	uint64_t slot = sizeof(struct load_line) + data;

	return options->queues * (ring + (options->depth + 1) * slot + 2 * PAGE_BYTES);
}

static void add_region(struct load *load, uint64_t gpa, uint64_t bytes)
{
	uint64_t unit = load->options.huge ? HUGE_BYTES : PAGE_BYTES;
	int ret = fe_memory_add(&load->mem, gpa, align_up(bytes, unit), load->options.huge);

	if (ret)
		fatal("cannot make %llu bytes of guest memory%s: %s", (unsigned long long)bytes,
		      load->options.huge ? " on huge pages (see /proc/sys/vm/nr_hugepages)" : "",
		      strerror(-ret));
}

static void make_memory(struct load *load)
{
	uint64_t bytes = memory_bytes(&load->options);
	uint64_t part = align_up(bytes / SPLIT_REGIONS + HUGE_BYTES, HUGE_BYTES);
	unsigned i;

	fe_memory_init(&load->mem);
	switch (load->options.layout) {
	case LAYOUT_FLAT:
		add_region(load, 0, bytes);
		break;
	case LAYOUT_HIGH:
		add_region(load, PC_HIGH_START, bytes);
		break;
	case LAYOUT_IDENTITY:
		add_region(load, FE_GPA_IDENTITY, bytes);
		break;
	case LAYOUT_PC:
		/* Both halves used: the allocator fills the lower one first. */
		part = align_up(bytes / 2 + HUGE_BYTES, HUGE_BYTES);
		add_region(load, PC_HOLE_START - part, part);
		add_region(load, PC_HIGH_START, part);
		break;
	case LAYOUT_SPLIT:
		for (i = 0; i < SPLIT_REGIONS; i++)
			add_region(load, i * part, part);
		break;
	}
	fe_memory_populate(&load->mem);
}

static void *must_alloc(struct load *load, uint64_t bytes, uint64_t align, uint64_t *gpa)
{
	struct fe_mem piece;

	if (fe_alloc(&load->mem, bytes, align, &piece))
		fatal("guest memory is too small for the requests");
	*gpa = piece.gpa;
	return piece.host;
}

/* Where a queue's requests lie: all lines together, and all data. */
struct slot_memory {
	struct load_line *lines;
	uint64_t lines_gpa;
	uint8_t *data;
	uint64_t data_gpa;
	uint64_t data_stride;
};

void load_lay_down(struct load_queue *q, struct load_slot *slot)
{
	struct fe_buf bufs[CHAIN_DESCS];
	unsigned n = 0, num_out;
	int head;

	bufs[n++] = (struct fe_buf){.gpa = slot->line_gpa, .len = sizeof(slot->line->header)};
	if (slot->op != LOAD_FLUSH)
		bufs[n++] = (struct fe_buf){.gpa = slot->data_gpa, .len = q->block_bytes};
	bufs[n++] = (struct fe_buf){
		.gpa = slot->line_gpa + offsetof(struct load_line, status),
		.len = 1,
	};
	num_out = slot->op == LOAD_WRITE ? 2 : 1;
	head = fe_ring_prepare(&q->ring, bufs, num_out, n - num_out);
	assert(head >= 0); /* ring_size made room for all */
	slot->head = (uint16_t)head;
	q->slot_of[head] = (uint16_t)(slot - q->slots);
}

static void make_slot(struct load_queue *q, const struct slot_memory *at, unsigned i,
		      enum load_op op)
{
	struct load_slot *slot = &q->slots[i];

	slot->op = (uint8_t)op;
	slot->line = &at->lines[i];
	slot->line_gpa = at->lines_gpa + i * sizeof(*at->lines);
	if (op != LOAD_FLUSH) {
		slot->data = at->data + i * at->data_stride;
		slot->data_gpa = at->data_gpa + i * at->data_stride;
	}
	load_lay_down(q, slot);
	slot->used_bytes = op == LOAD_READ ? q->block_bytes + 1 : 1;
	slot->line->header.type = htole32(op == LOAD_READ    ? VIRTIO_BLK_T_IN
					  : op == LOAD_WRITE ? VIRTIO_BLK_T_OUT
							     : VIRTIO_BLK_T_FLUSH);
}

static void make_slots(struct load *load, struct load_queue *q)
{
	const uint32_t misalign = load->options.misalign;
	struct slot_memory at = {.data_stride = align_up(q->block_bytes + misalign, PAGE_BYTES)};
	enum load_op op = load->options.read_percent ? LOAD_READ : LOAD_WRITE;
	unsigned i;

	at.lines = must_alloc(load, (q->depth + 1u) * sizeof(*at.lines), CACHELINE_BYTES,
			      &at.lines_gpa);
	at.data = must_alloc(load, q->depth * at.data_stride, PAGE_BYTES, &at.data_gpa);
	memset(at.data, 0x5a, q->depth * at.data_stride);
	at.data += misalign;
	at.data_gpa += misalign;
	for (i = 0; i < q->depth; i++)
		make_slot(q, &at, i, op);
	make_slot(q, &at, q->depth, LOAD_FLUSH);
}

static void make_queue(struct load *load, unsigned index, uint64_t features)
{
	const struct load_options *options = &load->options;
	struct load_queue *q = &load->queues[index];
	struct fe_ring_options ring = {
		.size = (uint16_t)ring_size(options),
		.packed = features & VU_BIT(VIRTIO_F_RING_PACKED),
		.in_order = features & VU_BIT(VIRTIO_F_IN_ORDER),
		.event_idx = features & VU_BIT(VIRTIO_RING_F_EVENT_IDX),
		.indirect = features & VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) ? CHAIN_DESCS : 0,
	};
	uint64_t blocks = load->capacity_bytes / options->block_bytes;
	int ret;

	q->options = options;
	q->fresh_chains = options->fresh_chains;
	q->index = index;
	q->depth = options->depth;
	q->batch = options->batch;
	q->block_bytes = options->block_bytes;
	q->num_blocks = blocks / options->queues;
	q->first_block = index * q->num_blocks;
	q->rng = options->seed + index * 0x632be59bd9b4e019u;
	q->left = options->ios ? options->ios / options->queues : UINT64_MAX;
	q->flush_every = options->flush_every;
	q->mixed = options->read_percent > 0 && options->read_percent < 100;
	q->read_below = (uint32_t)(options->read_percent * (UINT32_MAX / 100));
	q->sequential = options->sequential;
	q->verify = options->verify;
	q->status_fill = LOAD_STATUS_NONE;
	if (q->num_blocks < 2ull * q->depth)
		fatal("the disk part of queue %u has %llu blocks of %u bytes: too few for depth %u",
		      index, (unsigned long long)q->num_blocks, q->block_bytes, q->depth);

	ret = fe_ring_init(&q->ring, &load->mem, &ring);
	if (ret)
		fatal("cannot make a ring of %u entries: %s", ring.size, strerror(-ret));
	q->slots = calloc(q->depth + 1u, sizeof(*q->slots));
	q->slot_of = calloc(q->ring.size, sizeof(*q->slot_of));
	if (!q->slots || !q->slot_of)
		fatal("out of memory");
	make_slots(load, q);
	ret = q->verify ? shadow_init(q, options->queues) : 0;
	if (ret)
		fatal("--verify: %llu blocks: %s; narrow it with --size",
		      (unsigned long long)blocks, strerror(-ret));
}

void load_rings(struct load *load, uint64_t features)
{
	unsigned i;

	make_memory(load);
	load->queues = aligned_alloc(CACHELINE_BYTES, load->options.queues * sizeof(*load->queues));
	if (!load->queues)
		fatal("out of memory");
	memset(load->queues, 0, load->options.queues * sizeof(*load->queues));
	for (i = 0; i < load->options.queues; i++)
		make_queue(load, i, features);
}

static void check(const struct load *load, const char *what, int ret)
{
	if (ret)
		fatal("%s: %s: %s", load->options.socket_path, what, strerror(-ret));
}

static void read_config(struct load *load)
{
	struct virtio_blk_config config = {0};
	uint64_t sectors;

	if (!fe_has(&load->fe, VU_PF_CONFIG))
		fatal("%s: the back-end has no configuration space (CONFIG)",
		      load->options.socket_path);
	check(load, "GET_CONFIG", fe_get_config(&load->fe, 0, CONFIG_BYTES, &config));
	sectors = le64toh(config.capacity);
	if (sectors > UINT64_MAX / LOAD_SECTOR)
		fatal("%s: impossible capacity %llu", load->options.socket_path,
		      (unsigned long long)sectors);
	load->capacity_bytes = sectors * LOAD_SECTOR;
	if (load->options.size_bytes)
		load->capacity_bytes = min_of(load->capacity_bytes, load->options.size_bytes);
	if (load->options.queues > 1 && load->options.queues > le16toh(config.num_queues))
		fatal("--queues=%u: the disk has %u", load->options.queues,
		      le16toh(config.num_queues));
}

void load_connect(struct load *load)
{
	const struct load_options *options = &load->options;
	uint64_t wanted =
		VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_BLK_F_MQ) | VU_BIT(VIRTIO_BLK_F_FLUSH);
	uint64_t protocol = VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG);

	check(load, "cannot connect", fe_connect(&load->fe, options->socket_path));
	if (options->event_idx)
		wanted |= VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	if (options->indirect)
		wanted |= VU_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (options->packed)
		wanted |= VU_BIT(VIRTIO_F_RING_PACKED);
	if (options->in_order)
		wanted |= VU_BIT(VIRTIO_F_IN_ORDER);
	if (options->mem_slots)
		protocol |= VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS);
	check(load, "negotiation", fe_negotiate(&load->fe, wanted, protocol));
	if (options->indirect && !(load->fe.features & VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)))
		fatal("%s: the back-end does not offer indirect descriptors (--indirect=off)",
		      options->socket_path);
	if (options->packed && !(load->fe.features & VU_BIT(VIRTIO_F_RING_PACKED)))
		fatal("%s: the back-end does not offer packed rings (--packed=off)",
		      options->socket_path);
	if (options->in_order && !(load->fe.features & VU_BIT(VIRTIO_F_IN_ORDER)))
		fatal("%s: the back-end does not offer to use requests in order (--in-order=off)",
		      options->socket_path);
	if (options->flush_every && !(load->fe.features & VU_BIT(VIRTIO_BLK_F_FLUSH)))
		fatal("--flush-every: the back-end does not offer flushes");
	if (options->read_percent < 100 && (load->fe.offered & VU_BIT(VIRTIO_BLK_F_RO)))
		fatal("--rw=%s: the disk is read-only", options->rw);
	read_config(load);
	load_rings(load, load->fe.features);
}

void load_start(struct load *load)
{
	unsigned i;

	check(load, "sharing memory", fe_share_memory(&load->fe, &load->mem));
	for (i = 0; i < load->options.queues; i++)
		check(load, "starting a ring", fe_ring_start(&load->fe, i, &load->queues[i].ring));
	check(load, "starting the rings", fe_sync(&load->fe));
}

int load_stop(struct load *load)
{
	unsigned i;
	int ret, first = 0;

	for (i = 0; i < load->options.queues; i++) {
		ret = fe_ring_stop(&load->fe, i, &load->queues[i].ring);
		if (ret) {
			log_error("blk", "stopping ring %u: %s", i, strerror(-ret));
			first = first ? first : ret;
		}
	}
	fe_close(&load->fe);
	return first;
}

void load_free(struct load *load)
{
	unsigned i;

	for (i = 0; i < load->options.queues; i++) {
		shadow_free(&load->queues[i]);
		free(load->queues[i].slots);
		free(load->queues[i].slot_of);
		fe_ring_free(&load->queues[i].ring);
	}
	free(load->queues);
	fe_memory_free(&load->mem);
}
