/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_hostile_packed.c - hostile inputs 28 to 41 and 48 on a packed ring, as far as they differ
 * from a split one: ids, chains without end, indirect tables, event areas.
 */
#include <pthread.h>

#include "tests/unit/ring_rig.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL    (1u << VRING_PACKED_DESC_F_AVAIL)
#define BASE     0x80008000u /* both positions 0, both wrap counters 1 */
#define FEATURES                                                         \
	((1ull << VIRTIO_F_VERSION_1) | (1ull << VIRTIO_F_RING_PACKED) | \
	 (1ull << VIRTIO_RING_F_INDIRECT_DESC))

static void open_packed(void)
{
	rig_open();
	rig_attach(true, RIG_SIZE, FEATURES, BASE);
}

/* One descriptor, available in the first round. */
static void desc(unsigned i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t id)
{
	((struct vring_packed_desc *)r.setup.desc)[i] =
		(struct vring_packed_desc){gpa, len, id, (uint16_t)(flags | AVAIL)};
}

static void entry(unsigned i, uint64_t gpa, uint32_t len, uint16_t flags)
{
	((struct vring_packed_desc *)at(GPA_DATA))[i] =
		(struct vring_packed_desc){gpa, len, 0, flags};
}

static void broken(void)
{
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	ck_assert(signalled(r.err_fd));
	ck_assert_int_eq(pop(), 0);
	ck_assert(!vq_kicks_on(&r.vq));
	ck_assert(!signalled(r.err_fd));
}

/* The chain at entry 0, of one ring descriptor, is refused; the one at entry 1 is served. */
static void bad_chain(enum vq_chain_error error)
{
	ck_assert_int_eq(pop(), 1);
	ck_assert_str_eq(vq_chain_error_name(r.chain.error), vq_chain_error_name(error));
	inside();
	vq_push(&r.vq, r.chain.head, 0);
	vq_publish(&r.vq);
	desc(1, GPA_DATA, 100, 0, 3);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.head, 3);
	ck_assert_uint_eq(r.chain.out_bytes, 100);
	vq_detach(&r.vq);
	memset(r.setup.desc, 0, RIG_SIZE * sizeof(struct vring_packed_desc));
	rig_attach(true, RIG_SIZE, FEATURES, BASE);
}

START_TEST(h38_an_id_outside_the_ring_stops_it)
{
	static const uint16_t ids[] = {RIG_SIZE, RIG_SIZE + 1, 0x8000, 0xffff};

	desc(0, GPA_DATA, 16, 0, ids[_i]);
	broken();
}
END_TEST

START_TEST(h38_only_the_last_id_of_a_chain_counts)
{
	desc(0, GPA_DATA, 16, NEXT, 0xffff);
	desc(1, GPA_DATA, 16, WRITE, 5);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.head, 5);
}
END_TEST

START_TEST(h39_an_id_twice_in_flight_stops_the_ring)
{
	desc(0, GPA_DATA, 16, 0, 2);
	desc(1, GPA_DATA, 16, 0, 2);
	ck_assert_int_eq(pop(), 1);
	broken();
}
END_TEST

START_TEST(h29_a_chain_without_end_stops_the_ring)
{
	for (unsigned i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, NEXT, (uint16_t)i);
	broken();
}
END_TEST

/* With others in flight a chain can only be as long as what is left of the ring. */
START_TEST(h29_a_chain_into_what_is_in_flight_stops_the_ring)
{
	desc(0, GPA_DATA, 16, 0, 0);
	ck_assert_int_eq(pop(), 1);
	for (unsigned i = 1; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, NEXT, (uint16_t)i);
	broken();
}
END_TEST

START_TEST(h29_a_chain_as_long_as_the_ring_is_fine)
{
	for (unsigned i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, i < RIG_SIZE - 1 ? NEXT : 0, 6);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_out, RIG_SIZE);
	ck_assert_int_eq(pop(), 0);
	ck_assert(!r.vq.broken);
}
END_TEST

