/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_hostile.c - hostile inputs 28 to 41 and 48 on a split ring: what a guest can write into it.
 * A bad chain goes back and the ring goes on; a bad ring stops; nothing outside is touched.
 */
#include <pthread.h>

#include "tests/unit/ring_rig.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static void open_split(void)
{
	rig_open();
	rig_attach(false, RIG_SIZE,
		   (1ull << VIRTIO_F_VERSION_1) | (1ull << VIRTIO_RING_F_INDIRECT_DESC), 0);
}

static void desc_at(uint64_t table, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	((struct vring_desc *)at(table))[i] = (struct vring_desc){gpa, len, flags, next};
}

static void desc(unsigned i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	desc_at(GPA_A, i, gpa, len, flags, next);
}

static struct vring_avail *avail(void)
{
	return r.setup.avail;
}

static void offer(uint16_t head)
{
	avail()->ring[avail()->idx % r.vq.size] = head;
	avail()->idx++;
}

/* broken - the ring has been stopped: its err fd says so, and nothing is popped any more. */
static void broken(void)
{
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	ck_assert(signalled(r.err_fd));
	ck_assert_uint_eq(vq_count(&r.vq.count.ring_errors), 1);
	offer(0);
	ck_assert_int_eq(pop(), 0);
	ck_assert(!vq_kicks_on(&r.vq));
	ck_assert(!signalled(r.err_fd));
}

/* goes_on - after a bad chain was given back the next good one is served. */
static void goes_on(void)
{
	vq_push(&r.vq, r.chain.head, 0);
	vq_publish(&r.vq);
	ck_assert(!r.vq.broken);
	desc(7, GPA_DATA, 100, 0, 0);
	offer(7);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, 7);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.out_bytes, 100);
	vq_push(&r.vq, 7, 0);
}

static void bad_chain(uint16_t head, enum vq_chain_error error)
{
	uint64_t before = vq_count(&r.vq.count.bad_chains[error]);

	offer(head);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, head);
	ck_assert_str_eq(vq_chain_error_name(r.chain.error), vq_chain_error_name(error));
	ck_assert_uint_eq(vq_count(&r.vq.count.bad_chains[error]), before + 1);
	inside();
	goes_on();
}

START_TEST(h28_a_head_outside_the_table_stops_the_ring)
{
	static const uint16_t heads[] = {RIG_SIZE, RIG_SIZE + 1, 0x8000, 0xffff};

	offer(heads[_i]);
	broken();
}
END_TEST

START_TEST(h28_a_next_outside_the_table_is_a_bad_chain)
{
	static const uint16_t nexts[] = {RIG_SIZE, RIG_SIZE + 1, 0x8000, 0xffff};

	desc(0, GPA_DATA, 16, NEXT, nexts[_i]);
	bad_chain(0, VQ_CHAIN_LOOP);
}
END_TEST

START_TEST(h28_a_next_outside_an_indirect_table_is_a_bad_chain)
{
	desc(0, GPA_DATA, 3 * 16, INDIRECT, 0);
	desc_at(GPA_DATA, 0, GPA_B, 16, NEXT, 3); /* within the ring, not within the table */
	bad_chain(0, VQ_CHAIN_LOOP);
}
END_TEST

START_TEST(h29_circles_end)
{
	desc(0, GPA_DATA, 16, NEXT, 0);
	bad_chain(0, VQ_CHAIN_LOOP);
	for (uint16_t i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, NEXT, (i + 1) % RIG_SIZE);
	bad_chain(3, VQ_CHAIN_LOOP);
	desc(0, GPA_DATA, 4 * 16, INDIRECT, 0);
	for (uint16_t i = 0; i < 4; i++)
		desc_at(GPA_DATA, i, GPA_B, 16, NEXT | WRITE, (i + 1) % 4);
	bad_chain(0, VQ_CHAIN_LOOP);
}
END_TEST

START_TEST(h29_a_chain_as_long_as_the_queue_is_fine)
{
	for (uint16_t i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA + i * 16, 16, i < RIG_SIZE - 1 ? NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_out, RIG_SIZE);
}
END_TEST

