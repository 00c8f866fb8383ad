/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - the guest: requests of every kind at random, and every completion checked.
 * Tests only, one thread.
 */
#include <check.h>
#include <endian.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"

#define GUEST_GPA   0x80000000ull
#define SLOT_BYTES  (96u << 10) /* MAX_SECTORS of data, and room between its pieces */
#define ALL_SLOTS   (MAX_QUEUES * SLOTS_PER_QUEUE)
#define GUEST_BYTES (ALL_SLOTS * SLOT_BYTES + (4u << 20))
#define PIECE_GAP   1024u
#define MAX_BATCH   8 /* submitted between two looks at what is complete */

struct guest_slot {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	uint8_t status;
} cacheline_aligned;

static struct guest_slot *guest_slot(const struct crash *c, unsigned q, unsigned s)
{
	return (struct guest_slot *)c->guest.headers.host + q * SLOTS_PER_QUEUE + s;
}

static uint64_t guest_slot_gpa(const struct crash *c, unsigned q, unsigned s, size_t member)
{
	return c->guest.headers.gpa + (q * SLOTS_PER_QUEUE + s) * sizeof(struct guest_slot) +
	       member;
}

static size_t data_offset(unsigned q, unsigned s)
{
	return (size_t)(q * SLOTS_PER_QUEUE + s) * SLOT_BYTES;
}

/* Split rings have a power of two of entries; any number will do for packed ones. */
static uint16_t pick_ring_size(struct crash *c)
{
	if (c->variant.packed)
		return (uint16_t)(33 + rng_below(&c->rng, 200));
	return (uint16_t)(32u << rng_below(&c->rng, 4));
}

void guest_init(struct crash *c)
{
	struct guest *guest = &c->guest;
	struct fe_ring_options options = {
		.packed = c->variant.packed,
		.event_idx = c->variant.event_idx,
		.indirect = MAX_PIECES + 2,
	};
	unsigned q;

	options.size = guest->ring_size = pick_ring_size(c);
	guest->indirect_entries = options.indirect;
	guest->next_version = 1;
	fe_memory_init(&guest->mem);
	ck_assert_int_eq(fe_memory_add(&guest->mem, GUEST_GPA, GUEST_BYTES, false), 0);
	ck_assert_int_eq(fe_alloc(&guest->mem, ALL_SLOTS * sizeof(struct guest_slot), 64,
				  &guest->headers),
			 0);
	ck_assert_int_eq(
		fe_alloc(&guest->mem, (uint64_t)ALL_SLOTS * SLOT_BYTES, 4096, &guest->data), 0);
	for (q = 0; q < c->variant.num_queues; q++) {
		ck_assert_int_eq(fe_ring_init(&guest->rings[q], &guest->mem, &options), 0);
		guest->slot_of[q] = calloc(guest->ring_size, 1);
		ck_assert_ptr_nonnull(guest->slot_of[q]);
	}
}

void guest_free(struct crash *c)
{
	unsigned q;

	for (q = 0; q < c->variant.num_queues; q++) {
		fe_ring_free(&c->guest.rings[q]);
		free(c->guest.slot_of[q]);
	}
	fe_memory_free(&c->guest.mem);
}

/* --- completions --- */

static void copy_pieces(const struct crash *c, const struct slot *slot, uint8_t *guest_data,
			uint8_t *local, bool to_guest)
{
	unsigned i;

	(void)c;
	for (i = 0; i < slot->num_pieces; i++) {
		uint8_t *there = guest_data + slot->pieces[i].offset;

		if (to_guest)
			memcpy(there, local, slot->pieces[i].len);
		else
			memcpy(local, there, slot->pieces[i].len);
		local += slot->pieces[i].len;
	}
}

static void check_data(struct crash *c, unsigned q, unsigned s)
{
	static uint8_t local[MAX_SECTORS * SECTOR];
	const struct slot *slot = &c->guest.slots[q][s];
	char why[1024];

	copy_pieces(c, slot, c->guest.data.host + data_offset(q, s), local, false);
	if (!model_check(&c->model, slot->sector, slot->sectors, local, slot->since, why,
			 sizeof(why)))
		crash_fail(c, "queue %u: %s", q, why);
}

static void complete(struct crash *c, unsigned q, const struct fe_used *used)
{
	unsigned s = c->guest.slot_of[q][used->head];
	struct slot *slot = &c->guest.slots[q][s];
	uint8_t status = *(volatile uint8_t *)&guest_slot(c, q, s)->status;

	if (!slot->busy)
		crash_fail(c, "queue %u: head %u is complete, and no request of it is in flight", q,
			   used->head);
	if (status != VIRTIO_BLK_S_OK)
		crash_fail(c,
			   "queue %u, head %u: request of type %u, %u sectors from %u, ended with "
			   "status %u, expected 0",
			   q, used->head, slot->type, slot->sectors, slot->sector, status);
	if (used->len != slot->written_bytes)
		crash_fail(c,
			   "queue %u, head %u: request of type %u has used length %u, expected %u",
			   q, used->head, slot->type, used->len, slot->written_bytes);
	if (slot->version)
		model_ack(&c->model, slot->sector, slot->sectors, slot->version);
	else if (slot->type == VIRTIO_BLK_T_IN && !c->variant.null)
		check_data(c, q, s);
	slot->busy = false;
	c->guest.in_flight[q]--;
	c->guest.completed++;
	if (!c->stopping)
		c->unsure[q] = false;
}

