/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_ring_order.c - the driver of a ring in order takes batches that the device answered with
 * one used entry, chain by chain, in both formats; a split ring's descriptors are in the order of
 * the table; a device that breaks the order breaks the ring. Tests frontend/ring_order.
 */
#include <errno.h>
#include <poll.h>

#include "tests/unit/support.h"
#include "vhost/frontend/ring.h"

#define RAM_GPA   0x40000000ull
#define RAM_BYTES (1u << 20)
#define MAX_SIZE  16u
#define SIZE      8u

/* For loops: ck_assert writes to a pipe each time it is passed. */
#define check(condition)                                \
	do {                                            \
		if (!(condition))                       \
			ck_abort_msg("%s", #condition); \
	} while (0)

static struct fe_memory mem;
static struct fe_ring ring;

/* A place in the ring or table, and the wrap counter there. */
struct place {
	unsigned slot;
	bool wrap;
};

/* A device of a few lines. */
static struct {
	struct place take; /* of the next chain to take */
	struct place use; /* of the next used entry; packed */
	uint16_t taken_idx; /* split: chains taken, and used */
	uint16_t used_idx;
	unsigned id[MAX_SIZE]; /* chains taken and not used */
	unsigned num_desc[MAX_SIZE];
	unsigned taken;
} device;

static void device_begins(void)
{
	memset(&device, 0, sizeof(device));
	device.take.wrap = device.use.wrap = true;
}

static void step(struct place *p, unsigned by)
{
	p->slot += by;
	if (p->slot >= ring.size) {
		p->slot -= ring.size;
		p->wrap = !p->wrap;
	}
}

static void make(bool packed, unsigned size, unsigned indirect)
{
	struct fe_ring_options options = {
		.size = (uint16_t)size,
		.packed = packed,
		.event_idx = true,
		.in_order = true,
		.indirect = (uint16_t)indirect,
	};

	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, RAM_GPA, RAM_BYTES, false), 0);
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
	device_begins();
}

static void drop(void)
{
	fe_ring_free(&ring);
	fe_memory_free(&mem);
}

static bool is_available(void)
{
	uint16_t bits = device.take.wrap ? FE_PACKED_AVAIL : FE_PACKED_USED;

	if (!ring.packed)
		return device.taken_idx != ring.avail->idx;
	return (ring.slots[device.take.slot].flags & FE_PACKED_BITS) == bits;
}

/* Take every chain there is. A split ring's are found without a look at the available ring. */
static void device_takes(void)
{
	while (device.taken < ring.size && is_available()) {
		unsigned id = device.take.slot, n = 0;
		uint16_t flags;

		if (!ring.packed)
			check(ring.avail->ring[device.taken_idx % ring.size] == id);
		do {
			unsigned at = device.take.slot;

			flags = ring.packed ? ring.slots[at].flags : ring.table[at].flags;
			if (ring.packed)
				id = ring.slots[at].id;
			else if (flags & VRING_DESC_F_NEXT)
				check(ring.table[at].next == (at + 1) % ring.size);
			step(&device.take, 1);
			n++;
		} while (flags & VRING_DESC_F_NEXT);
		device.id[device.taken] = id;
		device.num_desc[device.taken++] = n;
		device.taken_idx++;
	}
}

/* device_writes - one used entry at the device's place, and on by @n chains. */
static void device_writes(uint32_t id, uint32_t len, unsigned n)
{
	uint64_t bits = device.use.wrap ? FE_PACKED_BITS : 0;
	unsigned i, at = device.use.slot;

	for (i = 0; i < n && i < device.taken; i++)
		step(&device.use, device.num_desc[i]);
	device.taken -= i;
	memmove(device.id, device.id + i, device.taken * sizeof(device.id[0]));
	memmove(device.num_desc, device.num_desc + i, device.taken * sizeof(device.num_desc[0]));
	if (ring.packed) {
		__atomic_store_n(fe_packed_word(&ring, at),
				 htole64(bits << 48 | (uint64_t)id << 32 | len), __ATOMIC_RELEASE);
		return;
	}
	ring.used->ring[device.used_idx % ring.size] =
		(struct vring_used_elem){.id = id, .len = len};
	device.used_idx = (uint16_t)(device.used_idx + n);
	__atomic_store_n(&ring.used->idx, device.used_idx, __ATOMIC_RELEASE);
}

