/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon.c - a small virtio-balloon driver. Test guest.
 */
#include "tests/guest/image/balloon.h"

#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"

#define DEVICE_TYPE 5
#define CHAIN_PAGES 256 /* as in Linux */
#define STRIDE      37 /* odd: every page has one number */
#define MAGIC       0x52494e4742414c00
#define PATIENCE_MS 5000
#define TOKEN       1

enum { INFLATE, DEFLATE, STATS, REPORTING, QUEUES };

static uint32_t chain[CHAIN_PAGES];

/* --- the pool --- */

uint64_t pool_page(unsigned number)
{
	return POOL_GPA + (uint64_t)(number * STRIDE % POOL_PAGES) * PAGE_BYTES;
}

/* Both ends of a page. */
static volatile uint64_t *first_word(uint64_t page)
{
	return (volatile uint64_t *)page;
}

static volatile uint64_t *last_word(uint64_t page)
{
	return (volatile uint64_t *)(page + PAGE_BYTES - sizeof(uint64_t));
}

static void mark(uint64_t page)
{
	*first_word(page) = MAGIC ^ page;
	*last_word(page) = ~(MAGIC ^ page);
}

static bool is_marked(uint64_t page)
{
	return *first_word(page) == (MAGIC ^ page) && *last_word(page) == ~(MAGIC ^ page);
}

static bool is_empty(uint64_t page)
{
	return !*first_word(page) && !*last_word(page);
}

void pool_fill(void)
{
	for (unsigned i = 0; i < POOL_PAGES; i++)
		mark(pool_page(i));
}

unsigned pool_check(unsigned actual)
{
	unsigned wrong = 0;

	for (unsigned i = actual; i < POOL_PAGES; i++) {
		if (is_marked(pool_page(i)))
			continue;
		if (!wrong++)
			note("page %u at 0x%lx has 0x%lx and 0x%lx", i, pool_page(i),
			     *first_word(pool_page(i)), *last_word(pool_page(i)));
	}
	return wrong;
}

/* --- the device --- */

static bool wait_used(struct queue *q)
{
	uint64_t deadline = clock_after_ms(PATIENCE_MS);
	uint32_t bytes;
	uint16_t token;

	while ((token = queue_take(q, &bytes)) == NO_TOKEN)
		if (clock_is_past(deadline))
			return false;
	return token == TOKEN;
}

static bool send(struct balloon *b, unsigned queue, const struct buffer *buffers, unsigned n)
{
	struct queue *q = &b->v.queues[queue];

	if (!queue_add(q, buffers, n, TOKEN))
		return false;
	queue_kick(q);
	return wait_used(q);
}

/* offer_stats - the buffer stays with the device until that wants fresh ones. */
static bool offer_stats(struct balloon *b)
{
	struct buffer buffer = {(uint64_t)b->stats, sizeof(b->stats), false};

	b->stats[0] = (struct virtio_balloon_stat){VIRTIO_BALLOON_S_MEMTOT,
						   option_number("memory", 0) << 20};
	b->stats[1] = (struct virtio_balloon_stat){0x7777, 1}; /* that nobody knows */
	b->stats[2] = (struct virtio_balloon_stat){VIRTIO_BALLOON_S_MEMFREE, b->stats_asked};
	b->stats[3] = (struct virtio_balloon_stat){VIRTIO_BALLOON_S_MAJFLT, 4711};
	if (!queue_add(&b->v.queues[STATS], &buffer, 1, TOKEN))
		return false;
	queue_kick(&b->v.queues[STATS]);
	return true;
}