START_TEST(h29_zero_lengths_yield_no_buffers)
{
	desc(0, GPA_DATA, 0, NEXT, 1);
	desc(1, UINT64_MAX, 0, WRITE, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.num_out + r.chain.num_in, 0);
	ck_assert_uint_eq(r.chain.out_bytes + r.chain.in_bytes, 0);
	goes_on();
}
END_TEST

START_TEST(h30_an_available_index_that_jumps_stops_the_ring)
{
	static const uint16_t jumps[] = {RIG_SIZE + 1, 0x7fff, 0x8000, 0xffff};

	desc(0, GPA_DATA, 16, 0, 0);
	avail()->idx += jumps[_i];
	broken();
}
END_TEST

START_TEST(h30_a_full_ring_is_no_jump)
{
	for (uint16_t i = 0; i < RIG_SIZE; i++) {
		desc(i, GPA_DATA, 16, 0, 0);
		offer(i);
	}
	for (uint16_t i = 0; i < RIG_SIZE; i++) {
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.head, i);
	}
	ck_assert_int_eq(pop(), 0);
	ck_assert(!r.vq.broken);
}
END_TEST

START_TEST(h30_an_index_that_goes_back_stops_the_ring)
{
	desc(0, GPA_DATA, 16, 0, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	avail()->idx--;
	broken();
}
END_TEST

START_TEST(h31_unmapped_addresses)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{0, 16},
		{GPA_A - 1, 1},
		{GPA_A - 1, 2},
		{GPA_HOLE, 1},
		{UINT64_MAX, 1},
		{UINT64_MAX, 2},
		{UINT64_MAX - 15, 16},
		{UINT64_MAX - 15, 17},
		{GPA_A, UINT32_MAX},
		{GPA_DATA | 1ull << 63, 16},
		{GPA_DATA + (1ull << 32), 16},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		desc(0, bad[i].gpa, bad[i].len, 0, 0);
		bad_chain(0, VQ_CHAIN_UNMAPPED);
		desc(0, bad[i].gpa, bad[i].len, WRITE, 0);
		bad_chain(0, VQ_CHAIN_UNMAPPED);
	}
}
END_TEST

/* Its end, past 2^64, would be the first byte of guest memory. */
START_TEST(h31_a_buffer_that_wraps_has_no_last_byte)
{
	desc(0, UINT64_MAX - 15, GPA_A + 17, WRITE, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_UNMAPPED);
	ck_assert_ptr_null(r.chain.last_byte);
	goes_on();
}
END_TEST

START_TEST(h32_a_buffer_over_two_regions_is_split)
{
	desc(0, GPA_B - 100, 300, WRITE, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_in, 2);
	ck_assert_ptr_eq(r.iov[0].iov_base, at(GPA_B - 100));
	ck_assert_uint_eq(r.iov[0].iov_len, 100);
	ck_assert_ptr_eq(r.iov[1].iov_base, at(GPA_B));
	ck_assert_uint_eq(r.iov[1].iov_len, 200);
	ck_assert_uint_eq(r.chain.in_bytes, 300);
}
END_TEST

START_TEST(h32_a_buffer_that_leaves_the_last_region_is_a_bad_chain)
{
	desc(0, GPA_HOLE - 100, 101, 0, 0);
	bad_chain(0, VQ_CHAIN_UNMAPPED);
	desc(0, GPA_A, 2 * REGION_BYTES + 1, 0, 0);
	bad_chain(0, VQ_CHAIN_UNMAPPED);
}
END_TEST

START_TEST(h33_bad_indirect_tables)
{
	static const uint32_t lens[] = {0, 1, 15, 17, 16 * 3 + 8, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		desc(0, GPA_DATA, lens[i], INDIRECT, 0);
		bad_chain(0, VQ_CHAIN_INDIRECT);
	}
	desc(0, GPA_DATA, 16, INDIRECT | NEXT, 1); /* 2.7.5.3.1: not both */
	bad_chain(0, VQ_CHAIN_INDIRECT);
	desc(0, UINT64_MAX - 15, 32, INDIRECT, 0);
	bad_chain(0, VQ_CHAIN_INDIRECT);
	desc(0, UINT64_MAX - 15, 16, INDIRECT, 0);
	bad_chain(0, VQ_CHAIN_INDIRECT);
	desc(0, GPA_HOLE, 16, INDIRECT, 0);
	bad_chain(0, VQ_CHAIN_UNMAPPED);
	/* Nested. */
	desc(0, GPA_DATA, 16, INDIRECT, 0);
	desc_at(GPA_DATA, 0, GPA_DATA, 16, INDIRECT, 0);
	bad_chain(0, VQ_CHAIN_INDIRECT);
}
END_TEST