/* device_uses - the next @n chains with one entry, the last with @len bytes. */
static void device_uses(unsigned n, uint32_t len)
{
	device_takes();
	check(n <= device.taken);
	device_writes(device.id[n - 1], len, n);
}

/* Chain @i of a test: 1 to 3 descriptors, 10 + i bytes to be written. */
static struct fe_buf some_bufs[] = {{RAM_GPA, 1}, {RAM_GPA + 64, 2}, {RAM_GPA + 128, 10}};

static int add(unsigned i, unsigned num_desc)
{
	some_bufs[2].len = 10 + i;
	return fe_ring_add(&ring, some_bufs + 3 - num_desc, num_desc - 1, 1);
}

static unsigned must_add(unsigned i, unsigned num_desc)
{
	int head = add(i, num_desc);

	check(head >= 0);
	return (unsigned)head;
}

/* Batches of every size, used with one entry each, over many turns of ring and indices. */
START_TEST(a_batch_is_polled_chain_by_chain)
{
	bool packed = _i & 1;
	unsigned indirect = _i & 2 ? 3 : 0;
	/* A packed ring need not be a power of two. */
	unsigned size = packed ? 7 : SIZE;
	struct fe_used used[MAX_SIZE];
	unsigned heads[MAX_SIZE], turn, n, i;
	int ret;

	make(packed, size, indirect);
	for (turn = 0; turn < 30000; turn++) {
		for (n = 0; n < 1 + turn % size; n++) {
			int head = add(n, 1 + (turn + n) % 3);

			if (head < 0)
				break;
			heads[n] = (unsigned)head;
		}
		fe_ring_publish(&ring);
		check(fe_ring_poll(&ring, used, MAX_SIZE) == 0);
		device_uses(n, 5);
		check(!fe_ring_interrupts_on(&ring));
		/* In two bites: a part of a batch waits. */
		ret = fe_ring_poll(&ring, used, n / 2);
		check(ret == (int)(n / 2));
		check(!fe_ring_interrupts_on(&ring));
		ret = fe_ring_poll(&ring, used + n / 2, MAX_SIZE - n / 2);
		check(ret == (int)(n - n / 2));
		check(fe_ring_interrupts_on(&ring));
		for (i = 0; i < n; i++) {
			check(used[i].head == heads[i]);
			check(used[i].len == (i + 1 < n ? 10 + i : 5));
		}
		check(fe_ring_in_flight(&ring) == 0);
		check(ring.num_free == size);
		check(fe_ring_poll(&ring, used, MAX_SIZE) == 0);
	}
	drop();
}
END_TEST

/* Entries for one chain, and batches, and some not used yet, as a device likes. */
START_TEST(batches_and_single_chains_mix)
{
	static const unsigned batches[] = {1, 1, 2, 1, 3, 1, 1, 2};
	struct fe_used used[MAX_SIZE];
	unsigned next = 0, taken = 0, turn, i;
	unsigned order[64];

	make(_i & 1, MAX_SIZE, _i & 2 ? 3 : 0);
	for (turn = 0; turn < 20000; turn++) {
		unsigned n = batches[turn % ARRAY_SIZE(batches)];
		int ret;

		while (fe_ring_in_flight(&ring) < 4) {
			order[next % 64] = must_add(0, 1 + next % 3);
			next++;
		}
		fe_ring_publish(&ring);
		/* One entry each, and a batch, between two polls. */
		device_uses(1, 3);
		device_uses(n, 4);
		ret = fe_ring_poll(&ring, used, MAX_SIZE);
		check(ret == (int)(1 + n));
		for (i = 0; i < 1 + n; i++) {
			check(used[i].head == order[taken++ % 64]);
			check(used[i].len == (i == 0 ? 3 : i == n ? 4 : 10u));
		}
	}
	drop();
}
END_TEST

