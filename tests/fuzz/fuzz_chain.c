/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_chain.c - a ring whose content is the input, served by a device that does everything in any
 * order, and is killed in between: no byte outside guest memory is touched, what is written is in
 * the dirty log, and what was in flight is served again, once and in its order.
 *
 * Input: struct input, num_ops bytes of operations, and memory as it begins: of the in-flight
 * region (FUZZ_INFLIGHT only), and of the first region of the guest: descriptors, available ring,
 * room for indirect tables, used ring. The used ring ends where the region does. Beyond each
 * region, the in-flight area and the dirty log the address sanitizer has poison.
 *
 * Built four times: fuzz_chain_split and fuzz_chain_packed (FUZZ_PACKED), whose in-flight area is
 * empty at first; fuzz_inflight_split and fuzz_inflight_packed (FUZZ_INFLIGHT), where it is not.
 */
#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/ring/virtqueue.h"

#ifndef FUZZ_PACKED
#define FUZZ_PACKED 0
#endif

#ifndef FUZZ_INFLIGHT
#define FUZZ_INFLIGHT 0
#endif

#define GPA_A        0x10000ull
#define GPA_HOLE     0x1000ull /* between B, which adjoins A, and C */
#define B_BYTES      3000u
#define C_BYTES      5000u
#define MAX_SIZE     64u
#define TABLES_BYTES 1024u
#define SLOT_BYTES   8192u /* of the arena: one region, then poison */
#define MAX_IOV      40u
#define WRITE_BYTES  64u /* a device writes at most, to a chain */

struct input {
	uint8_t size;
	uint8_t flags; /* FLAG_* */
	uint8_t base[4];
	uint8_t max_iov;
	uint8_t num_ops;
};

#define FLAG_EVENT_IDX  1u
#define FLAG_INDIRECT   2u
#define FLAG_IN_ORDER   4u
#define FLAG_DIRTY      8u
#define FLAG_DIRTY_RING 16u
#define FLAG_INFLIGHT   32u
#define FLAG_HONEST     64u /* a driver that keeps to the rules: stricter checks */

#define LOG_PAGES 20u /* fewer than there are */

