/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_net_hooks.c - SEND_RARP and NET_SET_MTU reach a device that has a use for them, and
 * are not offered for another.
 */
#include <string.h>

#include "tests/protocol/rig.h"

START_TEST(the_address_to_announce_reaches_the_device)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	uint64_t expected = 0;

	memcpy(&expected, mac, sizeof(mac));
	rig_ready(1);
	ck_assert_int_eq(fe_send_rarp(&rig.fe, mac), 0);
	ck_assert_uint_eq(echo_count(rig.echo, mac), expected);
	rig_echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 0); /* no ring was stopped for it */
}
END_TEST

START_TEST(only_six_bytes_are_the_address)
{
	struct vu_msg msg = request(VU_SEND_RARP, 8);

	rig_ready(1);
	memset(msg.payload.bytes, 0xff, 8);
	accepted(msg);
	ck_assert_uint_eq(echo_count(rig.echo, mac), 0xffffffffffffull);
}
END_TEST

START_TEST(what_the_device_refuses_is_refused)
{
	static const uint8_t no_mac[6];

	rig_ready(1);
	ck_assert_int_eq(fe_send_rarp(&rig.fe, no_mac), -EREMOTEIO);
	ck_assert_int_eq(fe_set_mtu(&rig.fe, ECHO_BAD_MTU), -EREMOTEIO);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(the_mtu_reaches_the_device)
{
	static const uint64_t good[] = {68, 1500, 9000, 65535};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(fe_set_mtu(&rig.fe, good[i]), 0);
		ck_assert_uint_eq(echo_count(rig.echo, mtu), good[i]);
	}
	rig_echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 0);
}
END_TEST

START_TEST(an_impossible_mtu_is_refused)
{
	static const uint64_t bad[] = {0, 67, 65536, 0x10000 + 1500, 1ull << 32, UINT64_MAX};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(fe_set_mtu(&rig.fe, bad[i]), -EREMOTEIO);
		ck_assert_uint_eq(echo_count(rig.echo, mtu), 0);
	}
	rig_survived();
}
END_TEST

START_TEST(a_device_that_is_no_network_card_does_not_offer_them)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.plain = true});
	rig_negotiate();
	ck_assert(!fe_has(&rig.fe, VU_PF_RARP));
	ck_assert(!fe_has(&rig.fe, VU_PF_MTU));
	refused(request(VU_SEND_RARP, 8));
	refused(request(VU_NET_SET_MTU, 8));
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_net_hooks");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_address_to_announce_reaches_the_device);
	tcase_add_test(tc, only_six_bytes_are_the_address);
	tcase_add_test(tc, what_the_device_refuses_is_refused);
	tcase_add_test(tc, the_mtu_reaches_the_device);
	tcase_add_test(tc, an_impossible_mtu_is_refused);
	tcase_add_test(tc, a_device_that_is_no_network_card_does_not_offer_them);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
