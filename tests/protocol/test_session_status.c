/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_status.c - SET_STATUS and GET_STATUS: kept for the front-end, one for each
 * connection; nothing is done by it, and a broken ring shows in it.
 */
#include "tests/protocol/rig.h"

static uint8_t status(void)
{
	uint8_t value;

	ck_assert_int_eq(fe_get_status(&rig.fe, &value), 0);
	return value;
}

START_TEST(what_is_set_is_read_back)
{
	static const uint8_t steps[] = {0, 1, 3, 11, 15, 0x8f, 0xbf, 0};

	rig_negotiate();
	ck_assert_uint_eq(status(), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		ck_assert_int_eq(fe_set_status(&rig.fe, steps[i]), 0);
		ck_assert_uint_eq(status(), steps[i]);
	}
}
END_TEST

START_TEST(each_connection_begins_with_0)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_status(&rig.fe, 15), 0);
	rig_hangup();
	rig_negotiate();
	ck_assert_uint_eq(status(), 0);
}
END_TEST

/* QEMU resets the status before it asks where the rings stand. */
START_TEST(status_0_leaves_rings_and_bases_alone)
{
	uint32_t base;

	rig_ready(1);
	ck_assert_int_eq(fe_set_status(&rig.fe, 15), 0);
	rig_echo(0);
	rig_echo(0);
	ck_assert_int_eq(fe_set_status(&rig.fe, 0), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_uint_eq(base, 3);
	ck_assert_uint_eq(echo_count(rig.echo, resets), 0);
}
END_TEST

START_TEST(a_broken_ring_needs_a_reset)
{
	rig_ready(1);
	ck_assert_int_eq(fe_set_status(&rig.fe, 15), 0);
	rig_break(0);
	wait_for(status() == (15 | VIRTIO_CONFIG_S_NEEDS_RESET));
	/* The driver adds a bit to what it read: NEEDS_RESET is not its to keep. */
	ck_assert_int_eq(fe_set_status(&rig.fe, status() | VIRTIO_CONFIG_S_FAILED), 0);
	ck_assert_uint_eq(status(), 15 | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
	fe_ring_reset(&rig.ring[0]);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, 0), 0);
	ck_assert_uint_eq(status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}
END_TEST

START_TEST(needs_reset_cannot_be_set_from_outside)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_status(&rig.fe, 0xff), 0);
	ck_assert_uint_eq(status(), 0xff & ~VIRTIO_CONFIG_S_NEEDS_RESET);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_status");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_is_set_is_read_back);
	tcase_add_test(tc, each_connection_begins_with_0);
	tcase_add_test(tc, status_0_leaves_rings_and_bases_alone);
	tcase_add_test(tc, a_broken_ring_needs_a_reset);
	tcase_add_test(tc, needs_reset_cannot_be_set_from_outside);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
