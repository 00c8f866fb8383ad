/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a queue makes of an in-flight area: of one that a process before it left, and of any
 * nonsense a front-end can put there (hostile-inputs 19). Tests ring/recover and ring/inflight.
 */
#include "tests/unit/ring_rig.h"

#define SIZE       RIG_SIZE
#define AREA_BYTES 512
#define GUARD      0xa5
#define AVAIL      (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED       (1u << VRING_PACKED_DESC_F_USED)

static struct {
	uint8_t bytes[AREA_BYTES];
	uint8_t guard[64];
} __attribute__((aligned(64))) room;

static struct inflight_split *const split = (void *)room.bytes;
static struct inflight_packed *const packed = (void *)room.bytes;

static void open_rig(bool is_packed)
{
	rig_open();
	memset(&room, 0, sizeof(room));
	memset(room.guard, GUARD, sizeof(room.guard));
	rig_attach(is_packed, SIZE, 0, is_packed ? 0x8000 : 0);
	vq_detach(&r.vq);
	r.setup.inflight = room.bytes;
	r.setup.inflight_bytes = vq_inflight_bytes(is_packed, SIZE);
}

static void close_rig(void)
{
	for (unsigned i = 0; i < sizeof(room.guard); i++)
		ck_assert_uint_eq(room.guard[i], GUARD);
	rig_close();
}

static int attach(void)
{
	return vq_attach(&r.vq, &r.setup);
}

/* A split ring whose driver made @avail chains available, one descriptor each; @used are used. */
static void split_driver(uint16_t avail, uint16_t used)
{
	struct vring_avail *ring = r.setup.avail;
	struct vring_desc *desc = r.setup.desc;

	for (unsigned i = 0; i < SIZE; i++) {
		desc[i] = (struct vring_desc){.addr = GPA_DATA + 512 * i, .len = 512};
		ring->ring[i] = (uint16_t)i;
	}
	ring->idx = avail;
	((struct vring_used *)r.setup.used)->idx = used;
}

static void split_area(uint16_t used_idx)
{
	split->version = INFLIGHT_VERSION;
	split->desc_num = SIZE;
	split->used_idx = used_idx;
}

static void split_flight(uint16_t head, uint64_t counter)
{
	split->desc[head].inflight = 1;
	split->desc[head].counter = counter;
}

/* A packed ring full of available chains of one descriptor, in the round of @wrap. */
static void packed_driver(bool wrap)
{
	struct vring_packed_desc *desc = r.setup.desc;

	for (unsigned i = 0; i < SIZE; i++)
		desc[i] = (struct vring_packed_desc){
			.addr = GPA_DATA + 512 * i,
			.len = 512,
			.id = (uint16_t)i,
			.flags = wrap ? AVAIL : USED,
		};
}

static void packed_area(uint16_t used_idx, uint8_t wrap)
{
	packed->version = INFLIGHT_VERSION;
	packed->desc_num = SIZE;
	packed->used_idx = packed->old_used_idx = used_idx;
	packed->used_wrap = packed->old_used_wrap = wrap;
	for (unsigned i = 0; i < SIZE; i++)
		packed->desc[i].next = (uint16_t)(i + 1);
	packed->free_head = packed->old_free_head = SIZE;
}

/* Entry @e: a chain of one, with its descriptor as it was taken. */
static void packed_flight(uint16_t e, uint16_t id, uint64_t counter)
{
	packed->desc[e] = (struct inflight_packed_entry){
		.inflight = 1,
		.next = (uint16_t)(e + 1),
		.last = e,
		.num = 1,
		.counter = counter,
		.id = id,
		.len = 100u + id,
		.addr = GPA_DATA + 512ull * id,
	};
}

START_TEST(a_new_area_leaves_the_place_to_the_base)
{
	open_rig(true);
	r.setup.base = 0x8003 | 0x8003u << 16;
	ck_assert_int_eq(attach(), 0);
	ck_assert(!r.vq.recovered);
	ck_assert_uint_eq(vq_base(&r.vq), r.setup.base);
	ck_assert_uint_eq(packed->used_idx, 3);
	ck_assert_uint_eq(packed->version, INFLIGHT_VERSION);
	ck_assert_uint_eq(packed->desc_num, SIZE);
	/* From here on the area knows, even if nothing was ever taken. */
	r.setup.base = 0x1111;
	ck_assert_int_eq(attach(), 0);
	ck_assert(r.vq.recovered);
	ck_assert_uint_eq(vq_base(&r.vq), 0x8003 | 0x8003u << 16);
	/* A clean stop forgets that. */
	vq_inflight_clear(room.bytes, vq_inflight_bytes(true, SIZE));
	r.setup.base = 0x8001;
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_eq(vq_base(&r.vq), 0x8001 | 0x8001u << 16);
	close_rig();
}
END_TEST

