/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a queue: whatever it or its device writes to guest memory is marked, and
 * nothing else. Tests ring/track.
 */
#include "tests/unit/ring_rig.h"
#include "vhost/memory/dirty.h"

#define PAGE      (1ull << MEM_DIRTY_PAGE_SHIFT)
#define LOG_BYTES 256 /* of 2048 pages: all of A and B, and beyond */

static uint8_t bits[LOG_BYTES + 1]; /* the last one is no part of it */
static struct mem_dirty dirty;

static void open_rig(bool packed, uint64_t features)
{
	rig_open();
	memset(bits, 0, sizeof(bits));
	dirty = (struct mem_dirty){.bits = bits, .pages = LOG_BYTES * 8};
	rig_attach(packed, RIG_SIZE, features, packed ? 0x8000 : 0);
	vq_detach(&r.vq);
	r.setup.dirty = &dirty;
	r.setup.max_iov = RIG_IOV;
	r.setup.dirty_ring = true;
	r.setup.used_gpa = GPA_A + 0xc000;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
}

static void close_rig(void)
{
	ck_assert_uint_eq(bits[LOG_BYTES], 0);
	rig_close();
}

static bool marked(uint64_t gpa)
{
	uint64_t page = gpa / PAGE;

	return bits[page / 8] & 1u << page % 8;
}

static unsigned marks(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOG_BYTES; i++)
		n += (unsigned)__builtin_popcount(bits[i]);
	return n;
}

static void clear(void)
{
	memset(bits, 0, sizeof(bits));
}

/* A chain of 16 readable bytes, then writable ones at @gpa, then one more at @status. */
static void make_chain(bool packed, unsigned slot, uint64_t gpa, uint32_t len, uint64_t status)
{
	struct vring_avail *avail = r.setup.avail;

	if (packed) {
		struct vring_packed_desc *desc = (struct vring_packed_desc *)r.setup.desc + slot;
		uint16_t flags = 1u << VRING_PACKED_DESC_F_AVAIL;

		desc[0] = (struct vring_packed_desc){GPA_DATA, 16, 2, flags | VRING_DESC_F_NEXT};
		desc[1] =
			(struct vring_packed_desc){gpa, len, 2,
						   flags | VRING_DESC_F_NEXT | VRING_DESC_F_WRITE};
		desc[2] = (struct vring_packed_desc){status, 1, 2, flags | VRING_DESC_F_WRITE};
		return;
	}
	((struct vring_desc *)r.setup.desc)[2] =
		(struct vring_desc){GPA_DATA, 16, VRING_DESC_F_NEXT, 3};
	((struct vring_desc *)r.setup.desc)[3] =
		(struct vring_desc){gpa, len, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 4};
	((struct vring_desc *)r.setup.desc)[4] =
		(struct vring_desc){status, 1, VRING_DESC_F_WRITE, 0};
	avail->ring[avail->idx % RIG_SIZE] = 2;
	avail->idx++;
}

START_TEST(all_that_is_writable_is_marked_before_it_is_used)
{
	bool packed = _i;

	open_rig(packed, 0);
	make_chain(packed, 0, GPA_DATA + 5 * PAGE - 1, 2 * PAGE, GPA_B + 3 * PAGE);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(marks(), 0);
	/* The device works on its iovecs, and says little of what it wrote. */
	memset(r.iov, 0, sizeof(r.iov[0]) * 3);
	vq_push(&r.vq, r.chain.head, 1);
	ck_assert_uint_eq(marks(), 4);
	for (unsigned i = 4; i < 7; i++)
		ck_assert(marked(GPA_DATA + i * PAGE));
	ck_assert(marked(GPA_B + 3 * PAGE));
	close_rig();
}
END_TEST

START_TEST(a_buffer_over_two_regions_is_marked_in_both)
{
	open_rig(_i, 0);
	make_chain(_i, 0, GPA_B - PAGE, 2 * PAGE, GPA_DATA);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.num_in, 3);
	vq_push(&r.vq, r.chain.head, 1);
	ck_assert(marked(GPA_B - 1) && marked(GPA_B) && marked(GPA_DATA));
	ck_assert_uint_eq(marks(), 3);
	close_rig();
}
END_TEST

START_TEST(of_a_bad_chain_the_byte_that_can_be_answered_in)
{
	open_rig(_i, 0);
	make_chain(_i, 0, GPA_HOLE, 16, GPA_B + 7);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.error, VQ_CHAIN_UNMAPPED);
	vq_push(&r.vq, r.chain.head, 1);
	ck_assert(marked(GPA_B));
	ck_assert_uint_eq(marks(), 1);
	close_rig();
}
END_TEST

/* The used ring begins on a page's last bytes, so that its index is in one and its elements in the
 * next. */
START_TEST(split_used_index_and_elements_are_marked)
{
	open_rig(false, 0);
	vq_detach(&r.vq);
	r.setup.used_gpa = GPA_A + 2 * PAGE - 4;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	make_chain(false, 0, GPA_B, 16, GPA_B);
	ck_assert_int_eq(pop(), 1);
	vq_push(&r.vq, 2, 1);
	clear();
	vq_publish(&r.vq);
	ck_assert(marked(GPA_A + PAGE) && marked(GPA_A + 2 * PAGE));
	ck_assert_uint_eq(marks(), 2);
	clear();
	vq_publish(&r.vq);
	ck_assert_uint_eq(marks(), 0);
	close_rig();
}
END_TEST

