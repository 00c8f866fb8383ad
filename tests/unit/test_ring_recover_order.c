/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_recover_order.c - chains that a killed process had taken come again in the order they
 * were taken, whatever their heads, also when the next process is killed too; and only those.
 */
#include "tests/unit/ring_rig.h"

#define WRAP 0x8000u

static const uint16_t order[] = {5, 1, 6, 0, 3};

static uint64_t area[64];
static bool packed;
static unsigned offered;

/* offer - one more of order[], available. */
static void offer(void)
{
	uint16_t head = order[offered];

	if (packed) {
		struct vring_packed_desc *slot = at(GPA_A);

		slot[offered++] = (struct vring_packed_desc){GPA_DATA, 16, head, PACKED_AVAIL};
	} else {
		struct vring_desc *desc = at(GPA_A);
		struct vring_avail *avail = at(GPA_A + 0x8000);

		desc[head] = (struct vring_desc){GPA_DATA, 16, 0, 0};
		avail->ring[offered++] = head;
		avail->idx = (uint16_t)offered;
	}
}

static void take(unsigned nth)
{
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(r.chain.head, order[nth]);
	ck_assert_int_eq(r.chain.error, VQ_CHAIN_OK);
}

static void begin(void)
{
	memset(area, 0, sizeof(area));
	offered = 0;
	rig_attach(packed, RIG_SIZE, 0, packed ? WRAP | WRAP << 16 : 0);
	vq_detach(&r.vq);
	r.setup.inflight = area;
	r.setup.inflight_bytes = vq_inflight_bytes(packed, RIG_SIZE);
	ck_assert_uint_le(r.setup.inflight_bytes, sizeof(area));
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
}

/* killed - and there is a next process, for which @num are left. */
static void killed(unsigned num)
{
	vq_detach(&r.vq);
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	ck_assert_uint_eq(r.vq.num_resubmit, num);
}

START_TEST(in_the_order_they_were_taken)
{
	packed = _i;
	begin();
	for (unsigned i = 0; i < 3; i++) {
		offer();
		take(i);
	}
	killed(3);
	for (unsigned i = 0; i < 3; i++)
		take(i);
	/* What this process takes is younger than what it was left. */
	offer();
	take(3);
	offer();
	killed(4);
	for (unsigned i = 0; i < 5; i++)
		take(i);
	ck_assert_int_eq(pop(), 0);
	vq_detach(&r.vq);
}
END_TEST

START_TEST(without_those_that_were_answered)
{
	packed = _i;
	begin();
	for (unsigned i = 0; i < 4; i++) {
		offer();
		take(i);
	}
	vq_push(&r.vq, order[1], 0);
	vq_push(&r.vq, order[0], 0);
	vq_publish(&r.vq);
	vq_push(&r.vq, order[2], 0); /* which no driver has seen */
	killed(2);
	take(2);
	take(3);
	ck_assert_int_eq(pop(), 0);
	vq_detach(&r.vq);
}
END_TEST

START_TEST(without_one_that_was_put_back)
{
	packed = _i;
	begin();
	for (unsigned i = 0; i < 3; i++) {
		offer();
		take(i);
	}
	vq_unpop(&r.vq, &r.chain);
	killed(2);
	for (unsigned i = 0; i < 3; i++)
		take(i);
	ck_assert_int_eq(pop(), 0);
	vq_detach(&r.vq);
}
END_TEST

/* An indirect chain as it was, though its descriptor is the device's to overwrite. */
START_TEST(with_its_indirect_table)
{
	struct vring_packed_desc *slot = at(GPA_A), *table = at(GPA_DATA);

	packed = true;
	begin();
	table[0] = (struct vring_packed_desc){GPA_DATA + 4096, 16, 0, 0};
	table[1] = (struct vring_packed_desc){GPA_DATA + 8192, 32, 0, VRING_DESC_F_WRITE};
	slot[0] = (struct vring_packed_desc){GPA_DATA, 2 * sizeof(table[0]), 4,
					     PACKED_AVAIL | VRING_DESC_F_INDIRECT};
	vq_detach(&r.vq);
	r.setup.features = 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(pop(), 1);
		ck_assert_uint_eq(r.chain.head, 4);
		ck_assert_int_eq(r.chain.error, VQ_CHAIN_OK);
		ck_assert_uint_eq(r.chain.out_bytes, 16);
		ck_assert_uint_eq(r.chain.in_bytes, 32);
		ck_assert_ptr_eq(r.chain.iov[1].iov_base, at(GPA_DATA + 8192));
		memset(&slot[0].addr, 0, sizeof(slot[0].addr));
		killed(1);
	}
	vq_detach(&r.vq);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("the order of chains that come again");
	TCase *tcase = tcase_create("order");

	tcase_add_checked_fixture(tcase, rig_open, rig_close);
	tcase_add_loop_test(tcase, in_the_order_they_were_taken, 0, 2);
	tcase_add_loop_test(tcase, without_those_that_were_answered, 0, 2);
	tcase_add_loop_test(tcase, without_one_that_was_put_back, 0, 2);
	tcase_add_test(tcase, with_its_indirect_table);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
