/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_packed_available.c - which packed descriptors are available: AVAIL as the wrap counter
 * says, and USED the other way (virtio 1.3, 2.8.1).
 */
#include "tests/unit/ring_rig.h"

#define WRAP 0x8000u

static const struct {
	bool avail, used, wrap;
	int taken;
} bits[] = {
	{false, false, true, 0}, {true, false, true, 1},   {false, true, true, 0},
	{true, true, true, 0},   {false, false, false, 0}, {true, false, false, 0},
	{false, true, false, 1}, {true, true, false, 0},
};

START_TEST(both_bits_count)
{
	struct vring_packed_desc *slot = at(GPA_A);
	uint16_t flags =
		(uint16_t)((bits[_i].avail ? PACKED_AVAIL : 0) | (bits[_i].used ? PACKED_USED : 0));
	uint32_t position = bits[_i].wrap ? WRAP : 0;

	slot[0] = (struct vring_packed_desc){.addr = GPA_DATA, .len = 16, .flags = flags};
	/* The next one never is, so that what waits is at most one. */
	slot[1].flags = bits[_i].wrap ? PACKED_USED : PACKED_AVAIL;
	rig_attach(true, RIG_SIZE, 0, position | position << 16);
	ck_assert_uint_eq(vq_waiting(&r.vq, RIG_SIZE), (unsigned)bits[_i].taken);
	ck_assert_int_eq(vq_kicks_on(&r.vq), bits[_i].taken);
	ck_assert_int_eq(pop(), bits[_i].taken);
	ck_assert(!r.vq.broken);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("which packed descriptors are available");
	TCase *tcase = tcase_create("bits");

	tcase_add_checked_fixture(tcase, rig_open, rig_close);
	tcase_add_loop_test(tcase, both_bits_count, 0, ARRAY_SIZE(bits));
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