START_TEST(a_wrong_base_of_a_new_packed_area_is_refused)
{
	open_rig(true);
	r.setup.base = 0x7fff;
	ck_assert_int_eq(attach(), -EINVAL);
	ck_assert_uint_eq(packed->version, 0);
	close_rig();
}
END_TEST

static const uint32_t bases[] = {0, 3, 7, 5, 0xffff, 0x12345};

START_TEST(split_goes_on_behind_what_is_in_flight_whatever_the_base)
{
	static const unsigned order[] = {4, 5, 3, 6};

	open_rig(false);
	split_driver(7, 3);
	split_area(3);
	split_flight(5, 20);
	split_flight(3, 21);
	split_flight(4, 19);
	split->desc[1].counter = 30;
	r.setup.base = bases[_i];
	ck_assert_int_eq(attach(), 0);
	ck_assert(r.vq.recovered);
	ck_assert_uint_eq(r.vq.num_resubmit, 3);
	ck_assert_uint_eq(vq_waiting(&r.vq, 64), 3);
	ck_assert(vq_kicks_on(&r.vq));
	ck_assert(vq_owes(&r.vq));
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.head, order[i]);
		ck_assert_uint_eq(r.chain.out_bytes, 512);
	}
	ck_assert(!vq_owes(&r.vq));
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(vq_base(&r.vq), 7);
	ck_assert_uint_gt(split->desc[6].counter, 30); /* later than all before */
	close_rig();
}
END_TEST

/* The batch of 2 and 0 became visible, their marks were not cleared yet. */
START_TEST(split_marks_of_a_batch_the_driver_saw_do_not_count)
{
	open_rig(false);
	split_driver(4, 3);
	split_area(1);
	split_flight(2, 3);
	split_flight(0, 1);
	split_flight(3, 4);
	split->last_batch_head = 0;
	split->desc[0].next = 2;
	split->desc[2].next = 7;
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, 3);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(split->used_idx, 3);
	ck_assert_uint_eq(split->desc[2].inflight, 0);
	close_rig();
}
END_TEST

START_TEST(split_batch_list_may_lead_anywhere)
{
	static const uint16_t nexts[] = {0, 1, 7, SIZE, UINT16_MAX};

	open_rig(false);
	split_driver(4, 4);
	split_area((uint16_t)(_i & 1 ? 4 - SIZE : 5));
	split->last_batch_head = nexts[_i / 2 % 5];
	for (unsigned i = 0; i < SIZE; i++)
		split->desc[i].next = nexts[_i / 10];
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_eq(r.vq.num_resubmit, 0);
	close_rig();
}
END_TEST

START_TEST(split_more_in_flight_than_available_is_refused)
{
	open_rig(false);
	split_driver(4, 3);
	split_area(3);
	split_flight(1, 1);
	split_flight(2, 2);
	ck_assert_int_eq(attach(), -EBADMSG);
	ck_assert_ptr_nonnull(r.vq.refused);
	close_rig();
}
END_TEST

START_TEST(counters_alike_give_each_chain_once)
{
	open_rig(false);
	split_driver(SIZE, 0);
	split_area(0);
	for (uint16_t i = 0; i < SIZE; i++)
		split_flight(i, UINT64_MAX);
	ck_assert_int_eq(attach(), 0);
	for (unsigned i = 0; i < SIZE; i++) {
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.head, i);
	}
	ck_assert_int_eq(pop(), 0);
	close_rig();
}
END_TEST

