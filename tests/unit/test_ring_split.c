/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_split.c - what is particular to a split ring: indices that run freely past 65535,
 * event indices on both sides, the used index that memory keeps. Tests ring/split.
 */
#include "tests/unit/ring_pair.h"

static void make(uint16_t size, bool event_idx)
{
	pair_make(&(struct pair_options){.size = size, .event_idx = event_idx});
}

/* Both sides as if they had come to @index already. */
static void start_at(uint16_t index)
{
	ring.staged = ring.published = ring.kicked = index;
	ring.last_used = ring.used_idx = index;
	ring.avail->idx = ring.used->idx = index;
	ck_assert_int_eq(pair_attach(index), 0);
}

static const uint16_t starts[] = {0, 1, 100, 32766, 32767, 65530, 65533, 65535};

START_TEST(indices_run_past_65535)
{
	struct fe_buf buf = {PAIR_GPA, 8};
	unsigned turn, i;

	make(8, _i & 1);
	start_at(starts[_i / 2]);
	for (turn = 0; turn < 20; turn++) {
		unsigned heads[5];
		struct taken t;

		for (i = 0; i < 5; i++)
			heads[i] = pair_add(&buf, 1, 0);
		ck_assert_uint_eq(vq_waiting(&vq, 16), 5);
		for (i = 0; i < 5; i++) {
			ck_assert_int_eq(pair_pop(&t), 1);
			ck_assert_uint_eq(t.chain.head, heads[i]);
			vq_push(&vq, t.chain.head, 0);
		}
		ck_assert_int_eq(pair_pop(&t), 0);
		vq_publish(&vq);
		ck_assert_int_eq(fe_ring_poll(&ring, (struct fe_used[8]){0}, 8), 5);
		ck_assert_uint_eq(vq_base(&vq), (uint16_t)(starts[_i / 2] + 5 * (turn + 1)));
		ck_assert_uint_eq(vq_base(&vq), fe_ring_base(&ring));
	}
	pair_drop();
}
END_TEST

/* virtio 2.7.7.2: an interrupt is due when the used index passes the event, from where it was at
 * the last decision to where it is now. */
START_TEST(interrupts_follow_the_event_index)
{
	struct fe_buf buf = {PAIR_GPA, 8};
	uint16_t start = starts[_i];
	int event, used;

	make(8, true);
	for (used = 1; used <= 6; used++) {
		for (event = -3; event < 9; event++) {
			int i;

			start_at(start);
			*ring.used_event = (uint16_t)(start + event);
			for (i = 0; i < used; i++) {
				struct taken t;

				pair_add(&buf, 1, 0);
				ck_assert_int_eq(pair_pop(&t), 1);
				vq_push(&vq, t.chain.head, 0);
			}
			vq_publish(&vq);
			vq_notify(&vq);
			ck_assert_uint_eq(pair_eventfd(ring.call_fd), event >= 0 && event < used);
			ck_assert_int_eq(fe_ring_poll(&ring, (struct fe_used[8]){0}, 8), used);
		}
	}
	pair_drop();
}
END_TEST

START_TEST(the_flag_holds_without_event_index)
{
	struct fe_buf buf = {PAIR_GPA, 8};
	struct taken t;
	unsigned off;

	make(8, false);
	*ring.used_event = 0; /* means nothing now */
	for (off = 0; off < 2; off++) {
		ring.avail->flags = off ? VRING_AVAIL_F_NO_INTERRUPT : 0;
		pair_add(&buf, 1, 0);
		ck_assert_int_eq(pair_pop(&t), 1);
		vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		vq_notify(&vq);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), !off);
	}
	vq_kicks_off(&vq);
	ck_assert_uint_eq(ring.used->flags, VRING_USED_F_NO_NOTIFY);
	ck_assert(!vq_kicks_on(&vq));
	ck_assert_uint_eq(ring.used->flags, 0);
	pair_drop();
}
END_TEST

START_TEST(the_wanted_kick_is_the_next)
{
	struct fe_buf buf = {PAIR_GPA, 8};
	struct taken t;

	make(8, true);
	start_at(starts[_i]);
	ck_assert(!vq_kicks_on(&vq));
	ck_assert_uint_eq(*ring.avail_event, starts[_i]);
	pair_add(&buf, 1, 0);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 1);
	ck_assert_int_eq(pair_pop(&t), 1);
	vq_kicks_off(&vq);
	pair_add(&buf, 1, 0);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 0);
	pair_drop();
}
END_TEST

/* The used index is memory's: a new device goes on behind what the last one used. */
START_TEST(the_used_index_comes_from_memory)
{
	struct fe_buf buf = {PAIR_GPA, 8};
	struct taken t;
	unsigned head;

	make(8, false);
	start_at(65534);
	pair_add(&buf, 1, 0);
	ck_assert_int_eq(pair_pop(&t), 1); /* taken and lost */
	head = pair_add(&buf, 1, 0);
	ck_assert_int_eq(pair_attach(65535), 0);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(t.chain.head, head);
	vq_push(&vq, t.chain.head, 0);
	vq_publish(&vq);
	ck_assert_uint_eq(ring.used->idx, 65535);
	ck_assert_uint_eq(ring.used->ring[65534 & 7].id, head);
	pair_drop();
}
END_TEST

START_TEST(what_cannot_be_a_split_ring_is_refused)
{
	struct vq_setup good;

	make(8, false);
	good = setup;
	ck_assert_int_eq(pair_attach(65536), -EINVAL);
	setup.size = 0;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup.size = 7;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup.size = 32769;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup = good;
	setup.desc = (uint8_t *)setup.desc + 8;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup = good;
	setup.avail = (uint8_t *)setup.avail + 1;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup = good;
	setup.used = (uint8_t *)setup.used + 2;
	ck_assert_int_eq(pair_attach(0), -EINVAL);
	setup = good;
	ck_assert_int_eq(pair_attach(0), 0);
	pair_drop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_split");
	TCase *tc = tcase_create("split");

	tcase_add_loop_test(tc, indices_run_past_65535, 0, 2 * ARRAY_SIZE(starts));
	tcase_add_loop_test(tc, interrupts_follow_the_event_index, 0, ARRAY_SIZE(starts));
	tcase_add_test(tc, the_flag_holds_without_event_index);
	tcase_add_loop_test(tc, the_wanted_kick_is_the_next, 0, ARRAY_SIZE(starts));
	tcase_add_test(tc, the_used_index_comes_from_memory);
	tcase_add_test(tc, what_cannot_be_a_split_ring_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
