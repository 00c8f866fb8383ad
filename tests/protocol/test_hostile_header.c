/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_header.c - hostile inputs 1 to 4 and 24: sizes, versions, flags, fds and
 * disconnects at the level of bytes. After each the next clean connection works.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/protocol/rig.h"

static void send_raw(const void *bytes, size_t len, const int *fds, unsigned num_fds)
{
	ck_assert_int_eq(fe_send_bytes(&rig.fe, bytes, len, fds, num_fds), 0);
}

static void header(uint32_t number, uint32_t flags, uint32_t size)
{
	struct vu_header hdr = {.request = number, .flags = flags, .size = size};

	send_raw(&hdr, sizeof(hdr), NULL, 0);
}

START_TEST(h01_size_over_the_limit_closes)
{
	static const uint32_t sizes[] = {VU_MAX_PAYLOAD + 1, 65536,           0x7fffffff,
					 0x80000000,         UINT32_MAX - 11, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		rig_ready(1);
		header(VU_SET_MEM_TABLE, VU_VERSION, sizes[i]);
		rig_closed();
		rig_survived();
	}
}
END_TEST

START_TEST(h01_short_header_is_survived)
{
	uint8_t bytes[12] = {VU_GET_FEATURES};

	for (unsigned len = 0; len < sizeof(bytes); len++) {
		rig_ready(1);
		if (len)
			send_raw(bytes, len, NULL, 0);
		rig_survived();
	}
}
END_TEST

START_TEST(h01_short_payload_is_survived)
{
	uint8_t bytes[39] = {0};

	rig_ready(1);
	header(VU_SET_VRING_ADDR, VU_VERSION, 40);
	send_raw(bytes, sizeof(bytes), NULL, 0);
	rig_survived();
}
END_TEST

/* A peer that stops in the middle holds up nobody but itself. */
START_TEST(h01_a_message_that_never_ends_stops_no_other_session)
{
	struct fe other;

	rig_ready(1);
	rig_echo(0);
	header(VU_SET_VRING_ADDR, VU_VERSION, 40);
	rig_echo(0); /* nor its own ring */
	rig_connect_fe(&other, &rig.daemon.echo[1]);
	ck_assert_int_eq(fe_sync(&other), 0);
	fe_close(&other);
	rig_survived();
}
END_TEST

START_TEST(h02_wrong_version_closes)
{
	static const uint32_t flags[] = {0, 2, 3, 0xfffffffe};

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		rig_ready(1);
		header(VU_GET_FEATURES, flags[i], 0);
		rig_closed();
		rig_survived();
	}
}
END_TEST

START_TEST(h02_a_reply_is_no_request)
{
	rig_ready(1);
	header(VU_GET_FEATURES, VU_VERSION | VU_FLAG_REPLY, 0);
	rig_closed();
	rig_survived();
}
END_TEST

START_TEST(h02_unknown_requests_close_without_reply_ack)
{
	static const uint32_t unknown[] = {0, VU_REQUEST_END, 12345, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		rig_connect();
		header(unknown[i], VU_VERSION, 0);
		rig_closed();
		rig_survived();
	}
}
END_TEST

static void many_fds(int *fds, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		fds[i] = rig.ring[0].kick_fd;
}

/* Each row of the table refuses fds too many (test_session_table); here, as many as fit. */
START_TEST(h03_as_many_fds_as_fit_are_closed)
{
	struct vu_header hdr = {.request = VU_GET_FEATURES, .flags = VU_VERSION};
	int fds[VU_MAX_FDS];

	many_fds(fds, VU_MAX_FDS);
	rig_ready(1);
	send_raw(&hdr, sizeof(hdr), fds, VU_MAX_FDS);
	rig_closed();
	rig_survived();
}
END_TEST

START_TEST(h03_refused_messages_with_fds_in_a_loop_leak_none)
{
	struct vu_msg msg = request(VU_SET_OWNER, 0);

	rig_negotiate();
	many_fds(msg.fds, VU_MAX_FDS);
	msg.num_fds = VU_MAX_FDS;
	for (unsigned i = 0; i < 200; i++)
		refused(msg);
	rig_survived();
}
END_TEST

START_TEST(h04_truncated_control_data_closes_what_came)
{
	struct vu_header hdr = {.request = VU_SET_MEM_TABLE, .flags = VU_VERSION, .size = 40};
	int fds[2 * VU_MAX_FDS];

	many_fds(fds, ARRAY_SIZE(fds));
	rig_ready(1);
	send_raw(&hdr, sizeof(hdr), fds, ARRAY_SIZE(fds));
	rig_closed();
	rig_survived();
}
END_TEST

START_TEST(h04_fds_in_the_middle_of_a_message_are_closed)
{
	uint8_t bytes[40] = {0};
	int fds[3];

	many_fds(fds, 3);
	rig_ready(1);
	header(VU_SET_VRING_ADDR, VU_VERSION, sizeof(bytes));
	ck_assert_int_eq(usleep(20000), 0);
	send_raw(bytes, sizeof(bytes), fds, 3);
	rig_closed();
	rig_survived();
}
END_TEST