START_TEST(an_area_of_another_kind_is_refused)
{
	struct inflight_split *either = split;

	open_rig(_i & 1);
	if (_i & 1)
		packed_area(0, 1);
	else
		split_area(0);
	switch (_i / 2) {
	case 0:
		either->version = 2;
		break;
	case 1:
		either->desc_num = 0;
		break;
	case 2:
		either->desc_num = SIZE + 1;
		break;
	case 3:
		either->desc_num = UINT16_MAX;
		break;
	default:
		r.setup.inflight_bytes--;
	}
	ck_assert_int_eq(attach(), -EBADMSG);
	ck_assert_ptr_nonnull(r.vq.refused);
	ck_assert_ptr_null(r.vq.track);
	close_rig();
}
END_TEST

START_TEST(packed_chains_are_served_from_their_copies)
{
	struct vring_packed_desc *desc;

	open_rig(true);
	packed_driver(true);
	packed_area(2, 1);
	packed_flight(6, 3, 9);
	packed_flight(1, 7, 8);
	packed->desc[1].num = 2; /* and entry 4 */
	packed->desc[1].next = 4;
	packed->desc[1].last = 4;
	packed->desc[4] = (struct inflight_packed_entry){
		.next = 2, .id = 7, .flags = VRING_DESC_F_WRITE, .len = 9, .addr = GPA_B};
	packed->free_head = packed->old_free_head = 0;
	packed->desc[0].next = 2;
	packed->desc[2].next = SIZE;
	desc = r.setup.desc;
	memset(&desc[2], 0, 3 * sizeof(desc[0])); /* the ring's own are gone */
	desc[2].flags = desc[3].flags = AVAIL | USED; /* used, in a batch never begun */
	r.setup.base = 0x1234;
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, 7);
	ck_assert_uint_eq(r.chain.out_bytes, 107);
	ck_assert_uint_eq(r.chain.in_bytes, 9);
	ck_assert_ptr_eq(r.chain.iov[1].iov_base, at(GPA_B));
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, 3);
	/* The driver must not take them for used before they are. */
	for (unsigned i = 2; i < 5; i++)
		ck_assert_uint_eq(desc[i].flags & (AVAIL | USED), AVAIL);
	ck_assert_uint_eq(r.vq.next_avail, 5);
	ck_assert_uint_eq(r.vq.room, SIZE - 3);
	vq_push(&r.vq, 7, 9);
	vq_publish(&r.vq);
	ck_assert_uint_eq(desc[2].flags, AVAIL | USED | VRING_DESC_F_WRITE);
	ck_assert_uint_eq(packed->used_idx, 4);
	ck_assert_uint_eq(packed->old_used_idx, 4);
	ck_assert_uint_eq(packed->desc[1].inflight, 0);
	ck_assert_uint_eq(packed->desc[6].inflight, 1);
	close_rig();
}
END_TEST

/* A batch ends with a store to its first slot: before it, all of it is undone; after it, done. */
START_TEST(packed_batch_counts_if_the_driver_can_have_seen_it)
{
	bool seen = _i & 1, again = _i & 2;
	struct vring_packed_desc *desc;

	open_rig(true);
	packed_driver(true);
	packed_area(6, 1);
	packed_flight(0, 6, 5);
	packed_flight(1, 7, 6);
	packed->used_idx = 0;
	packed->used_wrap = 0;
	packed->free_head = 1;
	packed->desc[1].next = 0;
	packed->desc[0].next = 2;
	packed->old_free_head = 2;
	desc = r.setup.desc;
	desc[7].flags = AVAIL | USED;
	desc[6].flags = !seen ? AVAIL : again ? USED : AVAIL | USED;
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_eq(r.vq.num_resubmit, seen ? 0 : 2);
	ck_assert_uint_eq(r.vq.next_used, seen ? 0 : 6);
	ck_assert_uint_eq(r.vq.used_wrap, !seen);
	ck_assert_uint_eq(r.vq.next_avail, 0);
	ck_assert_uint_eq(r.vq.avail_wrap, 0);
	ck_assert_uint_eq(desc[7].flags & (AVAIL | USED), seen ? AVAIL | USED : AVAIL);
	close_rig();
}
END_TEST