/* Prepared chains in any order: the table is filled in order all the same (device_takes). */
START_TEST(prepared_chains_are_submitted_in_any_order)
{
	struct fe_used used[MAX_SIZE];
	unsigned heads[5], turn, i;

	make(_i & 1, MAX_SIZE, 0);
	for (i = 0; i < 5; i++) {
		int head = fe_ring_prepare(&ring, some_bufs, 2, 1);

		check(head >= 0);
		heads[i] = (unsigned)head;
	}
	for (turn = 0; turn < 1000; turn++) {
		struct fe_buf data = {RAM_GPA + 4096, 100 + turn};

		/* What was changed is what the device gets next. */
		fe_ring_change(&ring, heads[turn % 5], 2, data, true);
		for (i = 0; i < 5; i++)
			fe_ring_submit(&ring, heads[(turn * (1 + turn % 4) + i * 2) % 5]);
		fe_ring_publish(&ring);
		device_uses(5, 0);
		check(fe_ring_poll(&ring, used, MAX_SIZE) == 5);
		for (i = 0; i < 5; i++) {
			check(used[i].head == heads[(turn * (1 + turn % 4) + i * 2) % 5]);
			if (i < 4 && used[i].head == heads[turn % 5])
				check(used[i].len == 100 + turn);
		}
	}
	drop();
}
END_TEST

/* fe_ring_base counts what was used, whether it was polled or not, by batch or not. */
START_TEST(the_base_is_behind_the_last_used_batch)
{
	struct fe_used used[MAX_SIZE];
	uint32_t expected;
	unsigned i, bite;

	for (bite = 0; bite <= 5; bite++) {
		make(_i & 1, SIZE, 0);
		for (i = 0; i < 6; i++)
			must_add(i, 1);
		fe_ring_publish(&ring);
		device_uses(1, 1);
		device_uses(3, 1);
		device_uses(1, 1);
		check(fe_ring_poll(&ring, used, bite) == (int)bite);
		expected = ring.packed ? 0x80058005 : 5;
		ck_assert_uint_eq(fe_ring_base(&ring), expected);
		check(fe_ring_poll(&ring, used, MAX_SIZE) == (int)(5 - bite));
		ck_assert_uint_eq(fe_ring_base(&ring), expected);
		drop();
	}
}
END_TEST

