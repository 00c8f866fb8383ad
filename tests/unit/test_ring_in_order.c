/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VIRTIO_F_IN_ORDER on the device side: a device may finish chains in any order, the driver sees
 * them in the order it made them available (virtio 1.3, section 2.7.9 and its like for packed).
 * Tests ring/track.
 */
#include "tests/unit/ring_rig.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)
#define SIZE  5 /* packed; split has to have a power of two: RIG_SIZE */

static void open_rig(bool packed)
{
	rig_open();
	rig_attach(packed, packed ? SIZE : RIG_SIZE, 1ull << VIRTIO_F_IN_ORDER,
		   packed ? 0x8000 : 0);
}

/* split_add - chain @head, of one descriptor. */
static void split_add(uint16_t head)
{
	struct vring_avail *avail = r.setup.avail;

	((struct vring_desc *)r.setup.desc)[head] =
		(struct vring_desc){GPA_DATA, 64, VRING_DESC_F_WRITE, 0};
	avail->ring[avail->idx % RIG_SIZE] = head;
	avail->idx++;
}

static struct vring_packed_desc *slot(unsigned i)
{
	return (struct vring_packed_desc *)r.setup.desc + i % SIZE;
}

/* packed_add - the @nth descriptor ever, a chain by itself unless @flags say NEXT. */
static void packed_add(unsigned nth, uint16_t id, uint16_t flags)
{
	*slot(nth) =
		(struct vring_packed_desc){GPA_DATA, 64, id,
					   (uint16_t)(flags | (nth / SIZE % 2 ? USED : AVAIL))};
}

static bool is_used(unsigned nth)
{
	return (slot(nth)->flags & (AVAIL | USED)) == (nth / SIZE % 2 ? 0 : AVAIL | USED);
}

START_TEST(split_is_used_in_the_order_it_came)
{
	static const uint16_t heads[] = {6, 1, 3, 0};
	static const unsigned done[] = {2, 3, 0, 1};
	static const unsigned shown[] = {0, 0, 1, 4};
	struct vring_used *used;

	open_rig(false);
	used = r.setup.used;
	for (unsigned round = 0; round < 5; round++) {
		uint16_t before = used->idx;

		for (unsigned i = 0; i < 4; i++)
			split_add(heads[i]);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_int_eq(pop(), 1);
		for (unsigned i = 0; i < 4; i++) {
			vq_push(&r.vq, heads[done[i]], 10 + done[i]);
			vq_publish(&r.vq);
			ck_assert_uint_eq((uint16_t)(used->idx - before), shown[i]);
		}
		for (unsigned i = 0; i < 4; i++) {
			ck_assert_uint_eq(used->ring[(before + i) % RIG_SIZE].id, heads[i]);
			ck_assert_uint_eq(used->ring[(before + i) % RIG_SIZE].len, 10 + i);
		}
	}
	rig_close();
}
END_TEST

START_TEST(packed_is_used_in_the_order_it_came)
{
	unsigned nth = 0;

	open_rig(true);
	for (unsigned round = 0; round < 6; round++, nth += 3) {
		for (uint16_t i = 0; i < 3; i++)
			packed_add(nth + i, (uint16_t)(4 - i), VRING_DESC_F_WRITE);
		for (unsigned i = 0; i < 3; i++)
			ck_assert_int_eq(pop(), 1);
		vq_push(&r.vq, 3, 2);
		vq_push(&r.vq, 2, 3);
		vq_publish(&r.vq);
		vq_notify(&r.vq);
		ck_assert(!is_used(nth));
		ck_assert(!signalled(r.call_fd));
		vq_push(&r.vq, 4, 1);
		vq_publish(&r.vq);
		vq_notify(&r.vq);
		ck_assert(signalled(r.call_fd));
		for (unsigned i = 0; i < 3; i++) {
			ck_assert(is_used(nth + i));
			ck_assert_uint_eq(slot(nth + i)->id, 4 - i);
			ck_assert_uint_eq(slot(nth + i)->len, i + 1);
		}
	}
	rig_close();
}
END_TEST