START_TEST(h31_unmapped_addresses)
{
	static const uint64_t gpas[] = {0, GPA_A - 1, GPA_HOLE, GPA_HOLE - 15, UINT64_MAX - 8};

	for (unsigned i = 0; i < ARRAY_SIZE(gpas); i++) {
		desc(0, gpas[i], 16, i % 2 ? WRITE : 0, 1);
		bad_chain(VQ_CHAIN_UNMAPPED);
	}
}
END_TEST

START_TEST(h32_a_buffer_over_two_regions_is_split)
{
	desc(0, GPA_B - 100, 300, WRITE, 1);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_in, 2);
	ck_assert_ptr_eq(r.iov[0].iov_base, at(GPA_B - 100));
	ck_assert_uint_eq(r.iov[0].iov_len, 100);
	ck_assert_ptr_eq(r.iov[1].iov_base, at(GPA_B));
	ck_assert_uint_eq(r.iov[1].iov_len, 200);
}
END_TEST

START_TEST(h32_a_buffer_that_leaves_the_last_region_is_a_bad_chain)
{
	desc(0, GPA_HOLE - 100, 101, 0, 1);
	bad_chain(VQ_CHAIN_UNMAPPED);
	desc(0, GPA_A, 2 * REGION_BYTES + 1, 0, 1);
	bad_chain(VQ_CHAIN_UNMAPPED);
}
END_TEST

/* As many buffers as there is room for, and one more; the id is found all the same. */
START_TEST(h37_more_buffers_than_the_device_takes)
{
	for (unsigned i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, i < RIG_SIZE - 1 ? NEXT | WRITE : WRITE, 5);
	r.chain.iov = r.iov;
	r.chain.max_iov = RIG_SIZE - 1;
	ck_assert_int_eq(vq_pop(&r.vq, &r.chain), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_TOO_LONG);
	ck_assert_uint_eq(r.chain.head, 5);
	ck_assert_uint_le(r.chain.num_out + r.chain.num_in, RIG_SIZE - 1);
	vq_push(&r.vq, 5, 0);
}
END_TEST

/* The device fills the buffer it was given, which is the ring: whatever comes of it stays inside. */
START_TEST(h48_a_buffer_over_the_ring)
{
	for (unsigned fill = 0; fill < 256; fill += 5) {
		desc(0, GPA_A, RIG_SIZE * 16, WRITE, 1);
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
		memset(r.iov[0].iov_base, (int)fill, r.iov[0].iov_len);
		vq_push(&r.vq, r.chain.head, RIG_SIZE * 16);
		vq_publish(&r.vq);
		vq_notify(&r.vq);
		for (unsigned i = 0; i < 2 * RIG_SIZE && pop(); i++) {
			inside();
			vq_push(&r.vq, r.chain.head, 0);
			vq_publish(&r.vq);
		}
		vq_detach(&r.vq);
		r.vq.broken = false;
		memset(r.setup.desc, 0, RIG_SIZE * sizeof(struct vring_packed_desc));
		rig_attach(true, RIG_SIZE, FEATURES, BASE);
	}
}
END_TEST

START_TEST(h33_bad_indirect_tables)
{
	static const uint32_t lens[] = {0, 1, 15, 17, (VQ_MAX_INDIRECT + 1) * 16, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		desc(0, GPA_DATA, lens[i], INDIRECT, 1);
		bad_chain(VQ_CHAIN_INDIRECT);
	}
	desc(0, UINT64_MAX - 15, 32, INDIRECT, 1);
	bad_chain(VQ_CHAIN_INDIRECT);
	desc(0, GPA_HOLE, 16, INDIRECT, 1);
	bad_chain(VQ_CHAIN_UNMAPPED);
	desc(0, GPA_HOLE - 16, 32, INDIRECT, 1);
	bad_chain(VQ_CHAIN_UNMAPPED);
}
END_TEST