START_TEST(h33_an_indirect_table_over_two_regions)
{
	uint64_t table = GPA_B - 24; /* the second descriptor lies half here, half there */

	desc(0, table, 3 * 16, INDIRECT, 0);
	desc_at(table, 0, GPA_DATA, 16, NEXT, 1);
	bad_chain(0, VQ_CHAIN_UNMAPPED);
	/* With descriptors whole on either side it is read. */
	table = GPA_B - 16;
	desc(0, table, 2 * 16, INDIRECT, 0);
	desc_at(table, 0, GPA_DATA, 16, NEXT, 1);
	desc_at(GPA_B, 0, GPA_DATA + 16, 32, WRITE, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.out_bytes, 16);
	ck_assert_uint_eq(r.chain.in_bytes, 32);
}
END_TEST

START_TEST(h33_an_indirect_table_that_runs_out_of_memory)
{
	desc(0, GPA_HOLE - 16, 2 * 16, INDIRECT, 0);
	desc_at(GPA_HOLE - 16, 0, GPA_DATA, 16, NEXT, 1);
	bad_chain(0, VQ_CHAIN_UNMAPPED);
}
END_TEST

/* Longer than the queue is legal for drivers that do it; what counts is what is chained. */
START_TEST(h33_an_indirect_table_longer_than_the_queue)
{
	unsigned n = 4 * RIG_SIZE;

	desc(0, GPA_DATA, n * 16, INDIRECT, 0);
	for (unsigned i = 0; i < n; i++)
		desc_at(GPA_DATA, i, GPA_B + i, 1, i < n - 1 ? NEXT : 0, (uint16_t)(i + 1));
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_out, n);
}
END_TEST

START_TEST(h33_direct_descriptors_then_an_indirect_table)
{
	desc(0, GPA_DATA, 16, NEXT, 1);
	desc(1, GPA_DATA + 4096, 16, INDIRECT | WRITE, 0); /* WRITE means nothing here */
	desc_at(GPA_DATA + 4096, 0, GPA_B, 8, 0, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.out_bytes, 24);
}
END_TEST

START_TEST(h34_indirect_that_was_not_negotiated)
{
	vq_detach(&r.vq);
	rig_attach(false, RIG_SIZE, 1ull << VIRTIO_F_VERSION_1, 0);
	desc(0, GPA_DATA, 16, INDIRECT, 0);
	desc_at(GPA_DATA, 0, GPA_B, 16, 0, 0);
	bad_chain(0, VQ_CHAIN_INDIRECT);
}
END_TEST

static bool flipping = true;

/* The guest's other CPU: the same descriptors, good and bad by turns. */
static void *flip(void *unused)
{
	struct vring_desc good = {GPA_DATA, 64, 0, 0};
	struct vring_desc bad = {GPA_HOLE - 8, UINT32_MAX, NEXT | WRITE, 0xffff};
	struct vring_desc table = {GPA_DATA + 4096, 64, INDIRECT, 0};
	volatile struct vring_desc *d = at(GPA_A);

	(void)unused;
	while (__atomic_load_n(&flipping, __ATOMIC_RELAXED)) {
		d[0] = good;
		d[0] = bad;
		d[0] = table;
		d[0].len = 17;
		d[0] = good;
		d[0].addr = UINT64_MAX - 8;
	}
	return NULL;
}

