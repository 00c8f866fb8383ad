/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts of single buffers, and batches used in order: what vq_pop() and vq_push() do, in fewer
 * instructions. Tests ring/burst, either format; hostile rings are broken or left to vq_pop().
 */
#include "tests/unit/ring_rig.h"
#include "vhost/frontend/ring.h"

#define MAX 32u

static struct vq_buffer buffers[MAX];

static unsigned pop_singles(struct virtqueue *vq, unsigned max, uint16_t direction, bool *other)
{
	struct vq_singles s = {.buffers = buffers, .max = max, .direction = direction};
	unsigned n = vq_pop_singles(vq, &s);

	*other = s.other;
	return n;
}

/* --- rings written by hand: eight entries --- */

static unsigned slot; /* packed: the driver's */
static bool wrap;

/* offer - chains of one descriptor each. @flags besides what makes it available. */
static void offer(unsigned n, uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct vring_avail *avail = r.setup.avail;

	if (!r.setup.packed) {
		while (n--) {
			uint16_t head = avail->idx % RIG_SIZE;

			r.vq.desc[head] = (struct vring_desc){gpa, len, flags, 0};
			avail->ring[head] = head;
			avail->idx++;
		}
		return;
	}
	while (n--) {
		struct vring_packed_desc *desc = (struct vring_packed_desc *)r.setup.desc + slot;

		*desc = (struct vring_packed_desc){gpa, len, (uint16_t)slot,
						   (uint16_t)(flags |
							      (wrap ? PACKED_AVAIL : PACKED_USED))};
		if (++slot == RIG_SIZE) {
			slot = 0;
			wrap = !wrap;
		}
	}
}

static void open_ring(int packed)
{
	slot = 0;
	wrap = true;
	rig_open();
	rig_attach(packed, RIG_SIZE, 0, packed ? 0x8000 : 0);
}

START_TEST(what_is_no_single_buffer_is_left_to_pop)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags;
		uint8_t error;
	} others[] = {
		{GPA_DATA, 64, VRING_DESC_F_WRITE, VQ_CHAIN_OK}, /* not the direction asked for */
		{GPA_HOLE, 64, 0, VQ_CHAIN_UNMAPPED},
		{GPA_HOLE - 8, 64, 0, VQ_CHAIN_UNMAPPED},
		{UINT64_MAX - 8, 64, 0, VQ_CHAIN_UNMAPPED},
		{GPA_B - 8, 64, 0, VQ_CHAIN_OK}, /* in two pieces */
		{GPA_DATA, 0, 0, VQ_CHAIN_OK},
		{GPA_DATA, 64, VRING_DESC_F_INDIRECT, VQ_CHAIN_INDIRECT},
	};
	bool other;

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		open_ring(_i);
		offer(2, GPA_DATA, 64, 0);
		offer(1, others[i].gpa, others[i].len, others[i].flags);
		offer(1, GPA_DATA, 64, 0);
		ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 2);
		ck_assert(other);
		ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
		ck_assert(other);
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.error, others[i].error);
		ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 1);
		ck_assert(!other);
		ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
		ck_assert(!other);
		ck_assert(!r.vq.broken);
		rig_close();
	}
}
END_TEST

START_TEST(h28_a_head_outside_the_ring_breaks_it)
{
	bool other;

	open_ring(_i);
	offer(3, GPA_DATA, 64, 0);
	/* There is what looks like a descriptor. */
	r.vq.desc[RIG_SIZE + 5] = (struct vring_desc){GPA_DATA, 64, 0, 0};
	if (_i)
		((struct vring_packed_desc *)r.setup.desc)[1].id = RIG_SIZE + 5;
	else
		((struct vring_avail *)r.setup.avail)->ring[1] = RIG_SIZE + 5;
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 1);
	ck_assert(other);
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	ck_assert(signalled(r.err_fd));
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
	ck_assert(!other);
	rig_close();
}
END_TEST

START_TEST(h39_the_same_head_twice_breaks_the_ring)
{
	bool other;

	open_ring(_i);
	offer(3, GPA_DATA, 64, 0);
	if (_i)
		((struct vring_packed_desc *)r.setup.desc)[2].id = 0;
	else
		((struct vring_avail *)r.setup.avail)->ring[2] = 0;
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 2);
	ck_assert(other);
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	rig_close();
}
END_TEST