/* In a packed ring an indirect descriptor is a chain by itself (2.8.19). */
START_TEST(h33_an_indirect_table_in_a_chain)
{
	desc(0, GPA_DATA + 4096, 16, NEXT, 0);
	desc(1, GPA_DATA, 16, INDIRECT, 2);
	entry(0, GPA_DATA, 16, 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_INDIRECT);
	ck_assert_uint_eq(r.chain.head, 2);
	inside();
	vq_push(&r.vq, 2, 0);
	vq_publish(&r.vq);
	desc(2, GPA_DATA, 8, 0, 2);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.out_bytes, 8);
}
END_TEST

/* All of the table is the chain; NEXT and INDIRECT in it mean nothing (2.8.7). */
START_TEST(h33_flags_within_an_indirect_table)
{
	desc(0, GPA_DATA, 3 * 16, INDIRECT, 1);
	entry(0, GPA_B, 10, INDIRECT);
	entry(1, GPA_B, 20, NEXT);
	entry(2, GPA_B, 30, WRITE);
	ck_assert_int_eq(pop(), 1);
	inside();
	if (!r.chain.error) {
		ck_assert_uint_eq(r.chain.out_bytes, 30);
		ck_assert_uint_eq(r.chain.in_bytes, 30);
	}
}
END_TEST

START_TEST(h33_an_indirect_table_over_two_regions)
{
	struct vring_packed_desc *last = at(GPA_B - sizeof(*last)), *first = at(GPA_B);

	desc(0, GPA_B - 16, 32, INDIRECT, 1);
	*last = (struct vring_packed_desc){GPA_DATA, 10, 0, 0};
	*first = (struct vring_packed_desc){GPA_DATA, 20, 0, WRITE};
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.out_bytes, 10);
	ck_assert_uint_eq(r.chain.in_bytes, 20);
	vq_unpop(&r.vq, &r.chain);
	/* No descriptor may lie in two at once. */
	desc(0, GPA_B - 8, 32, INDIRECT, 1);
	bad_chain(VQ_CHAIN_UNMAPPED);
}
END_TEST

START_TEST(h34_indirect_that_was_not_negotiated)
{
	vq_detach(&r.vq);
	rig_attach(true, RIG_SIZE, FEATURES & ~(1ull << VIRTIO_RING_F_INDIRECT_DESC), BASE);
	desc(0, GPA_DATA, 16, INDIRECT, 1);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_INDIRECT);
}
END_TEST

/* The next round begins while all of this one is in flight. */
START_TEST(h40_what_is_in_flight_is_not_taken_again)
{
	struct vring_packed_desc *slots = r.setup.desc;

	for (unsigned i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, i % 2 ? 0 : NEXT, (uint16_t)(i / 2));
	for (unsigned i = 0; i < RIG_SIZE / 2; i++)
		ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(pop(), 0);
	ck_assert(!r.vq.broken);
	for (unsigned i = 0; i < RIG_SIZE; i++) {
		slots[i].id = (uint16_t)(RIG_SIZE / 2 + i / 2);
		slots[i].flags = 1u << VRING_PACKED_DESC_F_USED;
	}
	broken();
}
END_TEST

START_TEST(h41_writable_before_readable)
{
	desc(0, GPA_DATA, 16, WRITE | NEXT, 0);
	desc(1, GPA_DATA, 16, 0, 1);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_ORDER);
	ck_assert_ptr_null(r.chain.last_byte);
}
END_TEST

START_TEST(bases_outside_the_ring_are_refused)
{
	static const uint32_t bad[] = {
		0x80008008, 0x80088000, 0xffffffff,
		0x0000ffff, 0x80077fff, 0x80018000, /* used is ahead of what was made available */
	};

	vq_detach(&r.vq);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		r.setup.base = bad[i];
		ck_assert_int_eq(vq_attach(&r.vq, &r.setup), -EINVAL);
	}
}
END_TEST

static bool flipping = true;

static void *flip(void *unused)
{
	volatile struct vring_packed_desc *d = r.setup.desc;
	uint64_t random = 5;

	(void)unused;
	while (__atomic_load_n(&flipping, __ATOMIC_RELAXED)) {
		unsigned i = next_random(&random) % RIG_SIZE;

		d[i].addr = random_gpa(&random);
		d[i].len = random_len(&random);
		d[i].id = (uint16_t)next_random(&random) % (RIG_SIZE + 1);
		d[i].flags = (uint16_t)next_random(&random);
	}
	return NULL;
}