bool balloon_start(struct balloon *b)
{
	uint64_t needed = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BALLOON_F_STATS_VQ) |
			  FEATURE(VIRTIO_BALLOON_F_REPORTING);
	uint64_t wanted = FEATURE(VIRTIO_BALLOON_F_MUST_TELL_HOST), offered;
	int slot = pci_find_virtio(DEVICE_TYPE, 0);
	struct virtio *v = &b->v;

	if (option_is("ring", "packed"))
		needed |= FEATURE(VIRTIO_F_RING_PACKED);
	b->actual = b->target = b->stats_asked = 0;
	if (slot < 0 || !virtio_open(v, (unsigned)slot))
		return check(false, "a balloon is there, slot %d", slot);
	offered = virtio_offered(v);
	if ((offered & needed) != needed || !virtio_negotiate(v, needed | (offered & wanted)))
		return check(false, "the balloon has features 0x%lx and accepts 0x%lx", offered,
			     needed);
	virtio_msix_enable(v);
	v->first_ring = MAX_QUEUES; /* a disk is used beside it */
	write16(v->common + VIRTIO_PCI_COMMON_MSIX, 0);
	b->seen = interrupt_counts[VECTOR_MSI] - 1; /* look at the target once */
	for (unsigned i = 0; i < QUEUES; i++)
		if (!virtio_queue_start(v, i, 0, NO_VECTOR))
			return check(false, "balloon: queue %u starts", i);
	virtio_driver_ok(v);
	return offer_stats(b) || check(false, "balloon: statistics can be offered");
}

static uint32_t read_target(const struct balloon *b)
{
	uint32_t pages;
	uint8_t generation;

	do {
		generation = virtio_generation(&b->v);
		pages = read32(b->v.config);
	} while (virtio_generation(&b->v) != generation);
	return pages < POOL_PAGES ? pages : POOL_PAGES;
}

static void set_actual(struct balloon *b, unsigned actual)
{
	b->actual = actual;
	write32(b->v.config + 4, actual);
}

static unsigned fill_chain(unsigned from, unsigned to)
{
	unsigned n = 0;

	for (; from + n < to && n < CHAIN_PAGES; n++)
		chain[n] = (uint32_t)(pool_page(from + n) >> VIRTIO_BALLOON_PFN_SHIFT);
	return n;
}

static bool inflate(struct balloon *b)
{
	unsigned n = fill_chain(b->actual, b->target);
	struct buffer buffer = {(uint64_t)chain, n * (uint32_t)sizeof(chain[0]), false};

	if (!send(b, INFLATE, &buffer, 1))
		return check(false, "balloon: %u pages go into it", n);
	set_actual(b, b->actual + n);
	return true;
}

/* take_back - pages are ours again once the device said so, and are as they were or empty. */
static bool take_back(unsigned from, unsigned to)
{
	unsigned wrong = 0;

	for (unsigned i = from; i < to; i++) {
		uint64_t page = pool_page(i);

		wrong += !is_empty(page) && !is_marked(page);
		mark(page);
	}
	return !wrong || check(false, "balloon: %u pages have strange content", wrong);
}

static bool deflate(struct balloon *b)
{
	unsigned n = b->actual - b->target;
	struct buffer buffer;

	if (n > CHAIN_PAGES)
		n = CHAIN_PAGES;
	fill_chain(b->actual - n, b->actual);
	buffer = (struct buffer){(uint64_t)chain, n * (uint32_t)sizeof(chain[0]), false};
	if (!send(b, DEFLATE, &buffer, 1))
		return check(false, "balloon: %u pages come out of it", n);
	set_actual(b, b->actual - n);
	return take_back(b->actual, b->actual + n);
}

bool balloon_follow(struct balloon *b)
{
	unsigned now = interrupt_counts[VECTOR_MSI];
	uint32_t bytes;

	if (now != b->seen) {
		b->seen = now;
		b->target = read_target(b);
	}
	if (queue_take(&b->v.queues[STATS], &bytes) != NO_TOKEN) {
		b->stats_asked++;
		if (!offer_stats(b))
			return check(false, "balloon: statistics go back");
	}
	if (b->actual < b->target)
		return inflate(b);
	return b->actual == b->target || deflate(b);
}

bool balloon_report(struct balloon *b)
{
	struct buffer buffers[MAX_BUFFERS];

	for (unsigned i = 0; i < SPARE_PAGES; i++)
		mark(SPARE_GPA + i * PAGE_BYTES);
	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		buffers[i] =
			(struct buffer){SPARE_GPA + i * (SPARE_PAGES / MAX_BUFFERS) * PAGE_BYTES,
					SPARE_PAGES / MAX_BUFFERS * PAGE_BYTES, true};
	return send(b, REPORTING, buffers, MAX_BUFFERS);
}

bool spare_check(void)
{
	for (unsigned i = 0; i < SPARE_PAGES; i++)
		if (!is_empty(SPARE_GPA + i * PAGE_BYTES) && !is_marked(SPARE_GPA + i * PAGE_BYTES))
			return false;
	return true;
}