unsigned load_poll(struct crash *c)
{
	struct fe_used used[32];
	unsigned q, total = 0;
	int i, n;

	for (q = 0; q < c->variant.num_queues; q++) {
		struct fe_ring *ring = &c->guest.rings[q];

		while ((n = fe_ring_poll(ring, used, ARRAY_SIZE(used))) > 0) {
			for (i = 0; i < n; i++)
				complete(c, q, &used[i]);
			total += (unsigned)n;
		}
		if (n < 0)
			crash_fail(c, "queue %u: %s", q, ring->why);
	}
	return total;
}

/* --- submissions --- */

/* lay_pieces - divide the data and place it, each piece at an odd address if @odd. */
static void lay_pieces(struct crash *c, struct slot *slot, bool odd)
{
	uint32_t left = slot->sectors * SECTOR, at = odd ? 1 + rng_below(&c->rng, 511) : 0;
	unsigned i, n = 1 + rng_below(&c->rng, MAX_PIECES);

	slot->num_pieces = 0;
	for (i = 0; i < n && left; i++) {
		uint32_t len = left;

		if (i + 1 < n && left > SECTOR)
			len = odd ? 1 + rng_below(&c->rng, left)
				  : SECTOR * (1 + rng_below(&c->rng, left / SECTOR));
		slot->pieces[slot->num_pieces++] = (struct piece){at, len};
		left -= len;
		at += len;
		if (rng_percent(&c->rng, 50))
			at += odd ? rng_below(&c->rng, PIECE_GAP) : SECTOR;
	}
}

static uint64_t oldest_read(const struct crash *c)
{
	uint64_t oldest = c->model.now + 1;
	unsigned q, s;

	for (q = 0; q < c->variant.num_queues; q++)
		for (s = 0; s < SLOTS_PER_QUEUE; s++)
			if (c->guest.slots[q][s].busy && !c->guest.slots[q][s].version)
				oldest = min_of(oldest, c->guest.slots[q][s].since);
	return oldest;
}

static void pick_place(struct crash *c, struct slot *slot)
{
	uint32_t base = 0, limit = DISK_SECTORS;
	uint32_t most = rng_percent(&c->rng, 50) ? 8 : rng_percent(&c->rng, 80) ? 32 : MAX_SECTORS;

	if (rng_percent(&c->rng, 80)) {
		base = c->mix.hot_sector;
		limit = c->mix.hot_sectors;
	}
	slot->sectors = 1 + rng_below(&c->rng, min_of(most, limit));
	slot->sector = base + rng_below(&c->rng, limit - slot->sectors + 1);
	/* Whole blocks of the file system, often enough. */
	if (slot->sectors >= 8 && rng_percent(&c->rng, 60)) {
		slot->sectors &= ~7u;
		slot->sector &= ~7u;
	}
}

static bool begin_change(struct crash *c, struct slot *slot, enum change change)
{
	if (!c->variant.null) {
		if (!rng_percent(&c->rng, c->mix.overlap_percent) &&
		    model_writing(&c->model, slot->sector, slot->sectors))
			return false;
		if (!model_submit(&c->model, slot->sector, slot->sectors, c->guest.next_version,
				  change, oldest_read(c)))
			return false;
		slot->version = c->guest.next_version++;
	}
	return true;
}

static void put_data(struct crash *c, unsigned q, unsigned s)
{
	static uint8_t local[MAX_SECTORS * SECTOR];
	const struct slot *slot = &c->guest.slots[q][s];
	bool out = slot->type == VIRTIO_BLK_T_OUT;

	if (c->variant.null)
		return;
	if (out)
		model_fill(&c->model, slot->sector, slot->sectors, slot->version, local);
	else
		memset(local, 0xa5, slot->sectors * SECTOR);
	copy_pieces(c, slot, c->guest.data.host + data_offset(q, s), local, true);
}

/* choose - fill in what kind of request @slot is. Return: false: not now. */
static bool choose(struct crash *c, struct slot *slot)
{
	enum change change;
	uint32_t kind = rng_below(&c->rng, 100);

	pick_place(c, slot);
	if (rng_percent(&c->rng, 6)) {
		slot->type = VIRTIO_BLK_T_FLUSH;
		return true;
	}
	if (!rng_percent(&c->rng, c->mix.changes_percent)) {
		slot->type = VIRTIO_BLK_T_IN;
		return true;
	}
	if (kind < 84) {
		slot->type = VIRTIO_BLK_T_OUT;
		change = CHANGE_WRITE;
	} else if (kind < 94 && c->features & VU_BIT(VIRTIO_BLK_F_WRITE_ZEROES)) {
		slot->type = VIRTIO_BLK_T_WRITE_ZEROES;
		change = CHANGE_ZERO;
	} else if (c->features & VU_BIT(VIRTIO_BLK_F_DISCARD)) {
		slot->type = VIRTIO_BLK_T_DISCARD;
		change = CHANGE_DISCARD;
	} else {
		return false;
	}
	return begin_change(c, slot, change);
}