/* What a device must not do; each breaks the ring for good. Four chains are in flight. */
START_TEST(a_device_out_of_order_breaks_the_ring)
{
	const char *why = "used id out of order";
	struct fe_used used[MAX_SIZE];
	unsigned id[4], i;
	int good = 0;

	make(_i & 1, MAX_SIZE, 0);
	must_add(0, 2);
	fe_ring_publish(&ring);
	device_uses(1, 1);
	check(fe_ring_poll(&ring, used, MAX_SIZE) == 1);
	for (i = 0; i < 4; i++)
		must_add(i, 2);
	fe_ring_publish(&ring);
	must_add(4, 2); /* not published */
	device_takes();
	check(device.taken == 4);
	memcpy(id, device.id, sizeof(id));
	switch (_i >> 1) {
	case 0: /* no id at all */
		device_writes(MAX_SIZE, 0, 1);
		why = "used id outside the ring";
		break;
	case 1:
		device_writes(ring.packed ? UINT16_MAX : UINT32_MAX, 0, 1);
		why = "used id outside the ring";
		break;
	case 2: /* used before; packed, its id may be in flight again */
		device_writes(ring.packed ? 15 : 0, 0, 1);
		break;
	case 3: /* in the middle of a chain */
		device_writes(id[1] + 1, 0, 1);
		break;
	case 4: /* the same again, in a place of its own */
		device_writes(id[1], 0, 2);
		device_writes(id[1], 0, 1);
		good = 2;
		break;
	case 5: /* back */
		device_writes(id[2], 0, 3);
		device_writes(id[0], 0, 1);
		good = 3;
		break;
	case 6: /* not published */
		device_writes(ring.packed ? ring.flights[ring.published & ring.flight_mask]
					  : (id[3] + 2) % MAX_SIZE,
			      0, 4);
		break;
	case 7: /* too long for the last, though not for the one after it */
		device_writes(id[1], 12, 2);
		why = "used length beyond the chain's writable bytes";
		break;
	case 8:
		device_writes(id[3], UINT32_MAX, 4);
		why = "used length beyond the chain's writable bytes";
		break;
	}
	if (good)
		ck_assert_int_eq(fe_ring_poll(&ring, used, MAX_SIZE), good);
	ck_assert_int_eq(fe_ring_poll(&ring, used, MAX_SIZE), -EPROTO);
	ck_assert_str_eq(ring.why, why);
	ck_assert_int_eq(fe_ring_poll(&ring, used, MAX_SIZE), -EPROTO);
	fe_ring_reset(&ring);
	ck_assert_uint_eq(ring.num_free, MAX_SIZE);
	drop();
}
END_TEST

/* Split: the id names a chain further on than the index says. */
START_TEST(a_batch_beyond_the_used_index_breaks_the_ring)
{
	struct fe_used used[MAX_SIZE];
	unsigned i;

	make(false, SIZE, 0);
	for (i = 0; i < 4; i++)
		must_add(i, 1);
	fe_ring_publish(&ring);
	device_takes();
	device_writes(device.id[2], 0, 2);
	ck_assert_int_eq(fe_ring_poll(&ring, used, MAX_SIZE), -EPROTO);
	ck_assert_str_eq(ring.why, "used id out of order");
	drop();

	make(false, SIZE, 0);
	must_add(0, 1);
	fe_ring_publish(&ring);
	device_takes();
	device_writes(0, 0, 2); /* more than there are */
	ck_assert_int_eq(fe_ring_poll(&ring, used, MAX_SIZE), -EPROTO);
	drop();
}
END_TEST

START_TEST(reset_begins_anew)
{
	struct fe_used used[MAX_SIZE];
	unsigned i;

	make(_i & 1, SIZE, 0);
	for (i = 0; i < 5; i++)
		must_add(i, 1);
	fe_ring_publish(&ring);
	device_uses(3, 1);
	check(fe_ring_poll(&ring, used, 1) == 1); /* two of a batch are left */
	fe_ring_reset(&ring);
	device_begins();
	check(fe_ring_poll(&ring, used, MAX_SIZE) == 0);
	ck_assert_uint_eq(ring.num_free, SIZE);
	ck_assert_uint_eq(fe_ring_base(&ring), ring.packed ? 0x80008000 : 0);
	must_add(7, 3);
	fe_ring_publish(&ring);
	device_uses(1, 17);
	check(fe_ring_poll(&ring, used, MAX_SIZE) == 1);
	ck_assert_uint_eq(used[0].len, 17);
	drop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_ring_order");
	TCase *tc = tcase_create("order");

	tcase_add_loop_test(tc, a_batch_is_polled_chain_by_chain, 0, 4);
	tcase_add_loop_test(tc, batches_and_single_chains_mix, 0, 4);
	tcase_add_loop_test(tc, prepared_chains_are_submitted_in_any_order, 0, 2);
	tcase_add_loop_test(tc, the_base_is_behind_the_last_used_batch, 0, 2);
	tcase_add_loop_test(tc, a_device_out_of_order_breaks_the_ring, 0, 18);
	tcase_add_test(tc, a_batch_beyond_the_used_index_breaks_the_ring);
	tcase_add_loop_test(tc, reset_begins_anew, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