START_TEST(h35_descriptors_that_change_while_they_are_read)
{
	unsigned bad = 0;
	pthread_t thread;

	desc_at(GPA_DATA + 4096, 0, GPA_B, 16, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, NULL), 0);
	for (unsigned i = 0; i < 300000; i++) {
		offer(0);
		ck_assert_int_eq(pop(), 1);
		inside();
		bad += r.chain.error != VQ_CHAIN_OK;
		vq_push(&r.vq, 0, 0);
		vq_publish(&r.vq);
	}
	__atomic_store_n(&flipping, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(bad, 0); /* or it tested nothing */
}
END_TEST

/* As many buffers as there is room for, and one more. */
START_TEST(h37_more_buffers_than_the_device_takes)
{
	for (unsigned max = 0; max <= 4; max++) {
		unsigned n = RIG_SIZE - 1;

		for (unsigned i = 0; i < n; i++)
			desc(i, GPA_DATA, 16, i < n - 1 ? NEXT | WRITE : WRITE, (uint16_t)(i + 1));
		r.chain.iov = r.iov;
		r.chain.max_iov = (uint16_t)max;
		offer(0);
		ck_assert_int_eq(vq_pop(&r.vq, &r.chain), 1);
		ck_assert_uint_eq(r.chain.error, VQ_CHAIN_TOO_LONG);
		ck_assert_uint_le(r.chain.num_out + r.chain.num_in, max);
		ck_assert_ptr_eq(r.chain.last_byte, (uint8_t *)at(GPA_DATA) + 15);
		vq_push(&r.vq, 0, 0);
	}
}
END_TEST

START_TEST(h37_a_buffer_that_is_split_beyond_the_room)
{
	desc(0, GPA_B - 8, 16, 0, 0);
	r.chain.iov = r.iov;
	r.chain.max_iov = 1;
	offer(0);
	ck_assert_int_eq(vq_pop(&r.vq, &r.chain), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_TOO_LONG);
	ck_assert_uint_le(r.chain.num_out, 1);
}
END_TEST

/* What is read of an indirect table has a bound of its own. */
START_TEST(h37_an_indirect_table_without_end)
{
	unsigned n = VQ_MAX_INDIRECT + 1;

	desc(0, GPA_DATA, n * 16, INDIRECT, 0);
	for (unsigned i = 0; i < n; i++)
		desc_at(GPA_DATA, i, GPA_B, 1, i < n - 1 ? NEXT : 0, (uint16_t)(i + 1));
	bad_chain(0, VQ_CHAIN_LOOP);
	desc(0, GPA_DATA, (n - 1) * 16, INDIRECT, 0);
	desc_at(GPA_DATA, n - 2, GPA_B, 1, 0, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(r.chain.num_out, n - 1);
}
END_TEST

START_TEST(h39_a_head_twice_in_flight_stops_the_ring)
{
	desc(0, GPA_DATA, 16, 0, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	offer(0);
	broken();
}
END_TEST

START_TEST(h39_a_head_twice_in_one_burst)
{
	struct iovec iov[4][4];
	struct vq_chain chains[4];
	struct vq_chain *const list[] = {&chains[0], &chains[1], &chains[2], &chains[3]};

	for (unsigned i = 0; i < 4; i++)
		chains[i] = (struct vq_chain){.iov = iov[i], .max_iov = 4};
	desc(0, GPA_DATA, 16, 0, 0);
	desc(1, GPA_DATA, 16, 0, 0);
	offer(1);
	offer(0);
	offer(1);
	offer(0);
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 4), 2);
	ck_assert(r.vq.broken);
	ck_assert(signalled(r.err_fd));
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 4), 0);
}
END_TEST

START_TEST(h39_a_head_may_come_again_once_it_was_used)
{
	desc(0, GPA_DATA, 16, 0, 0);
	for (unsigned i = 0; i < 70000; i++) { /* the indices wrap */
		offer(0);
		ck_assert_int_eq(pop(), 1);
		vq_push(&r.vq, 0, 0);
		vq_publish(&r.vq);
	}
	ck_assert_uint_eq(((struct vring_used *)r.setup.used)->idx, (uint16_t)70000);
}
END_TEST