START_TEST(h30_an_index_that_jumps_breaks_the_ring)
{
	bool other;

	open_ring(0);
	((struct vring_avail *)r.setup.avail)->idx = RIG_SIZE + 1;
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
	ck_assert(r.vq.broken);
	rig_close();
}
END_TEST

/* 40: a driver that makes slots available again which it was not given back. */
START_TEST(h40_no_more_is_taken_than_the_ring_has)
{
	bool other;

	open_ring(_i);
	offer(RIG_SIZE, GPA_DATA, 64, 0);
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), RIG_SIZE);
	offer(RIG_SIZE, GPA_DATA, 64, 0);
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	rig_close();
}
END_TEST

/* And chains of several descriptors hold as many. */
START_TEST(h40_slots_held_by_a_chain_are_not_taken_again)
{
	bool other;

	open_ring(1);
	offer(2, GPA_DATA, 64, VRING_DESC_F_NEXT);
	offer(1, GPA_DATA, 64, 0);
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), 0);
	ck_assert_int_eq(pop(), 1);
	offer(RIG_SIZE - 1, GPA_DATA, 64, 0);
	ck_assert_uint_eq(pop_singles(&r.vq, MAX, 0, &other), RIG_SIZE - 3);
	ck_assert(other);
	ck_assert_int_eq(pop(), 0);
	ck_assert(r.vq.broken);
	rig_close();
}
END_TEST

/* --- against a driver --- */

#define SIZE 64u

static struct fe_memory mem;
static struct fe_ring ring;
static struct virtqueue vq;
static struct mem_table table;

/* open_pair - _i: packed, in order. */
static void open_pair(int i)
{
	const struct fe_ring_options options = {
		.size = SIZE,
		.packed = i & 1,
		.in_order = i & 2,
		.event_idx = i & 4,
	};
	struct vu_vring_addr addr;
	struct vu_region region;
	struct vq_setup setup;
	int fd;

	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, 1 << 20, 4 << 20, false), 0);
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
	ck_assert_int_eq(mem_table_init(&table), 0);
	region = fe_memory_describe(&mem, 0);
	fd = dup(mem.regions[0].fd);
	ck_assert_int_eq(mem_table_add(&table, &region, &fd), 0);
	addr = fe_ring_wire_addr(&ring, 0);
	setup = (struct vq_setup){
		.packed = options.packed,
		.size = SIZE,
		.desc = mem_from_uva(&table, addr.desc_uva, 16),
		.avail = mem_from_uva(&table, addr.avail_uva, 4),
		.used = mem_from_uva(&table, addr.used_uva, 4),
		.features = (options.in_order ? VU_BIT(VIRTIO_F_IN_ORDER) : 0) |
			    (options.event_idx ? VU_BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
		.uses_in_order = true,
		.mem = &table,
		.base = fe_ring_base(&ring),
		.kick_fd = -1,
		.call_fd = ring.call_fd,
		.err_fd = -1,
	};
	ck_assert_int_eq(vq_init(&vq, "test", 0, SIZE), 0);
	ck_assert_int_eq(vq_attach(&vq, &setup), 0);
	ck_assert(vq.in_order == options.in_order);
}

static unsigned submit(unsigned *heads, unsigned n, bool writable)
{
	static struct fe_mem piece;

	if (!piece.host)
		ck_assert_int_eq(fe_alloc(&mem, SIZE * 64, 64, &piece), 0);
	for (unsigned i = 0; i < n; i++) {
		struct fe_buf buf = {piece.gpa + (i % SIZE) * 64, 64};
		int head = fe_ring_add(&ring, &buf, writable ? 0 : 1, writable ? 1 : 0);

		ck_assert_int_ge(head, 0);
		heads[i] = (unsigned)head;
	}
	fe_ring_publish(&ring);
	return n;
}

