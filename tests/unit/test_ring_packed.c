/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_packed.c - what is particular to a packed ring (virtio 1.3, section 2.8): wrap
 * counters, sizes that are no power of two, used elements that skip a chain's length, event
 * offsets, the base. Tests ring/packed and frontend/ring_packed, each against the ring itself.
 */
#include "tests/unit/ring_pair.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)
#define WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static void make(uint16_t size, bool event_idx, uint16_t indirect)
{
	pair_make(&(struct pair_options){
		.packed = true, .size = size, .event_idx = event_idx, .indirect = indirect});
}

static uint16_t flags_at(unsigned slot)
{
	return le16toh(ring.slots[slot % ring.size].flags);
}

static uint16_t position(unsigned slot, bool wrap)
{
	return (uint16_t)(slot | (wrap ? WRAP : 0));
}

static void set_event(struct vring_packed_desc_event *event, uint16_t off_wrap, uint16_t flags)
{
	event->off_wrap = htole16(off_wrap);
	event->flags = htole16(flags);
}

static unsigned use_next(void)
{
	struct taken t;

	pair_check(pair_pop(&t) == 1 && t.chain.error == VQ_CHAIN_OK);
	vq_push(&vq, t.chain.head, 0);
	vq_publish(&vq);
	return t.chain.head;
}

/* Both sides go on by @n single descriptors. */
static void turn_ring(unsigned n)
{
	while (n--) {
		pair_add(&(struct fe_buf){PAIR_GPA, 1}, 1, 0);
		use_next();
		pair_poll_one();
	}
}

START_TEST(flags_say_which_round_it_is)
{
	unsigned round, i;

	make(5, false, 0);
	for (round = 0; round < 4; round++) {
		bool wrap = !(round & 1);

		for (i = 0; i < 5; i++) {
			unsigned id = pair_add(&(struct fe_buf){PAIR_GPA + i, 7}, 0, 1);

			ck_assert_uint_eq(flags_at(i), VRING_DESC_F_WRITE | (wrap ? AVAIL : USED));
			ck_assert_uint_eq(ring.slots[i].addr, PAIR_GPA + i);
			ck_assert_uint_eq(ring.slots[i].len, 7);
			ck_assert_uint_eq(ring.slots[i].id, id);
			use_next();
			ck_assert_uint_eq(flags_at(i), wrap ? AVAIL | USED : 0);
			ck_assert_uint_eq(ring.slots[i].id, id);
			pair_poll_one();
		}
	}
	pair_drop();
}
END_TEST

/* At every place, with every size: a chain of three, used by one element, skipped by both. */
START_TEST(a_chain_goes_round_the_end)
{
	uint16_t size = (uint16_t)(3 + _i);
	struct fe_buf bufs[3] = {{PAIR_GPA, 1}, {PAIR_GPA + 1, 2}, {PAIR_GPA + 3, 4}};
	unsigned at, i;

	make(size, false, 0);
	for (at = 0; at < 6u * size; at += 3) {
		struct taken t;
		unsigned id = pair_add(bufs, 1, 2);

		for (i = 0; i < 3; i++) {
			bool wrap = !((at + i) / size & 1);

			ck_assert_uint_eq(flags_at(at + i),
					  (wrap ? AVAIL : USED) | (i < 2 ? VRING_DESC_F_NEXT : 0) |
						  (i ? VRING_DESC_F_WRITE : 0));
		}
		ck_assert_uint_eq(ring.slots[(at + 2) % size].id, id);
		ck_assert_int_eq(pair_pop(&t), 1);
		ck_assert_uint_eq(t.chain.head, id);
		ck_assert_uint_eq(t.chain.in_bytes, 6);
		vq_push(&vq, t.chain.head, 6);
		vq_publish(&vq);
		ck_assert_uint_eq(flags_at(at),
				  VRING_DESC_F_WRITE | (at / size & 1 ? 0 : AVAIL | USED));
		ck_assert_uint_eq(ring.slots[at % size].len, 6);
		/* The others stay as the driver left them. */
		ck_assert_uint_ne(flags_at(at + 1) & VRING_DESC_F_NEXT, 0);
		ck_assert_uint_eq(pair_poll_one().len, 6);
	}
	pair_drop();
}
END_TEST