/* The whole ring in one batch: the index is the same, only the wrap counter tells. */
START_TEST(packed_batch_of_the_whole_ring)
{
	bool seen = _i & 1;
	struct vring_packed_desc *desc;

	open_rig(true);
	packed_driver(true);
	packed_area(0, 1);
	packed->used_wrap = 0;
	for (uint16_t i = 0; i < SIZE; i++)
		packed_flight(i, i, i + 1u);
	packed->free_head = 0; /* all of them */
	desc = r.setup.desc;
	desc[0].flags = seen ? AVAIL | USED : AVAIL;
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_eq(r.vq.num_resubmit, seen ? 0 : SIZE);
	ck_assert_uint_eq(r.vq.room, seen ? SIZE : 0);
	ck_assert_uint_eq(r.vq.avail_wrap, 0);
	close_rig();
}
END_TEST

static void packed_nonsense(int kind)
{
	switch (kind) {
	case 0:
		packed->old_used_idx = packed->used_idx = SIZE;
		break;
	case 1:
		packed->old_used_idx = UINT16_MAX;
		break;
	case 2:
		packed->desc[1].num = 0;
		break;
	case 3:
		packed->desc[1].num = SIZE + 1;
		break;
	case 4: /* into another chain */
		packed->desc[1].num = 2;
		packed->desc[1].next = packed->desc[1].last = 2;
		break;
	case 5: /* round and round */
		packed->desc[1].num = 3;
		packed->desc[1].next = packed->desc[1].last = 1;
		break;
	case 6: /* out */
		packed->desc[1].num = 2;
		packed->desc[1].next = packed->desc[1].last = SIZE;
		break;
	case 7:
		packed->desc[1].last = 5;
		break;
	case 8:
		packed->desc[1].id = SIZE;
		break;
	default: /* two with one id */
		packed->desc[1].id = packed->desc[2].id;
	}
}

START_TEST(packed_chains_that_are_none_are_refused)
{
	open_rig(true);
	packed_driver(true);
	packed_area(0, 1);
	packed_flight(1, 1, 1);
	packed_flight(2, 2, 2);
	ck_assert_int_eq(attach(), 0);
	vq_detach(&r.vq);
	packed_nonsense(_i);
	ck_assert_int_eq(attach(), -EBADMSG);
	ck_assert_ptr_nonnull(r.vq.refused);
	close_rig();
}
END_TEST

START_TEST(packed_free_list_may_lead_anywhere)
{
	static const uint16_t nexts[] = {0, 5, SIZE, UINT16_MAX};

	open_rig(true);
	packed_driver(true);
	packed_area(0, 1);
	packed->free_head = packed->old_free_head = nexts[_i % 4];
	for (unsigned i = 0; i < SIZE; i++)
		packed->desc[i].next = nexts[_i / 4];
	packed->desc[3].counter = 1;
	ck_assert_int_eq(attach(), 0);
	/* It is made anew: the ring can be filled. */
	for (unsigned i = 0; i < SIZE; i++)
		ck_assert_int_eq(pop(), 1);
	for (unsigned i = 0; i < SIZE; i++)
		ck_assert_uint_eq(packed->desc[i].inflight, 1);
	close_rig();
}
END_TEST

/* What is given back is neither lost nor taken twice, whoever took it. */
START_TEST(unpop_gives_back_to_where_it_came_from)
{
	bool is_packed = _i & 1;
	uint16_t first;

	open_rig(is_packed);
	if (is_packed) {
		packed_driver(true);
		packed_area(0, 1);
		packed_flight(0, 0, 1);
		packed_flight(1, 1, 2);
	} else {
		split_driver(4, 0);
		split_area(0);
		split_flight(0, 1);
		split_flight(1, 2);
	}
	ck_assert_int_eq(attach(), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(pop(), 1);
		first = r.chain.head;
		ck_assert_uint_eq(first, i);
		vq_unpop(&r.vq, &r.chain);
		ck_assert_uint_eq(r.vq.num_resubmit, i < 2 ? 2 - i : 0);
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.head, first);
		if (is_packed)
			ck_assert_uint_eq(packed->desc[i].inflight, 1);
		else
			ck_assert_uint_eq(split->desc[i].inflight, 1);
	}
	ck_assert_uint_eq(vq_base(&r.vq) & 0x7fff, 4);
	close_rig();
}
END_TEST

/* No driver has its descriptors back before they are published, but a hostile one may fill their
 * slots again: then there are more chains to be noted than the area has entries. */