/* write_slot - the request's header, and its buffers into @bufs. Return: how many are readable;
 * *@num_in: writable. */
static unsigned write_slot(struct crash *c, unsigned q, unsigned s, struct fe_buf *bufs,
			   unsigned *num_in)
{
	struct slot *slot = &c->guest.slots[q][s];
	struct guest_slot *there = guest_slot(c, q, s);
	unsigned i, n = 0;

	there->header.type = htole32(slot->type);
	there->header.ioprio = 0;
	there->header.sector = 0;
	there->status = 0xff;
	slot->written_bytes = 1;
	bufs[n++] = (struct fe_buf){guest_slot_gpa(c, q, s, offsetof(struct guest_slot, header)),
				    sizeof(there->header)};
	if (slot->type == VIRTIO_BLK_T_IN || slot->type == VIRTIO_BLK_T_OUT) {
		there->header.sector = htole64(slot->sector);
		for (i = 0; i < slot->num_pieces; i++)
			bufs[n++] = (struct fe_buf){c->guest.data.gpa + data_offset(q, s) +
							    slot->pieces[i].offset,
						    slot->pieces[i].len};
	} else if (slot->type != VIRTIO_BLK_T_FLUSH) {
		there->range.sector = htole64(slot->sector);
		there->range.num_sectors = htole32(slot->sectors);
		there->range.flags = 0;
		bufs[n++] =
			(struct fe_buf){guest_slot_gpa(c, q, s, offsetof(struct guest_slot, range)),
					sizeof(there->range)};
	}
	bufs[n++] =
		(struct fe_buf){guest_slot_gpa(c, q, s, offsetof(struct guest_slot, status)), 1};
	*num_in = 1;
	if (slot->type == VIRTIO_BLK_T_IN) {
		*num_in += slot->num_pieces;
		slot->written_bytes += slot->sectors * SECTOR;
	}
	return n - *num_in;
}

/* submit - @slot is filled in. The ring has room for it. */
static void submit(struct crash *c, unsigned q, unsigned s)
{
	struct fe_ring *ring = &c->guest.rings[q];
	struct slot *slot = &c->guest.slots[q][s];
	struct fe_buf bufs[MAX_PIECES + 2];
	unsigned num_in, num_out;
	int head;

	lay_pieces(c, slot, rng_percent(&c->rng, 15));
	put_data(c, q, s);
	num_out = write_slot(c, q, s, bufs, &num_in);
	/* Chains of both kinds share a ring: what is direct now does not bind the next one. */
	if (rng_percent(&c->rng, c->mix.direct_percent) && num_out + num_in <= ring->num_free)
		ring->indirect_entries = 0;
	head = fe_ring_add(ring, bufs, num_out, num_in);
	ring->indirect_entries = c->guest.indirect_entries;
	if (head < 0)
		crash_fail(c, "queue %u: a chain of %u does not fit: %d", q, num_out + num_in,
			   head);
	slot->busy = true;
	slot->since = ++c->model.now;
	c->guest.slot_of[q][head] = (uint8_t)s;
	c->guest.in_flight[q]++;
}

static struct slot *free_slot(struct crash *c, unsigned q, unsigned *s)
{
	for (*s = 0; *s < SLOTS_PER_QUEUE; ++*s)
		if (!c->guest.slots[q][*s].busy) {
			c->guest.slots[q][*s] = (struct slot){0};
			return &c->guest.slots[q][*s];
		}
	return NULL;
}

static void fill_queue(struct crash *c, unsigned q)
{
	struct fe_ring *ring = &c->guest.rings[q];
	unsigned s, n = 1 + rng_below(&c->rng, MAX_BATCH);

	for (; n && c->guest.in_flight[q] < c->mix.depth && ring->num_free; n--) {
		struct slot *slot = free_slot(c, q, &s);

		if (!slot)
			break;
		if (choose(c, slot))
			submit(c, q, s);
	}
	fe_ring_publish(ring);
	fe_ring_kick(ring);
}

void load_fill(struct crash *c)
{
	unsigned q;

	for (q = 0; q < c->variant.num_queues; q++)
		fill_queue(c, q);
}

void load_read(struct crash *c, unsigned q, uint32_t sector, uint32_t sectors)
{
	struct fe_ring *ring = &c->guest.rings[q];
	unsigned s;
	struct slot *slot = free_slot(c, q, &s);

	slot->type = VIRTIO_BLK_T_IN;
	slot->sector = sector;
	slot->sectors = sectors;
	submit(c, q, s);
	fe_ring_publish(ring);
	fe_ring_kick(ring);
}