static const uint64_t event_features[] = {0, 1ull << VIRTIO_RING_F_EVENT_IDX};

START_TEST(split_flags_and_event_are_marked)
{
	open_rig(false, event_features[_i]);
	vq_detach(&r.vq);
	/* Elements end, and the event stands, where a page begins. */
	r.setup.used_gpa = GPA_A + 2 * PAGE - 4 - RIG_SIZE * sizeof(struct vring_used_elem);
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	vq_kicks_off(&r.vq);
	ck_assert(marked(_i ? GPA_A + 2 * PAGE : GPA_A + PAGE));
	clear();
	vq_kicks_on(&r.vq);
	ck_assert(marked(_i ? GPA_A + 2 * PAGE : GPA_A + PAGE));
	close_rig();
}
END_TEST

START_TEST(packed_event_is_marked_where_the_front_end_says)
{
	open_rig(true, 0);
	vq_kicks_off(&r.vq);
	ck_assert(marked(GPA_A + 0xc000));
	ck_assert_uint_eq(marks(), 1);
	clear();
	vq_kicks_on(&r.vq);
	ck_assert_uint_eq(marks(), 1);
	close_rig();
}
END_TEST

/* Used elements are written over descriptors, one page of 256 of them after the other. */
START_TEST(packed_slots_are_marked_over_pages_and_the_end)
{
	const uint16_t size = 1024;
	struct vring_packed_desc *desc;
	unsigned slot = 0;

	open_rig(true, 0);
	desc = r.setup.desc;
	vq_detach(&r.vq);
	r.setup.size = size;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	while (slot + 3u <= size) {
		make_chain(true, slot, GPA_B, 16, GPA_B);
		ck_assert_int_eq(pop(), 1);
		vq_push(&r.vq, 2, 1);
		clear();
		vq_publish(&r.vq);
		ck_assert(marked(GPA_A + slot * 16));
		ck_assert(marked(GPA_A + (slot + 2) * 16));
		ck_assert_uint_le(marks(), 2);
		slot += 3;
	}
	/* Two chains of one, over the end. */
	ck_assert_uint_eq(slot, size - 1);
	desc[slot] = (struct vring_packed_desc){GPA_DATA, 1, 2, 1u << VRING_PACKED_DESC_F_AVAIL};
	desc[0] = (struct vring_packed_desc){GPA_DATA, 1, 3, 1u << VRING_PACKED_DESC_F_USED};
	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(pop(), 1);
	vq_push(&r.vq, 2, 0);
	vq_push(&r.vq, 3, 0);
	clear();
	vq_publish(&r.vq);
	ck_assert(marked(GPA_A) && marked(GPA_A + slot * 16));
	ck_assert_uint_eq(marks(), 2);
	close_rig();
}
END_TEST

START_TEST(without_the_ring_flag_only_data_is_marked)
{
	open_rig(_i, 0);
	vq_detach(&r.vq);
	r.setup.dirty_ring = false;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	make_chain(_i, 0, GPA_B, 16, GPA_B);
	ck_assert_int_eq(pop(), 1);
	vq_push(&r.vq, 2, 1);
	vq_publish(&r.vq);
	vq_kicks_off(&r.vq);
	vq_kicks_on(&r.vq);
	ck_assert(marked(GPA_B));
	ck_assert_uint_eq(marks(), 1);
	close_rig();
}
END_TEST

/* The log ends before the memory does. */
START_TEST(nothing_is_written_beyond_the_log)
{
	open_rig(_i, 0);
	dirty.pages = GPA_B / PAGE;
	make_chain(_i, 0, GPA_B - PAGE, 2 * PAGE, GPA_B + PAGE);
	ck_assert_int_eq(pop(), 1);
	vq_push(&r.vq, 2, 1);
	ck_assert(marked(GPA_B - PAGE));
	ck_assert_uint_eq(marks(), 1);
	close_rig();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_dirty");
	TCase *tc = tcase_create("dirty log");

	tcase_add_loop_test(tc, all_that_is_writable_is_marked_before_it_is_used, 0, 2);
	tcase_add_loop_test(tc, a_buffer_over_two_regions_is_marked_in_both, 0, 2);
	tcase_add_loop_test(tc, of_a_bad_chain_the_byte_that_can_be_answered_in, 0, 2);
	tcase_add_test(tc, split_used_index_and_elements_are_marked);
	tcase_add_loop_test(tc, split_flags_and_event_are_marked, 0, 2);
	tcase_add_test(tc, packed_event_is_marked_where_the_front_end_says);
	tcase_add_test(tc, packed_slots_are_marked_over_pages_and_the_end);
	tcase_add_loop_test(tc, without_the_ring_flag_only_data_is_marked, 0, 2);
	tcase_add_loop_test(tc, nothing_is_written_beyond_the_log, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