/* A guest that refills as fast as chains are taken: no pass takes more than the queue has. */
START_TEST(h40_an_endless_refill_is_bounded)
{
	unsigned taken = 0;

	for (uint16_t i = 0; i < RIG_SIZE; i++)
		desc(i, GPA_DATA, 16, 0, 0);
	offer(0);
	while (pop()) {
		taken++;
		offer((uint16_t)(taken % RIG_SIZE));
	}
	ck_assert_uint_eq(taken, RIG_SIZE);
	ck_assert(r.vq.broken); /* only by naming a head again could it go on */
}
END_TEST

START_TEST(h40_a_burst_takes_no_more_than_asked)
{
	struct iovec iov[4];
	struct vq_chain chains[3];
	struct vq_chain *const list[] = {&chains[0], &chains[1], &chains[2]};

	for (unsigned i = 0; i < 3; i++)
		chains[i] = (struct vq_chain){.iov = iov, .max_iov = 1};
	for (uint16_t i = 0; i < RIG_SIZE; i++) {
		desc(i, GPA_DATA, 16, 0, 0);
		offer(i);
	}
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 3), 3);
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 0), 0);
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 3), 3);
	ck_assert_uint_eq(vq_pop_burst(&r.vq, list, 3), 2);
}
END_TEST

/* The device can still answer where the chain ends in a byte it may write. */
START_TEST(h41_writable_before_readable)
{
	desc(0, GPA_DATA, 16, WRITE | NEXT, 1);
	desc(1, GPA_DATA + 16, 16, 0, 0);
	bad_chain(0, VQ_CHAIN_ORDER);
	desc(1, GPA_DATA + 16, 16, NEXT, 2);
	desc(2, GPA_DATA + 32, 4, WRITE, 0);
	offer(0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_ORDER);
	ck_assert_ptr_eq(r.chain.last_byte, (uint8_t *)at(GPA_DATA + 35));
	goes_on();
}
END_TEST

START_TEST(h41_no_last_byte_where_none_may_be_written)
{
	static const struct vring_desc ends[] = {
		{GPA_DATA, 16, 0, 0}, /* read-only */
		{GPA_DATA, 0, WRITE, 0}, /* empty */
		{GPA_HOLE, 16, WRITE, 0}, /* unmapped */
		{GPA_HOLE - 15, 16, WRITE, 0}, /* its end unmapped */
		{UINT64_MAX - 4, 16, WRITE, 0}, /* wraps */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		desc(0, GPA_HOLE, 16, NEXT, 1);
		desc(1, ends[i].addr, ends[i].len, ends[i].flags, 0);
		offer(0);
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_ne(r.chain.error, VQ_CHAIN_OK);
		ck_assert_ptr_null(r.chain.last_byte);
		goes_on();
	}
}
END_TEST

/* The device fills the buffer it was given, which is a part of the ring: whatever comes of it stays
 * inside. */
START_TEST(h48_a_buffer_over_the_ring)
{
	const uint64_t parts[] = {GPA_A, GPA_A + 0x8000, GPA_A + 0xc000};

	for (unsigned fill = 0; fill < 256; fill += 5) {
		desc(0, parts[_i], RIG_SIZE * 16, WRITE, 0);
		offer(0);
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.error, VQ_CHAIN_OK);
		memset(r.iov[0].iov_base, (int)fill, r.iov[0].iov_len);
		vq_push(&r.vq, 0, RIG_SIZE * 16);
		vq_publish(&r.vq);
		vq_notify(&r.vq);
		for (unsigned i = 0; i < 2 * RIG_SIZE && pop(); i++) {
			inside();
			vq_push(&r.vq, r.chain.head, 0);
			vq_publish(&r.vq);
		}
		vq_detach(&r.vq);
		r.vq.broken = false;
		memset(at(GPA_A), 0, GPA_DATA - GPA_A);
		rig_attach(false, RIG_SIZE,
			   (1ull << VIRTIO_F_VERSION_1) | (1ull << VIRTIO_RING_F_INDIRECT_DESC), 0);
	}
}
END_TEST