/* The last of a run of chains without a writable part stands for all, in the place of the first. */
START_TEST(packed_chains_that_were_only_read_are_skipped)
{
	unsigned nth = 0;

	open_rig(true);
	for (unsigned round = 0; round < 6; round++, nth += 4) {
		packed_add(nth, 0, VRING_DESC_F_NEXT);
		packed_add(nth + 1, 0, 0);
		packed_add(nth + 2, 1, 0);
		packed_add(nth + 3, 2, 0);
		for (unsigned i = 0; i < 3; i++)
			ck_assert_int_eq(pop(), 1);
		for (uint16_t i = 0; i < 3; i++)
			vq_push(&r.vq, i, 0);
		vq_publish(&r.vq);
		ck_assert(is_used(nth));
		ck_assert_uint_eq(slot(nth)->id, 2);
		for (unsigned i = 1; i < 4; i++)
			ck_assert(!is_used(nth + i));
		ck_assert_uint_eq(r.vq.next_used, (nth + 4) % SIZE);
		ck_assert_uint_eq(r.vq.room, SIZE);
	}
	rig_close();
}
END_TEST

/* What was written has to be said: such a chain may end a run, never be inside one. */
START_TEST(packed_lengths_are_never_lost)
{
	open_rig(true);
	packed_add(0, 0, 0);
	packed_add(1, 1, VRING_DESC_F_WRITE);
	packed_add(2, 2, 0);
	packed_add(3, 3, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pop(), 1);
	for (uint16_t i = 4; i-- > 0;)
		vq_push(&r.vq, i, i == 1 ? 33 : 0);
	vq_publish(&r.vq);
	ck_assert(is_used(0) && slot(0)->id == 1 && slot(0)->len == 33);
	ck_assert(!is_used(1));
	ck_assert(is_used(2) && slot(2)->id == 3 && slot(2)->len == 0);
	ck_assert(!is_used(3));
	rig_close();
}
END_TEST

START_TEST(what_is_given_back_has_no_place)
{
	bool packed = _i;

	open_rig(packed);
	for (uint16_t i = 0; i < 2; i++) {
		if (packed)
			packed_add(i, i, VRING_DESC_F_WRITE);
		else
			split_add(i);
	}
	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(pop(), 1);
	vq_unpop(&r.vq, &r.chain);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, 1);
	vq_push(&r.vq, 1, 1);
	vq_push(&r.vq, 0, 1);
	vq_publish(&r.vq);
	ck_assert_uint_eq(packed ? r.vq.next_used : ((struct vring_used *)r.setup.used)->idx, 2);
	rig_close();
}
END_TEST

/* A chain that cannot be served keeps its place, and is answered by itself. */
START_TEST(a_bad_chain_keeps_its_place)
{
	open_rig(true);
	packed_add(0, 0, 0);
	packed_add(1, 1, 0);
	slot(1)->addr = GPA_HOLE;
	packed_add(2, 2, 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pop(), 1);
	for (uint16_t i = 3; i-- > 0;)
		vq_push(&r.vq, i, 0);
	vq_publish(&r.vq);
	ck_assert(is_used(0) && slot(0)->id == 1);
	ck_assert(is_used(2) && slot(2)->id == 2);
	rig_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_in_order");
	TCase *tc = tcase_create("in order");

	tcase_add_test(tc, split_is_used_in_the_order_it_came);
	tcase_add_test(tc, packed_is_used_in_the_order_it_came);
	tcase_add_test(tc, packed_chains_that_were_only_read_are_skipped);
	tcase_add_test(tc, packed_lengths_are_never_lost);
	tcase_add_loop_test(tc, what_is_given_back_has_no_place, 0, 2);
	tcase_add_test(tc, a_bad_chain_keeps_its_place);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
