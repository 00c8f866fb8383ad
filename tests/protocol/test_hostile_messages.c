/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_messages.c - hostile inputs 20, 26 and 27: configuration, and the
 * messages of features that are not offered, whatever they carry.
 */
#include <string.h>
#include <sys/mman.h>

#include "tests/protocol/rig.h"

/* sent_anyway - with every fd count a front-end might send, on a fresh connection each time. */
static void sent_anyway(struct vu_msg msg)
{
	for (unsigned fds = 0; fds < 2; fds++) {
		msg.num_fds = fds;
		msg.fds[0] = rig.mem.regions[0].fd;
		rig_ready(1);
		rig_echo(0);
		closes(msg);
		rig_survived();
	}
}

/* The fields of a configuration message. */
static struct vu_msg config(uint32_t number, uint32_t offset, uint32_t size, uint32_t flags)
{
	uint32_t data = size <= VU_MAX_CONFIG ? size : 4;
	struct vu_msg msg = request(number, VU_CONFIG_HEADER_BYTES + data);

	msg.payload.config.offset = offset;
	msg.payload.config.size = size;
	msg.payload.config.flags = flags;
	return msg;
}

/* An error is a reply without payload. */
START_TEST(h20_reads_beyond_the_window_are_errors)
{
	static const struct {
		uint32_t offset, size;
	} bad[] = {
		{0, 257},
		{1, 256},
		{256, 1},
		{257, 0},
		{200, 57},
		{UINT32_MAX, 1},
		{UINT32_MAX, 256},
		{UINT32_MAX - 3, 4},
		{0, UINT32_MAX},
		{UINT32_MAX, UINT32_MAX},
		{0x80000000, 0x80000000},
	};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vu_msg msg = config(VU_GET_CONFIG, bad[i].offset, bad[i].size, 0);

		ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
		ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_CONFIG, 0, 0), 0);
	}
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h20_writes_beyond_the_window_are_refused)
{
	rig_ready(1);
	refused(config(VU_SET_CONFIG, 0, 257, 0));
	refused(config(VU_SET_CONFIG, 200, 57, 0));
	refused(config(VU_SET_CONFIG, 256, 1, 0));
	refused(config(VU_SET_CONFIG, UINT32_MAX, 4, 0));
	refused(config(VU_SET_CONFIG, UINT32_MAX - 3, 4, 0));
	refused(config(VU_SET_CONFIG, 0, UINT32_MAX, 0));
	ck_assert_uint_eq(echo_count(rig.echo, config_writes), 0);
	rig_echo(0);
	rig_survived();
}
END_TEST

/* Beyond the device's own space only zeroes may be written, and they change nothing. */
START_TEST(h20_writes_beyond_the_end_of_the_space_are_refused)
{
	uint32_t have = sizeof(rig.echo->config);
	struct vu_msg msg;

	rig_ready(1);
	accepted(config(VU_SET_CONFIG, have, 10, 0));
	accepted(config(VU_SET_CONFIG, VU_MAX_CONFIG, 0, 0));
	ck_assert_uint_eq(echo_count(rig.echo, config_writes), 0);
	msg = config(VU_SET_CONFIG, have, 10, 0);
	msg.payload.config.data[9] = 1;
	refused(msg);
	msg = config(VU_SET_CONFIG, 0, have + 1, 0);
	memcpy(msg.payload.config.data, rig.echo->config, have);
	msg.payload.config.data[have] = 1;
	refused(msg);
	ck_assert_uint_eq(echo_count(rig.echo, config_writes), 0);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h20_writes_to_read_only_fields_are_refused)
{
	struct vu_msg msg = config(VU_SET_CONFIG, 40, 1, 0);
	uint8_t byte;

	rig_ready(1);
	msg.payload.config.data[0] = 0xee;
	refused(msg);
	ck_assert_int_eq(fe_get_config(&rig.fe, 40, 1, &byte), 0);
	ck_assert_uint_eq(byte, 41);
	rig_echo(0); /* the ring was taken back for it, and is running again */
	rig_survived();
}
END_TEST

START_TEST(h20_unknown_flags_are_refused)
{
	rig_ready(1);
	refused(config(VU_SET_CONFIG, 0, 1, 3));
	refused(config(VU_SET_CONFIG, 0, 1, UINT32_MAX));
	rig_survived();
}
END_TEST

START_TEST(h20_a_size_that_is_not_the_payloads_closes)
{
	struct vu_msg msg = config(VU_SET_CONFIG, 0, 8, 0);

	rig_ready(1);
	msg.payload.config.size = 9;
	closes(msg);
	rig_survived();
}
END_TEST

START_TEST(h26_enable_is_the_one_message_that_needs_no_negotiation)
{
	rig_connect();
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1)), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, false), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	rig_survived();
}
END_TEST

START_TEST(h26_postcopy_and_others_that_were_not_offered)
{
	sent_anyway(request(VU_POSTCOPY_ADVISE, 0));
	sent_anyway(request(VU_POSTCOPY_LISTEN, 0));
	sent_anyway(request(VU_POSTCOPY_END, 0));
	sent_anyway(request(VU_SET_VRING_ENDIAN, sizeof(struct vu_vring_state)));
	sent_anyway(request(VU_CREATE_CRYPTO_SESSION, 1024));
	sent_anyway(request(VU_CLOSE_CRYPTO_SESSION, 8));
	sent_anyway(request(VU_GET_SHARED_OBJECT, 16));
	sent_anyway(request(VU_GPU_SET_SOCKET, 0));
}
END_TEST

START_TEST(h27_iotlb)
{
	struct vu_msg msg = request(VU_IOTLB_MSG, sizeof(msg.payload.iotlb));

	msg.payload.iotlb.iova = UINT64_MAX;
	msg.payload.iotlb.size = UINT64_MAX;
	sent_anyway(msg);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_messages");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h20_reads_beyond_the_window_are_errors);
	tcase_add_test(tc, h20_writes_beyond_the_window_are_refused);
	tcase_add_test(tc, h20_writes_beyond_the_end_of_the_space_are_refused);
	tcase_add_test(tc, h20_writes_to_read_only_fields_are_refused);
	tcase_add_test(tc, h20_unknown_flags_are_refused);
	tcase_add_test(tc, h20_a_size_that_is_not_the_payloads_closes);
	tcase_add_test(tc, h26_enable_is_the_one_message_that_needs_no_negotiation);
	tcase_add_test(tc, h26_postcopy_and_others_that_were_not_offered);
	tcase_add_test(tc, h27_iotlb);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