struct held {
	struct vq_chain chain;
	struct iovec iov[MAX_IOV];
	unsigned number; /* counting pops */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t arena[4 * SLOT_BYTES] __attribute__((aligned(4096)));
static struct mem_region regions[3];
static const struct mem_table mem = {3, 3, regions, -1};
static struct virtqueue vq;
static struct vq_setup setup;
static struct held *held[MAX_SIZE]; /* in flight, in the order of their pops */
static struct held *unused[MAX_SIZE];
static unsigned num_held, num_popped;
static uint16_t max_iov;
static bool honest;

static uint8_t area[SLOT_BYTES] __attribute__((aligned(8)));
static uint8_t log_bits[64] __attribute__((aligned(8)));
static struct mem_dirty dirty = {.bits = log_bits, .pages = LOG_PAGES};
static uint8_t known[sizeof(arena)]; /* guest memory but for what is to be logged */

/* Chains popped and not yet visible as used, in the order of their pops. */
struct open_chain {
	uint16_t head;
	bool pushed;
};
static struct open_chain open_chains[512];
static unsigned num_open;

/* The honest driver. */
static struct {
	uint16_t position; /* where it goes on */
	bool wrap;
	unsigned room; /* ring entries it has */
	uint16_t entries[MAX_SIZE]; /* by head or id: those the device has for it */
} driver;

/* What the operations are read from. */
static const uint8_t *ops, *ops_end;

static uint8_t next_op(void)
{
	return ops < ops_end ? *ops++ : 0;
}

static uint16_t next_op16(void)
{
	uint16_t low = next_op();

	return (uint16_t)(low | next_op() << 8);
}

static void lay_out_region(unsigned i, uint64_t gpa, uint64_t bytes)
{
	uint8_t *host = arena + i * SLOT_BYTES;

	regions[i] = (struct mem_region){.gpa = gpa, .size = bytes, .uva = gpa, .host = host};
	ASAN_UNPOISON_MEMORY_REGION(host, SLOT_BYTES);
	memset(host, 0, SLOT_BYTES);
	memset(known + i * SLOT_BYTES, 0, SLOT_BYTES);
	ASAN_POISON_MEMORY_REGION(host + bytes, SLOT_BYTES - bytes);
}

static void lay_out_log(uint8_t flags, uint64_t used_gpa)
{
	size_t bytes = (LOG_PAGES + 7) / 8;

	ASAN_UNPOISON_MEMORY_REGION(log_bits, sizeof(log_bits));
	memset(log_bits, 0, sizeof(log_bits));
	ASAN_POISON_MEMORY_REGION(log_bits + bytes, sizeof(log_bits) - bytes);
	if (flags & FLAG_DIRTY) {
		setup.dirty = &dirty;
		setup.dirty_ring = flags & FLAG_DIRTY_RING;
		setup.used_gpa = used_gpa;
	}
}

/* lay_out_area - Return: bytes of the image that went into it. */
static size_t lay_out_area(uint8_t flags, const uint8_t *image, size_t image_bytes)
{
	size_t bytes = vq_inflight_bytes(FUZZ_PACKED, setup.size), used = 0;

	if (!FUZZ_INFLIGHT && !(flags & FLAG_INFLIGHT))
		return 0;
	ASAN_UNPOISON_MEMORY_REGION(area, sizeof(area));
	memset(area, 0, sizeof(area));
	if (FUZZ_INFLIGHT) {
		used = min_of(image_bytes, bytes);
		memcpy(area, image, used);
	}
	ASAN_POISON_MEMORY_REGION(area + bytes, sizeof(area) - bytes);
	setup.inflight = area;
	setup.inflight_bytes = bytes;
	return used;
}

/* be_honest - a driver that has offered nothing yet. */
static void be_honest(void)
{
	unsigned start = setup.base % setup.size;

	memset(&driver, 0, sizeof(driver));
	driver.room = setup.size;
	driver.wrap = true;
	driver.position = (uint16_t)(FUZZ_PACKED ? start : setup.base);
	if (FUZZ_PACKED) {
		setup.base = (PACKED_WRAP | start) * 0x10001u;
		for (unsigned i = 0; i < setup.size; i++)
			guest_store16(&((struct vring_packed_desc *)setup.desc)[i].flags, 0);
	} else {
		guest_store16(&((struct vring_avail *)setup.avail)->idx, driver.position);
		guest_store16(&((struct vring_used *)setup.used)->idx, driver.position);
	}
}

/* lay_out - guest memory and the ring in it; the image goes over its beginning. */
static void lay_out(const struct input *in, const uint8_t *image, size_t image_bytes)
{
	uint32_t n = FUZZ_PACKED ? 1 + in->size % MAX_SIZE : 1u << in->size % 7;
	uint64_t avail = 16 * n, tables, used, bytes;
	size_t at;

	tables = avail + align_up(FUZZ_PACKED ? 4 : 6 + 2 * n, 16);
	used = tables + TABLES_BYTES;
	bytes = used + (FUZZ_PACKED ? 4 : 6 + 8 * n);
	lay_out_region(0, GPA_A, bytes);
	lay_out_region(1, GPA_A + bytes, B_BYTES);
	lay_out_region(2, GPA_A + bytes + B_BYTES + GPA_HOLE, C_BYTES);

	setup = (struct vq_setup){
		.packed = FUZZ_PACKED,
		.size = (uint16_t)n,
		.desc = arena,
		.avail = arena + avail,
		.used = arena + used,
		.mem = &mem,
		.kick_fd = -1,
		.call_fd = -1,
		.err_fd = -1,
	};
	if (in->flags & FLAG_EVENT_IDX)
		setup.features |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (in->flags & FLAG_INDIRECT)
		setup.features |= 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	if (in->flags & FLAG_IN_ORDER)
		setup.features |= 1ull << VIRTIO_F_IN_ORDER;
	memcpy(&setup.base, in->base, FUZZ_PACKED ? 4 : 2);
	setup.max_iov = max_iov;
	lay_out_log(in->flags, GPA_A + used);
	at = lay_out_area(in->flags, image, image_bytes);
	memcpy(arena, image + at, min_of(image_bytes - at, (size_t)bytes));
	if (honest)
		be_honest();
	memcpy(known, arena, bytes);
}

static bool in_guest(const uint8_t *p, size_t bytes)
{
	for (unsigned i = 0; i < mem.num_regions; i++) {
		const struct mem_region *r = &regions[i];

		if (p >= r->host && p < r->host + r->size)
			return bytes <= (size_t)(r->host + r->size - p);
	}
	return false;
}

static void check_chain(const struct held *h)
{
	const struct vq_chain *chain = &h->chain;
	uint64_t out_bytes = 0, in_bytes = 0;

	assert(chain->head < vq.size);
	for (unsigned i = 0; i < num_held; i++)
		assert(held[i] == h || held[i]->chain.head != chain->head);
	assert(chain->iov == h->iov && chain->num_out + chain->num_in <= max_iov);
	for (unsigned i = 0; i < (unsigned)chain->num_out + chain->num_in; i++) {
		assert(h->iov[i].iov_len && in_guest(h->iov[i].iov_base, h->iov[i].iov_len));
		*(i < chain->num_out ? &out_bytes : &in_bytes) += h->iov[i].iov_len;
	}
	assert(chain->error < VQ_CHAIN_ERRORS);
	if (chain->error)
		assert(!chain->num_out && !chain->num_in);
	assert(chain->out_bytes == out_bytes && chain->in_bytes == in_bytes);
	assert(!chain->error || !chain->last_byte || in_guest(chain->last_byte, 1));
}

/* fresh - the next chain to be popped into; what an earlier one left is still in it. */
static struct held *fresh(unsigned i)
{
	struct held *h = unused[vq.size - num_held - 1 - i];