START_TEST(packed_slots_filled_again_before_the_publish)
{
	struct vring_packed_desc *desc;
	size_t bytes = vq_inflight_bytes(true, SIZE);
	unsigned i;

	open_rig(true);
	desc = r.setup.desc;
	memset(room.bytes + bytes, GUARD, AREA_BYTES - bytes);
	packed_driver(true);
	ck_assert_int_eq(attach(), 0);
	for (i = 0; i < SIZE; i++)
		ck_assert_int_eq(pop(), 1);
	for (i = 0; i < 3; i++)
		vq_push(&r.vq, (uint16_t)i, 0);
	for (i = 0; i < 3; i++) {
		desc[i].id = (uint16_t)i;
		desc[i].flags = USED;
		ck_assert_int_eq(pop(), 1);
	}
	for (i = 0; i < SIZE; i++) {
		if (r.vq.in_flight[i])
			vq_push(&r.vq, (uint16_t)i, 0);
	}
	vq_publish(&r.vq);
	for (i = 0; i < SIZE; i++)
		ck_assert_uint_eq(packed->desc[i].inflight, 0);
	vq_detach(&r.vq);
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_eq(r.vq.num_resubmit, 0);
	for (i = (unsigned)bytes; i < AREA_BYTES; i++)
		ck_assert_uint_eq(room.bytes[i], GUARD);
	vq_detach(&r.vq);
	close_rig();
}
END_TEST

/* Any bytes at all: attached or refused, and then at most a ring full of chains, each once. */
START_TEST(any_area_is_survived)
{
	uint64_t seed = 88172645463325252ull + (unsigned)_i;

	open_rig(_i & 1);
	for (unsigned round = 0; round < 2000; round++) {
		bool seen[SIZE] = {false};
		unsigned n = 0;

		for (unsigned i = 0; i < AREA_BYTES / 2; i++) {
			uint64_t x = next_random(&seed);

			((uint16_t *)room.bytes)[i] = (uint16_t)(x % 5 ? x % 11 : x >> 20);
		}
		split->version = INFLIGHT_VERSION;
		split->desc_num = SIZE;
		if (_i & 1)
			packed_driver(round & 1);
		else
			split_driver((uint16_t)(next_random(&seed) % 16), (uint16_t)(round % 8));
		r.vq.broken = false;
		if (attach())
			continue;
		while (pop() == 1) {
			inside();
			ck_assert_uint_lt(r.chain.head, SIZE);
			ck_assert(!seen[r.chain.head]);
			seen[r.chain.head] = true;
			ck_assert_uint_le(++n, SIZE);
		}
		for (uint16_t i = 0; i < SIZE; i++) {
			if (seen[i])
				vq_push(&r.vq, i, 0);
		}
		vq_publish(&r.vq);
		vq_detach(&r.vq);
	}
	close_rig();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_recover");
	TCase *tc = tcase_create("recovery");

	tcase_add_test(tc, a_new_area_leaves_the_place_to_the_base);
	tcase_add_test(tc, a_wrong_base_of_a_new_packed_area_is_refused);
	tcase_add_loop_test(tc, split_goes_on_behind_what_is_in_flight_whatever_the_base, 0,
			    ARRAY_SIZE(bases));
	tcase_add_test(tc, split_marks_of_a_batch_the_driver_saw_do_not_count);
	tcase_add_test(tc, packed_chains_are_served_from_their_copies);
	tcase_add_loop_test(tc, packed_batch_counts_if_the_driver_can_have_seen_it, 0, 4);
	tcase_add_loop_test(tc, packed_batch_of_the_whole_ring, 0, 2);
	tcase_add_loop_test(tc, unpop_gives_back_to_where_it_came_from, 0, 2);
	suite_add_tcase(suite, tc);

	tc = tcase_create("hostile");
	tcase_add_loop_test(tc, split_batch_list_may_lead_anywhere, 0, 50);
	tcase_add_test(tc, split_more_in_flight_than_available_is_refused);
	tcase_add_test(tc, counters_alike_give_each_chain_once);
	tcase_add_loop_test(tc, an_area_of_another_kind_is_refused, 0, 10);
	tcase_add_loop_test(tc, packed_chains_that_are_none_are_refused, 0, 10);
	tcase_add_loop_test(tc, packed_free_list_may_lead_anywhere, 0, 16);
	tcase_add_test(tc, packed_slots_filled_again_before_the_publish);
	tcase_add_loop_test(tc, any_area_is_survived, 0, 4);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