/* Everything at once: random rings end, and name no byte outside guest memory. */
START_TEST(any_ring_at_all)
{
	uint64_t random = 88172645463325252ull + (uint64_t)_i * 7919;

	for (unsigned round = 0; round < 20000; round++) {
		unsigned taken = 0;

		r.vq.broken = false;
		vq_detach(&r.vq);
		avail()->idx = 0;
		rig_attach(false, RIG_SIZE, next_random(&random) | 1ull << VIRTIO_F_VERSION_1, 0);
		for (uint16_t i = 0; i < RIG_SIZE; i++) {
			desc(i, random_gpa(&random), random_len(&random),
			     (uint16_t)next_random(&random) & 7,
			     (uint16_t)next_random(&random) % (RIG_SIZE + 1));
			desc_at(GPA_DATA, i, random_gpa(&random), random_len(&random),
				(uint16_t)next_random(&random) & 7,
				(uint16_t)next_random(&random) % (RIG_SIZE + 1));
			avail()->ring[i] = (uint16_t)next_random(&random) % (RIG_SIZE + 1);
		}
		avail()->idx = (uint16_t)next_random(&random) % (RIG_SIZE + 3);
		while (pop()) {
			inside();
			ck_assert_uint_le(++taken, RIG_SIZE);
			if (next_random(&random) % 2)
				vq_push(&r.vq, r.chain.head, (uint32_t)next_random(&random));
			if (next_random(&random) % 2)
				vq_publish(&r.vq);
			vq_notify(&r.vq);
			vq_kicks_off(&r.vq);
			vq_kicks_on(&r.vq);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_hostile");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, open_split, rig_close);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, h28_a_head_outside_the_table_stops_the_ring, 0, 4);
	tcase_add_loop_test(tc, h28_a_next_outside_the_table_is_a_bad_chain, 0, 4);
	tcase_add_test(tc, h28_a_next_outside_an_indirect_table_is_a_bad_chain);
	tcase_add_test(tc, h29_circles_end);
	tcase_add_test(tc, h29_a_chain_as_long_as_the_queue_is_fine);
	tcase_add_test(tc, h29_zero_lengths_yield_no_buffers);
	tcase_add_loop_test(tc, h30_an_available_index_that_jumps_stops_the_ring, 0, 4);
	tcase_add_test(tc, h30_a_full_ring_is_no_jump);
	tcase_add_test(tc, h30_an_index_that_goes_back_stops_the_ring);
	tcase_add_test(tc, h31_unmapped_addresses);
	tcase_add_test(tc, h31_a_buffer_that_wraps_has_no_last_byte);
	tcase_add_test(tc, h32_a_buffer_over_two_regions_is_split);
	tcase_add_test(tc, h32_a_buffer_that_leaves_the_last_region_is_a_bad_chain);
	tcase_add_test(tc, h33_bad_indirect_tables);
	tcase_add_test(tc, h33_an_indirect_table_over_two_regions);
	tcase_add_test(tc, h33_an_indirect_table_that_runs_out_of_memory);
	tcase_add_test(tc, h33_an_indirect_table_longer_than_the_queue);
	tcase_add_test(tc, h33_direct_descriptors_then_an_indirect_table);
	tcase_add_test(tc, h34_indirect_that_was_not_negotiated);
	tcase_add_test(tc, h35_descriptors_that_change_while_they_are_read);
	tcase_add_test(tc, h37_more_buffers_than_the_device_takes);
	tcase_add_test(tc, h37_a_buffer_that_is_split_beyond_the_room);
	tcase_add_test(tc, h37_an_indirect_table_without_end);
	tcase_add_test(tc, h39_a_head_twice_in_flight_stops_the_ring);
	tcase_add_test(tc, h39_a_head_twice_in_one_burst);
	tcase_add_test(tc, h39_a_head_may_come_again_once_it_was_used);
	tcase_add_test(tc, h40_an_endless_refill_is_bounded);
	tcase_add_test(tc, h40_a_burst_takes_no_more_than_asked);
	tcase_add_test(tc, h41_writable_before_readable);
	tcase_add_loop_test(tc, h48_a_buffer_over_the_ring, 0, 3);
	tcase_add_test(tc, h41_no_last_byte_where_none_may_be_written);
	tcase_add_loop_test(tc, any_ring_at_all, 0, 5);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