	h->chain.iov = h->iov;
	h->chain.max_iov = max_iov;
	return h;
}

static void take(struct held *h)
{
	assert(num_held < vq.size);
	held[num_held++] = h;
	h->number = ++num_popped;
	check_chain(h);
	assert(num_open < ARRAY_SIZE(open_chains));
	open_chains[num_open++] = (struct open_chain){h->chain.head, false};
}

static bool pop(void)
{
	struct held *h;

	if (num_held == vq.size) {
		/* All the ring's heads are out: there can be no other. */
		static struct held spare;

		spare.chain.iov = spare.iov;
		spare.chain.max_iov = max_iov;
		assert(vq_pop(&vq, &spare.chain) == 0);
		return false;
	}
	h = fresh(0);
	if (!vq_pop(&vq, &h->chain))
		return false;
	take(h);
	return true;
}

static void pop_burst(unsigned max)
{
	struct vq_chain *chains[VQ_MAX_BURST];
	unsigned n;

	max = min_of(max, vq.size - num_held);
	for (unsigned i = 0; i < max; i++)
		chains[i] = &fresh(i)->chain;
	n = vq_pop_burst(&vq, chains, max);
	assert(n <= max);
	for (unsigned i = 0; i < n; i++)
		take((struct held *)chains[i]);
}

static void put_back(unsigned i)
{
	unused[vq.size - num_held] = held[i];
	memmove(&held[i], &held[i + 1], (num_held - i - 1) * sizeof(held[0]));
	num_held--;
}

/* unpop - the chain popped last, if it is still there. */
static void unpop(void)
{
	if (!num_held || held[num_held - 1]->number != num_popped)
		return;
	vq_unpop(&vq, &held[num_held - 1]->chain);
	put_back(num_held - 1);
	num_popped--;
	num_open--;
}

/* publish - what was pushed is visible now; in order, up to the first that was not. */
static void publish(void)
{
	unsigned n = 0;

	vq_publish(&vq);
	for (unsigned i = 0; i < num_open; i++) {
		bool waits = (setup.features & 1ull << VIRTIO_F_IN_ORDER) && n;

		if (!open_chains[i].pushed || waits) {
			open_chains[n++] = open_chains[i];
		} else {
			driver.room += driver.entries[open_chains[i].head];
			driver.entries[open_chains[i].head] = 0;
		}
	}
	num_open = n;
}

static void note_pushed(uint16_t head)
{
	for (unsigned i = 0; i < num_open; i++) {
		if (open_chains[i].head == head && !open_chains[i].pushed) {
			open_chains[i].pushed = true;
			return;
		}
	}
	assert(!"a chain pushed that was never popped");
}

/* push - after writing to it, as a device does: it may be the ring that it overwrites. */
static void push(unsigned i, uint32_t bytes)
{
	const struct vq_chain *chain;
	uint32_t left;

	if (!num_held)
		return;
	chain = &held[i %= num_held]->chain;
	bytes = min_of(bytes, WRITE_BYTES);
	left = bytes = (uint32_t)min_of((uint64_t)bytes, chain->in_bytes);
	for (const struct iovec *iov = chain->iov + chain->num_out; left && !honest; iov++) {
		uint32_t part = (uint32_t)min_of((size_t)left, iov->iov_len);

		memset(iov->iov_base, (int)bytes, part);
		left -= part;
	}
	note_pushed(chain->head);
	vq_push(&vq, chain->head, bytes);
	put_back(i);
}

/* pass - as devices make one: no more chains than the ring has entries, then all at once. */
static void pass(void)
{
	unsigned n = 0;

	while (n < vq.size && pop())
		n++;
	while (num_held)
		push(0, 1);
	publish();
	vq_notify(&vq);
}

/* A driver at work meanwhile: stores anywhere in the first region. */
static void driver_stores(void)
{
	uint16_t at = next_op16();
	uint16_t value = next_op16();

	at = (uint16_t)(at % (regions[0].size - sizeof(value)));
	if (honest)
		return;
	memcpy(arena + at, &value, sizeof(value));
	memcpy(known + at, &value, sizeof(value));
}

/* driver_store16 - of the driver's own, so that it need not be logged. */
static void driver_store16(void *at, uint16_t value)
{
	guest_store16(at, value);
	memcpy(known + ((uint8_t *)at - arena), at, sizeof(value));
}

/* A step that bytes of the image alone would rarely make: more is available. */
static void hostile_offer(unsigned n)
{
	if (FUZZ_PACKED) {
		uint16_t at = vq.next_avail;
		bool wrap = vq.avail_wrap;

		packed_advance(&vq, &at, &wrap, n % vq.size);
		driver_store16(&packed_slot(&vq, at)->flags,
			       (uint16_t)((wrap ? PACKED_AVAIL : PACKED_USED) | n % 8));
	} else {
		driver_store16(&vq.avail->idx, (uint16_t)(guest_load16(&vq.avail->idx) + n % 8));
	}
}

static void honest_offer(unsigned n)
{
	unsigned entries = FUZZ_PACKED ? 1 + n % 3 : 1;
	uint16_t head = 0;

	while (head < vq.size && driver.entries[head])
		head++;
	if (head == vq.size || driver.room < entries)
		return;
	driver.entries[head] = (uint16_t)entries;
	driver.room -= entries;
	if (!FUZZ_PACKED) {
		driver_store16(&vq.avail->ring[driver.position++ & vq.mask], head);
		driver_store16(&vq.avail->idx, driver.position);
		return;
	}
	for (unsigned i = 1; i <= entries; i++) {
		struct vring_packed_desc *slot = packed_slot(&vq, driver.position);
		unsigned flags = driver.wrap ? PACKED_AVAIL : PACKED_USED;

		driver_store16(&slot->id, head);
		driver_store16(&slot->flags,
			       (uint16_t)(flags | (i < entries ? VRING_DESC_F_NEXT : n & 6)));
		packed_advance(&vq, &driver.position, &driver.wrap, 1);
	}
}

/* The session takes the ring back and gives it again, as for a change of the memory table.
 * Return: false when the ring no longer makes sense. */
static bool restart(void)
{
	while (vq_owes(&vq) || num_held) {
		if (vq_owes(&vq))
			pop();
		push(num_held - 1, 0);
	}
	publish();
	vq_notify(&vq);
	assert(!num_open || !honest);
	setup.base = vq_base(&vq);
	vq_detach(&vq);
	num_popped = 0;
	if (!vq_attach(&vq, &setup)) {
		assert(!vq.num_resubmit || !honest);
		return true;
	}
	assert(setup.inflight && !honest);
	return false;
}

/* The process is killed, and the next one reads what it left. Return: as restart. */
static bool killed(void)
{
	unsigned was_open = num_open, owed = vq.num_resubmit;

	if (!setup.inflight || vq.broken)
		return true;
	vq_detach(&vq);
	while (num_held)
		put_back(num_held - 1);
	num_popped = num_open = 0;
	if (vq_attach(&vq, &setup)) {
		assert(!honest);
		return false;
	}
	assert(vq.num_resubmit <= vq.size);
	assert(!honest || vq.num_resubmit == was_open + owed);
	for (unsigned i = 0; i < was_open && honest; i++) {
		uint16_t head = open_chains[i].head;
		bool again = pop();

		assert(again && open_chains[i].head == head);
	}
	return true;
}

/* check_log - no page of guest memory has changed that is not in the log. */
static void check_log(void)
{
	for (unsigned i = 0; i < mem.num_regions; i++) {
		uint64_t slot = i * SLOT_BYTES;

		if (!setup.dirty || (!i && !setup.dirty_ring))
			continue;
		for (uint64_t at = 0; at < regions[i].size; at++) {
			uint64_t page = (regions[i].gpa + at) >> MEM_DIRTY_PAGE_SHIFT;

			if (arena[slot + at] != known[slot + at] && page < LOG_PAGES)
				assert(log_bits[page / 8] & 1u << page % 8);
		}
	}
}

/* step - Return: false when the ring is no more. */
static bool step(uint8_t op)
{
	unsigned arg = op >> 4;

	switch (op & 15) {
	case 0:
		pop();
		break;
	case 1:
		return killed();
	case 2:
		pop_burst(arg * 4 + 1);
		break;
	case 3:
		unpop();
		break;
	case 4:
	case 5:
		push(arg, next_op());
		break;
	case 6:
		publish();
		break;
	case 7:
		vq_notify(&vq);
		break;
	case 8:
		vq_kicks_off(&vq);
		break;
	case 9:
		assert(!vq_kicks_on(&vq) || !vq.broken);
		break;
	case 10:
		assert(vq_waiting(&vq, arg) <= arg);
		break;
	case 11:
		driver_stores();
		break;
	case 12:
	case 13:
		honest ? honest_offer(arg) : hostile_offer(arg);
		break;
	case 14:
		pass();
		break;
	case 15:
		return vq.broken || restart();
	}
	return true;
}

static void set_up_once(void)
{
	static struct held pool[MAX_SIZE];
	int rc;

	if (unused[0])
		return;
	log_set_level("error");
	rc = vq_init(&vq, "fuzz0", 0, MAX_SIZE);
	assert(rc == 0);
	for (unsigned i = 0; i < MAX_SIZE; i++)
		unused[i] = &pool[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct input *in = (const struct input *)data;

	if (size < sizeof(*in) || size - sizeof(*in) < in->num_ops)
		return -1;
	set_up_once();
	ops = data + sizeof(*in);
	ops_end = ops + in->num_ops;
	max_iov = (uint16_t)(1 + in->max_iov % MAX_IOV);
	honest = !FUZZ_INFLIGHT && in->flags & FLAG_HONEST;
	lay_out(in, ops_end, (size_t)(data + size - ops_end));
	num_popped = num_open = 0;
	vq.broken = false;
	if (vq_attach(&vq, &setup)) {
		assert(vq.refused);
		return -1;
	}
	while (ops < ops_end) {
		if (!step(next_op()))
			return 0;
	}
	pass();
	pass();
	check_log();
	/* A broken ring gives nothing more. */
	assert(!vq.broken || (!pop() && (vq.num_resubmit || !vq_waiting(&vq, MAX_SIZE))));
	vq_detach(&vq);
	return 0;
}