/* Random bursts, some of which is put back; twenty times round the ring. */
START_TEST(every_buffer_comes_back_with_its_length)
{
	uint64_t seed = 88172645463325252u + (unsigned)_i;
	unsigned heads[MAX], lens[MAX];
	struct fe_used used[MAX];

	open_pair(_i);
	for (unsigned round = 0; round < 100; round++) {
		unsigned n = submit(heads, 1 + next_random(&seed) % MAX, true);
		unsigned done = 0;

		while (done < n) {
			unsigned back, got, i;
			bool other;

			got = pop_singles(&vq, 1 + next_random(&seed) % MAX, VRING_DESC_F_WRITE,
					  &other);
			ck_assert_uint_ge(got, 1);
			ck_assert_uint_le(got, n - done);
			back = next_random(&seed) % (got + 1);
			vq_unpop_singles(&vq, &buffers[got - 1], back);
			got -= back;
			for (i = 0; i < got; i++) {
				ck_assert_uint_eq(buffers[i].len, 64);
				lens[done + i] = buffers[i].len =
					(uint32_t)(next_random(&seed) % 65);
			}
			vq_push_singles(&vq, buffers, got);
			if (next_random(&seed) % 2)
				vq_publish(&vq);
			done += got;
		}
		vq_publish(&vq);
		ck_assert_int_eq(fe_ring_poll(&ring, used, MAX), (int)n);
		for (unsigned i = 0; i < n; i++) {
			ck_assert_uint_eq(used[i].head, heads[i]);
			ck_assert_uint_eq(used[i].len, lens[i]);
		}
	}
}
END_TEST

START_TEST(a_batch_is_used_in_the_order_it_was_taken)
{
	uint64_t seed = 362436069u + (unsigned)_i;
	unsigned heads[MAX];
	struct fe_used used[MAX];
	uint16_t taken[MAX];

	open_pair(_i);
	for (unsigned round = 0; round < 100; round++) {
		unsigned n = submit(heads, 1 + next_random(&seed) % MAX, false);
		bool other;

		ck_assert_uint_eq(pop_singles(&vq, MAX, 0, &other), n);
		for (unsigned i = 0; i < n; i++)
			taken[i] = buffers[i].head;
		vq_push_batch(&vq, taken, n / 2);
		vq_publish(&vq);
		vq_push_batch(&vq, taken + n / 2, n - n / 2);
		vq_publish(&vq);
		ck_assert_int_eq(fe_ring_poll(&ring, used, MAX), (int)n);
		for (unsigned i = 0; i < n; i++)
			ck_assert_uint_eq(used[i].head, heads[i]);
	}
}
END_TEST

/* One element, however many chains. */
START_TEST(in_order_a_batch_is_one_used_element)
{
	static const struct vring_used_elem untouched = {0x55555555, 0x55555555};
	unsigned heads[MAX];
	uint16_t taken[MAX];
	bool other;

	open_pair(2);
	submit(heads, 8, false);
	ck_assert_uint_eq(pop_singles(&vq, MAX, 0, &other), 8);
	for (unsigned i = 0; i < 8; i++) {
		taken[i] = buffers[i].head;
		vq.used->ring[i] = untouched;
	}
	vq_push_batch(&vq, taken, 8);
	vq_publish(&vq);
	ck_assert_uint_eq(vq.used->idx, 8);
	ck_assert_uint_eq(vq.used->ring[0].id, taken[7]);
	for (unsigned i = 1; i < 8; i++)
		ck_assert_mem_eq(&vq.used->ring[i], &untouched, sizeof(untouched));
}
END_TEST

/* Without in_order of its own, an untracked ring would let chains overtake. */
START_TEST(a_device_that_does_not_promise_order_is_tracked)
{
	rig_open();
	rig_attach(_i, RIG_SIZE, VU_BIT(VIRTIO_F_IN_ORDER), _i ? 0x8000 : 0);
	ck_assert_ptr_nonnull(r.vq.track);
	ck_assert(!r.vq.in_order);
	rig_close();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring_burst");
	TCase *tc = tcase_create("burst");

	tcase_add_loop_test(tc, what_is_no_single_buffer_is_left_to_pop, 0, 2);
	tcase_add_loop_test(tc, h28_a_head_outside_the_ring_breaks_it, 0, 2);
	tcase_add_loop_test(tc, h39_the_same_head_twice_breaks_the_ring, 0, 2);
	tcase_add_test(tc, h30_an_index_that_jumps_breaks_the_ring);
	tcase_add_loop_test(tc, h40_no_more_is_taken_than_the_ring_has, 0, 2);
	tcase_add_test(tc, h40_slots_held_by_a_chain_are_not_taken_again);
	tcase_add_loop_test(tc, every_buffer_comes_back_with_its_length, 0, 8);
	tcase_add_loop_test(tc, a_batch_is_used_in_the_order_it_was_taken, 0, 8);
	tcase_add_test(tc, in_order_a_batch_is_one_used_element);
	tcase_add_loop_test(tc, a_device_that_does_not_promise_order_is_tracked, 0, 2);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