/* 2.8.13: chains of 3, 1 and 2 used in another order; each element skips its own chain. */
START_TEST(used_elements_skip_what_their_chain_took)
{
	static const unsigned lengths[3] = {3, 1, 2};
	static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					      {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct fe_buf bufs[3] = {{PAIR_GPA, 1}, {PAIR_GPA, 1}, {PAIR_GPA, 1}};
	unsigned shift, i;

	for (shift = 0; shift < 7; shift++) {
		const unsigned *order = orders[_i];
		struct taken t[3];
		unsigned ids[3], at = shift;

		make(7, false, 0);
		turn_ring(shift);
		for (i = 0; i < 3; i++) {
			ids[i] = pair_add(bufs, lengths[i], 0);
			ck_assert_int_eq(pair_pop(&t[i]), 1);
		}
		for (i = 0; i < 3; i++) {
			vq_push(&vq, t[order[i]].chain.head, 0);
			vq_publish(&vq);
			ck_assert_uint_eq(ring.slots[at % 7].id, ids[order[i]]);
			ck_assert_uint_eq(flags_at(at), at / 7 ? 0 : AVAIL | USED);
			at += lengths[order[i]];
			ck_assert_uint_eq(pair_poll_one().head, ids[order[i]]);
		}
		ck_assert_uint_eq(vq_base(&vq), fe_ring_base(&ring));
		turn_ring(9);
		pair_drop();
	}
}
END_TEST

/* The first flags of a batch are written last, by either side. */
START_TEST(a_batch_shows_by_its_first_element)
{
	struct taken t[3];
	unsigned i;

	make(7, false, 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_ge(fe_ring_add(&ring, &(struct fe_buf){PAIR_GPA, 1}, 1, 0), 0);
	ck_assert_uint_eq(flags_at(0), 0);
	ck_assert_uint_eq(flags_at(1), AVAIL);
	ck_assert_uint_eq(flags_at(2), AVAIL);
	fe_ring_publish(&ring);
	ck_assert_uint_eq(flags_at(0), AVAIL);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(pair_pop(&t[i]), 1);
		vq_push(&vq, t[i].chain.head, 0);
	}
	ck_assert_uint_eq(flags_at(0), AVAIL);
	ck_assert_uint_eq(flags_at(1), AVAIL | USED);
	vq_publish(&vq);
	ck_assert_uint_eq(flags_at(0), AVAIL | USED);
	pair_drop();
}
END_TEST

/* 2.8.7: the table has no links, and no flag in it but WRITE means anything. */
START_TEST(in_an_indirect_table_only_write_counts)
{
	struct fe_buf bufs[3] = {{PAIR_GPA, 16}, {PAIR_GPA + 16, 32}, {PAIR_GPA + 48, 1}};
	struct vring_packed_desc *entries;
	struct taken t;
	unsigned i, id;

	make(5, false, 3);
	id = pair_add(bufs, 1, 2);
	ck_assert_uint_eq(flags_at(0), VRING_DESC_F_INDIRECT | AVAIL);
	ck_assert_uint_eq(ring.slots[0].len, 48);
	entries = fe_memory_host(&mem, ring.slots[0].addr, 48);
	ck_assert_ptr_nonnull(entries);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(entries[i].flags, i ? VRING_DESC_F_WRITE : 0);
		entries[i].flags |= (uint16_t)~VRING_DESC_F_WRITE;
		entries[i].id = 0xffff;
	}
	ring.slots[0].flags |= VRING_DESC_F_WRITE; /* ignored too */
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(t.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(t.chain.head, id);
	ck_assert_uint_eq(t.chain.num_out, 1);
	ck_assert_uint_eq(t.chain.num_in, 2);
	ck_assert_uint_eq(t.chain.in_bytes, 33);
	vq_push(&vq, t.chain.head, 33);
	vq_publish(&vq);
	pair_poll_one();
	ck_assert_uint_eq(vq_base(&vq), 0x80018001);
	pair_drop();
}
END_TEST

START_TEST(a_changed_buffer_changes_direction)
{
	struct fe_buf bufs[3] = {{PAIR_GPA, 16}, {PAIR_GPA + 16, 32}, {PAIR_GPA + 48, 1}};
	struct taken t;
	int head, turn;

	make(5, false, _i ? 3 : 0);
	head = fe_ring_prepare(&ring, bufs, 1, 2);
	for (turn = 0; turn < 6; turn++) {
		fe_ring_change(&ring, (unsigned)head, 1, (struct fe_buf){PAIR_GPA + 64, 8},
			       turn & 1);
		fe_ring_submit(&ring, (unsigned)head);
		fe_ring_publish(&ring);
		ck_assert_int_eq(pair_pop(&t), 1);
		ck_assert_uint_eq(t.chain.num_in, turn & 1 ? 2 : 1);
		ck_assert_uint_eq(t.chain.in_bytes, turn & 1 ? 9 : 1);
		ck_assert_ptr_eq(t.iov[1].iov_base, pair_device_at(PAIR_GPA + 64));
		vq_push(&vq, t.chain.head, (uint32_t)t.chain.in_bytes);
		vq_publish(&vq);
		pair_poll_one();
	}
	pair_drop();
}
END_TEST

START_TEST(events_are_armed_as_negotiated)
{
	bool event_idx = _i & 1;

	make(3, event_idx, 0);
	ck_assert_uint_eq(ring.driver_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	turn_ring(4);
	vq_kicks_off(&vq);
	ck_assert_uint_eq(ring.device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	ck_assert(!vq_kicks_on(&vq));
	ck_assert(fe_ring_interrupts_on(&ring));
	if (event_idx) {
		ck_assert_uint_eq(ring.device_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
		ck_assert_uint_eq(ring.device_event->off_wrap, position(1, false));
		ck_assert_uint_eq(ring.driver_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
		ck_assert_uint_eq(ring.driver_event->off_wrap, position(1, false));
	} else {
		ck_assert_uint_eq(ring.device_event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
		ck_assert_uint_eq(ring.driver_event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	}
	pair_drop();
}
END_TEST

/*
 * The model: descriptors are numbered for ever, so that number x stands at place x % size with
 * wrap counter 1 in even rounds. An event names the one number of its place and counter from a
 * round before @new to a round after; it is due when it lies in [old, new).
 */
static bool model_due(unsigned size, unsigned old, unsigned new, unsigned off, bool wrap)
{
	unsigned x;

	for (x = new - size; x < new + size; x++)
		if (x % size == off && !(x / size & 1) == wrap)
			return x >= old && x < new;
	ck_abort_msg("an event of no place");
}

START_TEST(events_are_due_as_in_the_model)
{
	uint16_t size = (uint16_t)(1 + _i);
	unsigned new, passed, off, wrap;

	make(size, true, 0);
	for (new = 2 * size; new < 4u * size; new ++)
		for (passed = 1; passed <= size; passed++)
			for (off = 0; off < size; off++)
				for (wrap = 0; wrap < 2; wrap++) {
					bool due = model_due(size, new - passed, new, off, wrap);
					bool new_wrap = !(new / size & 1);

					vq.next_used = (uint16_t)(new % size);
					vq.used_wrap = new_wrap;
					vq.unsignalled = passed;
					set_event(ring.driver_event, position(off, wrap),
						  VRING_PACKED_EVENT_FLAG_DESC);
					vq_notify(&vq);
					pair_check(pair_eventfd(ring.call_fd) == due);

					ring.shown_position = position(new % size, new_wrap);
					ring.unkicked = passed;
					set_event(ring.device_event, position(off, wrap),
						  VRING_PACKED_EVENT_FLAG_DESC);
					fe_ring_kick(&ring);
					pair_check(pair_eventfd(ring.kick_fd) == due);
				}
	pair_drop();
}
END_TEST

/* Flags that were not negotiated, or are reserved, are no reason to leave anyone asleep. */
START_TEST(other_event_flags)
{
	static const struct {
		bool event_idx;
		uint16_t flags;
		bool due;
	} cases[] = {
		{false, VRING_PACKED_EVENT_FLAG_ENABLE, true},
		{false, VRING_PACKED_EVENT_FLAG_DISABLE, false},
		{false, VRING_PACKED_EVENT_FLAG_DESC, true},
		{true, VRING_PACKED_EVENT_FLAG_ENABLE, true},
		{true, VRING_PACKED_EVENT_FLAG_DISABLE, false},
		{true, 3, true},
	};

	make(8, cases[_i].event_idx, 0);
	set_event(ring.driver_event, 5, cases[_i].flags);
	set_event(ring.device_event, 5, cases[_i].flags);
	pair_add(&(struct fe_buf){PAIR_GPA, 1}, 1, 0);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(pair_eventfd(ring.kick_fd), cases[_i].due);
	use_next();
	vq_notify(&vq);
	ck_assert_uint_eq(pair_eventfd(ring.call_fd), cases[_i].due);
	pair_drop();
}
END_TEST

START_TEST(the_base_names_both_places)
{
	struct taken t;

	make(5, false, 0);
	ck_assert_uint_eq(fe_ring_base(&ring), 0x80008000);
	turn_ring(3);
	ck_assert_uint_eq(vq_base(&vq), 0x80038003);
	pair_add(&(struct fe_buf){PAIR_GPA, 1}, 1, 0);
	pair_add(&(struct fe_buf){PAIR_GPA, 1}, 1, 0);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(vq_base(&vq), 0x80038004);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(vq_base(&vq), 0x80030000);
	/* A device that takes over goes on there: what was in flight is not taken again. */
	ck_assert_int_eq(pair_attach(0x80030000), 0);
	ck_assert_int_eq(pair_pop(&t), 0);
	ck_assert_uint_eq(vq.room, 3);
	pair_drop();
}
END_TEST

START_TEST(a_ring_of_any_size)
{
	static const uint16_t sizes[] = {1, 2, 3, 1000, 32767, 32768};

	make(sizes[_i], true, 0);
	turn_ring(2 * sizes[_i] + 1u);
	ck_assert_uint_eq(vq_base(&vq), fe_ring_base(&ring));
	pair_drop();
}
END_TEST

START_TEST(sizes_that_are_no_ring_are_refused)
{
	struct fe_ring_options options = {.packed = true};
	struct fe_ring other;

	make(4, false, 0);
	ck_assert_int_eq(fe_ring_init(&other, &mem, &options), -EINVAL);
	options.size = 32769;
	ck_assert_int_eq(fe_ring_init(&other, &mem, &options), -EINVAL);
	pair_drop();
}
END_TEST

/* A device that uses slot @at: @id, @len and the flags of the first round. */
static void device_lies(unsigned at, uint16_t id, uint32_t len)
{
	ring.slots[at].id = htole16(id);
	ring.slots[at].len = htole32(len);
	ring.slots[at].flags = htole16(AVAIL | USED);
}

/* What a device must not do; each breaks the ring for good. */
START_TEST(a_lying_device_breaks_the_ring)
{
	struct fe_buf bufs[3] = {{PAIR_GPA, 16}, {PAIR_GPA, 64}, {PAIR_GPA, 1}};
	struct fe_used used[8];
	const char *why = "used id that is not in flight";
	unsigned id, idle;

	make(8, false, 0);
	id = pair_add(bufs, 1, 2);
	pair_add(bufs, 1, 0);
	idle = (unsigned)fe_ring_prepare(&ring, bufs, 1, 2);
	switch (_i) {
	case 0:
		device_lies(0, 8, 0);
		why = "used id outside the ring";
		break;
	case 1:
		device_lies(0, UINT16_MAX, 0);
		why = "used id outside the ring";
		break;
	case 2:
		device_lies(0, (uint16_t)idle, 0);
		break;
	case 3:
		device_lies(0, (uint16_t)(id + 1), 0); /* in the middle of a chain */
		break;
	case 4:
		device_lies(0, (uint16_t)id, 66);
		why = "used length beyond the chain's writable bytes";
		break;
	case 5:
		device_lies(0, (uint16_t)id, UINT32_MAX);
		why = "used length beyond the chain's writable bytes";
		break;
	case 6: /* twice */
		device_lies(0, (uint16_t)id, 65);
		device_lies(3, (uint16_t)id, 65);
		ck_assert_int_eq(fe_ring_poll(&ring, used, 8), 1);
		break;
	}
	ck_assert_int_eq(fe_ring_poll(&ring, used, 8), -EPROTO);
	ck_assert_str_eq(ring.why, why);
	ck_assert_int_eq(fe_ring_poll(&ring, used, 8), -EPROTO);
	pair_drop();
}
END_TEST

START_TEST(what_was_not_shown_cannot_be_used)
{
	struct fe_used used;
	int id;

	make(8, false, 0);
	id = fe_ring_add(&ring, &(struct fe_buf){PAIR_GPA, 1}, 1, 0);
	device_lies(0, (uint16_t)id, 0);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 0);
	ck_assert(fe_ring_interrupts_on(&ring));
	pair_drop();
}
END_TEST

START_TEST(reset_begins_anew)
{
	struct fe_buf buf = {PAIR_GPA, 1};
	int kept;

	make(3, true, 0);
	kept = fe_ring_prepare(&ring, &buf, 1, 0);
	turn_ring(5);
	fe_ring_submit(&ring, (unsigned)kept);
	pair_add(&buf, 1, 0);
	ck_assert_int_ge(fe_ring_add(&ring, &buf, 1, 0), 0);
	fe_ring_break(&ring, "for this test");
	fe_ring_reset(&ring);
	ck_assert_uint_eq(fe_ring_base(&ring), 0x80008000);
	ck_assert_uint_eq(ring.num_free, 2); /* the prepared chain stays */
	ck_assert_int_eq(pair_attach(fe_ring_base(&ring)), 0);
	turn_ring(7);
	fe_ring_submit(&ring, (unsigned)kept);
	fe_ring_publish(&ring);
	ck_assert_uint_eq(use_next(), (unsigned)kept);
	pair_drop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_packed");
	TCase *tc = tcase_create("packed");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, flags_say_which_round_it_is);
	tcase_add_loop_test(tc, a_chain_goes_round_the_end, 0, 8);
	tcase_add_loop_test(tc, used_elements_skip_what_their_chain_took, 0, 6);
	tcase_add_test(tc, a_batch_shows_by_its_first_element);
	tcase_add_test(tc, in_an_indirect_table_only_write_counts);
	tcase_add_loop_test(tc, a_changed_buffer_changes_direction, 0, 2);
	tcase_add_loop_test(tc, events_are_armed_as_negotiated, 0, 2);
	tcase_add_loop_test(tc, events_are_due_as_in_the_model, 0, 9);
	tcase_add_loop_test(tc, other_event_flags, 0, 6);
	tcase_add_test(tc, the_base_names_both_places);
	tcase_add_loop_test(tc, a_ring_of_any_size, 0, 6);
	tcase_add_test(tc, sizes_that_are_no_ring_are_refused);
	tcase_add_loop_test(tc, a_lying_device_breaks_the_ring, 0, 7);
	tcase_add_test(tc, what_was_not_shown_cannot_be_used);
	tcase_add_test(tc, reset_begins_anew);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