/* A message with an fd, cut after each of its bytes. */
START_TEST(h24_disconnect_after_every_byte)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 40);
	uint8_t bytes[12 + 40];

	msg.payload.mem.num_regions = 1;
	msg.payload.mem.regions[0] = fe_memory_describe(&rig.mem, 0);
	memcpy(bytes, &msg.hdr, 12);
	memcpy(bytes + 12, &msg.payload, 40);
	for (size_t len = 1; len <= sizeof(bytes); len++) {
		rig_negotiate();
		send_raw(bytes, len, &rig.mem.regions[0].fd, 1);
		rig_survived();
	}
}
END_TEST

/* And at every moment of a session's set-up, and tear-down. */
START_TEST(h24_disconnect_after_every_message)
{
	for (unsigned messages = 0; messages < 14; messages++) {
		struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
		unsigned n = messages;
		uint64_t features;
		uint32_t base;

#define STEP(call)                           \
	if (n > 0) {                         \
		n--;                         \
		ck_assert_int_eq((call), 0); \
	}
		rig_connect();
		STEP(fe_get_features(&rig.fe, &features));
		STEP(fe_get_protocol_features(&rig.fe, &features));
		STEP(fe_set_protocol_features(&rig.fe, VU_BIT(VU_PF_BACKEND_REQ)));
		STEP(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30)));
		STEP(fe_open_channel(&rig.fe, NULL, NULL));
		STEP(fe_set_mem_table(&rig.fe, &rig.mem));
		STEP(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE));
		STEP(fe_set_vring_addr(&rig.fe, 0, &addr));
		STEP(fe_set_vring_err(&rig.fe, 0, rig.ring[0].err_fd));
		STEP(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd));
		STEP(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd));
		STEP(fe_set_vring_enable(&rig.fe, 0, true));
		STEP(fe_get_vring_base(&rig.fe, 0, &base));
#undef STEP
		rig_survived();
	}
}
END_TEST

START_TEST(h24_two_clients_at_once_are_served_one_after_the_other)
{
	struct vu_msg msg = request(VU_GET_FEATURES, 0);
	struct fe second;

	rig_ready(1);
	rig_echo(0);
	rig_connect_fe(&second, rig.echo);
	ck_assert_int_eq(fe_send(&second, &msg), 0);
	second.timeout_ms = 50;
	ck_assert_int_eq(fe_await_reply(&second, VU_GET_FEATURES, 8, 0), -ETIMEDOUT);
	second.error = 0;
	second.timeout_ms = FE_TIMEOUT_MS;
	rig_echo(0);
	fe_close(&rig.fe);
	ck_assert_int_eq(fe_await_reply(&second, VU_GET_FEATURES, 8, 0), 0);
	fe_close(&second);
	rig_survived();
}
END_TEST

START_TEST(h24_a_queue_of_clients_that_gave_up_is_no_obstacle)
{
	struct fe others[4];

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		rig_connect_fe(&others[i], rig.echo);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		fe_close(&others[i]);
	rig_echo(0);
	rig_survived();
}
END_TEST

/* A peer that asks and never reads its answers: its session ends, nothing waits for it. */
START_TEST(h24_a_peer_that_never_reads_is_let_go)
{
	struct vu_msg msg = request(VU_GET_FEATURES, 0);
	struct fe other;

	rig_connect();
	for (unsigned i = 0; i < 100000 && !rig.fe.error; i++) {
		int rc = vu_send(rig.fe.sock, &msg);

		if (rc == -EAGAIN)
			usleep(100);
		else if (rc)
			break;
		if (echo_count(rig.echo, disconnects) == rig.connects)
			break;
	}
	wait_for(echo_count(rig.echo, disconnects) == rig.connects);
	rig_connect_fe(&other, &rig.daemon.echo[1]);
	ck_assert_int_eq(fe_sync(&other), 0);
	fe_close(&other);
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_header");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h01_size_over_the_limit_closes);
	tcase_add_test(tc, h01_short_header_is_survived);
	tcase_add_test(tc, h01_short_payload_is_survived);
	tcase_add_test(tc, h01_a_message_that_never_ends_stops_no_other_session);
	tcase_add_test(tc, h02_wrong_version_closes);
	tcase_add_test(tc, h02_a_reply_is_no_request);
	tcase_add_test(tc, h02_unknown_requests_close_without_reply_ack);
	tcase_add_test(tc, h03_as_many_fds_as_fit_are_closed);
	tcase_add_test(tc, h03_refused_messages_with_fds_in_a_loop_leak_none);
	tcase_add_test(tc, h04_truncated_control_data_closes_what_came);
	tcase_add_test(tc, h04_fds_in_the_middle_of_a_message_are_closed);
	tcase_add_test(tc, h24_disconnect_after_every_byte);
	tcase_add_test(tc, h24_disconnect_after_every_message);
	tcase_add_test(tc, h24_two_clients_at_once_are_served_one_after_the_other);
	tcase_add_test(tc, h24_a_queue_of_clients_that_gave_up_is_no_obstacle);
	tcase_add_test(tc, h24_a_peer_that_never_reads_is_let_go);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