START_TEST(h35_descriptors_that_change_while_they_are_read)
{
	pthread_t thread;
	unsigned popped = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, flip, NULL), 0);
	while (popped < 30000) { /* or the time limit */
		if (pop()) {
			popped++;
			inside();
			vq_push(&r.vq, r.chain.head, 0);
			vq_publish(&r.vq);
			vq_notify(&r.vq);
		}
		if (r.vq.broken) {
			r.vq.broken = false;
			vq_detach(&r.vq);
			rig_attach(true, RIG_SIZE, FEATURES, BASE);
		}
	}
	__atomic_store_n(&flipping, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(any_ring_at_all)
{
	uint64_t random = 88172645463325252ull + (uint64_t)_i * 104729;

	for (unsigned round = 0; round < 20000; round++) {
		/* A packed ring may have any size. */
		uint16_t size = (uint16_t)(1 + next_random(&random) % 13);
		unsigned taken = 0;

		r.vq.broken = false;
		vq_detach(&r.vq);
		rig_attach(true, size, next_random(&random) | FEATURES, BASE);
		for (uint16_t i = 0; i < size; i++) {
			desc(i, random_gpa(&random), random_len(&random),
			     (uint16_t)next_random(&random) &
				     (next_random(&random) % 8 ? 7 : 0xffff),
			     (uint16_t)next_random(&random) % (size + 1));
			entry(i, random_gpa(&random), random_len(&random),
			      (uint16_t)next_random(&random));
		}
		memset(r.setup.avail, (int)next_random(&random), 4);
		while (taken < 100 && pop()) {
			inside();
			taken++;
			if (next_random(&random) % 2)
				vq_push(&r.vq, r.chain.head, (uint32_t)next_random(&random));
			else if (next_random(&random) % 4 == 0)
				vq_unpop(&r.vq, &r.chain);
			if (next_random(&random) % 2)
				vq_publish(&r.vq);
			vq_notify(&r.vq);
			vq_kicks_off(&r.vq);
			vq_kicks_on(&r.vq);
			ck_assert_uint_le(r.vq.room, size);
			ck_assert_uint_lt(r.vq.next_avail, size);
			ck_assert_uint_lt(r.vq.next_used, size);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_hostile_packed");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, open_packed, rig_close);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, h38_an_id_outside_the_ring_stops_it, 0, 4);
	tcase_add_test(tc, h38_only_the_last_id_of_a_chain_counts);
	tcase_add_test(tc, h39_an_id_twice_in_flight_stops_the_ring);
	tcase_add_test(tc, h29_a_chain_without_end_stops_the_ring);
	tcase_add_test(tc, h29_a_chain_into_what_is_in_flight_stops_the_ring);
	tcase_add_test(tc, h29_a_chain_as_long_as_the_ring_is_fine);
	tcase_add_test(tc, h31_unmapped_addresses);
	tcase_add_test(tc, h32_a_buffer_over_two_regions_is_split);
	tcase_add_test(tc, h32_a_buffer_that_leaves_the_last_region_is_a_bad_chain);
	tcase_add_test(tc, h33_bad_indirect_tables);
	tcase_add_test(tc, h33_an_indirect_table_in_a_chain);
	tcase_add_test(tc, h33_flags_within_an_indirect_table);
	tcase_add_test(tc, h33_an_indirect_table_over_two_regions);
	tcase_add_test(tc, h34_indirect_that_was_not_negotiated);
	tcase_add_test(tc, h37_more_buffers_than_the_device_takes);
	tcase_add_test(tc, h48_a_buffer_over_the_ring);
	tcase_add_test(tc, h40_what_is_in_flight_is_not_taken_again);
	tcase_add_test(tc, h41_writable_before_readable);
	tcase_add_test(tc, bases_outside_the_ring_are_refused);
	tcase_add_test(tc, h35_descriptors_that_change_while_they_are_read);
	tcase_add_loop_test(tc, any_ring_at_all, 0, 5);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
