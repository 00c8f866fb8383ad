/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_table.c - every row of the table of messages: payload size, number of fds, ring
 * index, feature. What a row does not allow never reaches a handler.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "tests/protocol/rig.h"

struct row {
	uint32_t request;
	uint32_t bytes; /* a payload it takes */
	unsigned fds;
	enum { NO_INDEX, STATE, ADDR, U64 } index;
	bool own_reply;
};

static const struct row rows[] = {
	{VU_GET_FEATURES, 0, 0, NO_INDEX, true},
	{VU_SET_FEATURES, 8, 0, NO_INDEX, false},
	{VU_SET_OWNER, 0, 0, NO_INDEX, false},
	{VU_RESET_OWNER, 0, 0, NO_INDEX, false},
	{VU_SET_MEM_TABLE, 8 + 32, 1, NO_INDEX, false},
	{VU_SET_VRING_NUM, 8, 0, STATE, false},
	{VU_SET_VRING_ADDR, 40, 0, ADDR, false},
	{VU_SET_VRING_BASE, 8, 0, STATE, false},
	{VU_GET_VRING_BASE, 8, 0, STATE, true},
	{VU_SET_VRING_KICK, 8, 1, U64, false},
	{VU_SET_VRING_CALL, 8, 1, U64, false},
	{VU_SET_VRING_ERR, 8, 1, U64, false},
	{VU_GET_PROTOCOL_FEATURES, 0, 0, NO_INDEX, true},
	{VU_SET_PROTOCOL_FEATURES, 8, 0, NO_INDEX, false},
	{VU_GET_QUEUE_NUM, 0, 0, NO_INDEX, true},
	{VU_SET_VRING_ENABLE, 8, 0, STATE, false},
	{VU_SEND_RARP, 8, 0, NO_INDEX, false},
	{VU_NET_SET_MTU, 8, 0, NO_INDEX, false},
	{VU_SET_BACKEND_REQ_FD, 0, 1, NO_INDEX, false},
	{VU_GET_CONFIG, 12 + 4, 0, NO_INDEX, true},
	{VU_SET_CONFIG, 12 + 4, 0, NO_INDEX, false},
	{VU_RESET_DEVICE, 0, 0, NO_INDEX, false},
	{VU_VRING_KICK, 8, 0, STATE, false},
	{VU_GET_MAX_MEM_SLOTS, 0, 0, NO_INDEX, true},
	{VU_ADD_MEM_REG, 40, 1, NO_INDEX, false},
	{VU_REM_MEM_REG, 40, 0, NO_INDEX, false},
	{VU_SET_STATUS, 8, 0, NO_INDEX, false},
	{VU_GET_STATUS, 0, 0, NO_INDEX, true},
	{VU_SET_DEVICE_STATE_FD, 8, 1, NO_INDEX, true},
	{VU_CHECK_DEVICE_STATE, 0, 0, NO_INDEX, true},
};
#define ROWS ((int)ARRAY_SIZE(rows))

/* A message of the right shape for @row, though not of sensible content. */
static struct vu_msg shaped(const struct row *row)
{
	struct vu_msg msg = request(row->request, row->bytes);

	for (msg.num_fds = 0; msg.num_fds < row->fds; msg.num_fds++)
		msg.fds[msg.num_fds] = rig.ring[0].kick_fd;
	if (row->request == VU_SET_MEM_TABLE)
		msg.payload.mem.num_regions = 1;
	if (row->request == VU_SET_CONFIG || row->request == VU_GET_CONFIG)
		msg.payload.config.size = 4;
	if (row->request == VU_SET_FEATURES)
		msg.payload.u64 = rig.fe.features;
	if (row->request == VU_SET_PROTOCOL_FEATURES)
		msg.payload.u64 = rig.fe.protocol;
	return msg;
}

START_TEST(one_byte_less_closes)
{
	struct vu_msg msg = shaped(&rows[_i]);

	if (!msg.hdr.size)
		return;
	rig_ready(1);
	msg = shaped(&rows[_i]);
	msg.hdr.size--;
	if (rows[_i].request == VU_GET_CONFIG) /* any size from its header on */
		msg.hdr.size = VU_CONFIG_HEADER_BYTES - 1;
	closes(msg);
	rig_survived();
}
END_TEST

START_TEST(one_byte_more_closes)
{
	struct vu_msg msg;

	rig_ready(1);
	msg = shaped(&rows[_i]);
	msg.hdr.size++;
	if (rows[_i].request == VU_GET_CONFIG) /* any size up to its window */
		msg.hdr.size = VU_CONFIG_HEADER_BYTES + VU_MAX_CONFIG + 1;
	closes(msg);
	rig_survived();
}
END_TEST

/* An ill-sized message is out of step: an acknowledgement does not save it. */
START_TEST(a_wrong_size_closes_even_with_need_reply)
{
	struct vu_msg msg;

	rig_ready(1);
	msg = shaped(&rows[_i]);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	msg.hdr.size += 300;
	closes(msg);
	rig_survived();
}
END_TEST

/* refused_or_closes - refused in a way that fits the row. */
static void refused_or_closes(const struct row *row, struct vu_msg msg)
{
	if (row->own_reply)
		closes(msg);
	else
		refused(msg);
}

/* Hostile input 3. */
START_TEST(fds_where_none_belong_are_refused)
{
	const struct row *row = &rows[_i];
	struct vu_msg msg;

	rig_ready(1);
	msg = shaped(row);
	msg.num_fds = row->fds + 2;
	for (unsigned i = 0; i < msg.num_fds; i++)
		msg.fds[i] = rig.ring[0].kick_fd;
	refused_or_closes(row, msg);
	rig_survived();
}
END_TEST

START_TEST(missing_fds_are_refused)
{
	const struct row *row = &rows[_i];
	struct vu_msg msg;

	if (!row->fds)
		return;
	rig_ready(1);
	msg = shaped(row);
	msg.num_fds = 0;
	refused(msg);
	rig_survived();
}
END_TEST

/* "No fd" and an fd contradict each other. */
START_TEST(an_fd_with_no_fd_is_refused)
{
	const struct row *row = &rows[_i];
	struct vu_msg msg;

	if (row->index != U64)
		return;
	rig_ready(1);
	msg = shaped(row);
	msg.payload.u64 |= VU_VRING_NO_FD;
	refused(msg);
	rig_survived();
}
END_TEST

/* Hostile input 10: an index is never cut to the width of an array's. */
START_TEST(ring_indices_out_of_range_are_refused)
{
	static const uint64_t bad[] = {
		1, 2, 255, 256 + 512, 0x10000, 0x10001, 0x80000000, 0xffffffff,
	};
	const struct row *row = &rows[_i];

	if (row->index == NO_INDEX)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vu_msg msg;

		rig_ready(1);
		rig_echo(0);
		msg = shaped(row);
		if (row->index == STATE)
			msg.payload.state.index = (uint32_t)bad[i];
		if (row->index == ADDR)
			msg.payload.addr.index = (uint32_t)bad[i];
		if (row->index == U64)
			msg.payload.u64 = bad[i];
		refused_or_closes(row, msg);
		rig_survived();
	}
}
END_TEST

START_TEST(high_bits_of_a_64_bit_index_are_refused)
{
	const struct row *row = &rows[_i];
	struct vu_msg msg;

	if (row->index != U64)
		return;
	rig_ready(1);
	msg = shaped(row);
	msg.payload.u64 = 1ull << 32;
	refused(msg);
	msg.payload.u64 = 1ull << 63;
	refused(msg);
	rig_echo(0);
}
END_TEST

static const struct row *row_of(uint32_t number)
{
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].request == number)
			return &rows[i];
	}
	return NULL;
}

/*
 * Hostile input 26. What belongs to a feature that is not offered is refused, and so is what
 * nobody knows. Requests 0 to a little beyond the last; _i is the request.
 */
START_TEST(messages_that_are_not_offered_are_refused)
{
	struct vu_msg msg = request((uint32_t)_i, 8);

	if (row_of((uint32_t)_i))
		return;
	msg.num_fds = 1;
	msg.fds[0] = rig.ring[0].kick_fd;
	for (int negotiated = 0; negotiated < 2; negotiated++) {
		rig_connect();
		if (negotiated)
			ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES, ALL_FEATURES), 0);
		closes(msg);
		rig_survived();
	}
}
END_TEST

START_TEST(unknown_requests_are_refused_and_the_session_goes_on)
{
	static const uint32_t unknown[] = {0, VU_REQUEST_END, 1000, 0x80000001, UINT32_MAX};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++)
		refused(request(unknown[i], 100));
	rig_echo(0);
}
END_TEST

/* Messages of offered features that this front-end did not take. */
START_TEST(messages_that_were_not_negotiated_are_refused)
{
	static const uint32_t needing[] = {
		VU_GET_QUEUE_NUM,      VU_GET_CONFIG,          VU_SET_CONFIG,
		VU_SET_BACKEND_REQ_FD, VU_GET_MAX_MEM_SLOTS,   VU_ADD_MEM_REG,
		VU_REM_MEM_REG,        VU_SEND_RARP,           VU_NET_SET_MTU,
		VU_RESET_DEVICE,       VU_VRING_KICK,          VU_SET_STATUS,
		VU_GET_STATUS,         VU_SET_DEVICE_STATE_FD, VU_CHECK_DEVICE_STATE,
	};
	const struct row *row;

	if (_i >= (int)ARRAY_SIZE(needing))
		return;
	row = row_of(needing[_i]);
	ck_assert_ptr_nonnull(row);
	rig_connect();
	ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES, VU_BIT(VU_PF_REPLY_ACK)), 0);
	refused_or_closes(row, shaped(row));
	rig_survived();
}
END_TEST

START_TEST(protocol_features_need_bit_30)
{
	rig_connect();
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1)), 0);
	closes(request(VU_GET_PROTOCOL_FEATURES, 0));
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_table");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, one_byte_less_closes, 0, ROWS);
	tcase_add_loop_test(tc, one_byte_more_closes, 0, ROWS);
	tcase_add_loop_test(tc, a_wrong_size_closes_even_with_need_reply, 0, ROWS);
	tcase_add_loop_test(tc, fds_where_none_belong_are_refused, 0, ROWS);
	tcase_add_loop_test(tc, missing_fds_are_refused, 0, ROWS);
	tcase_add_loop_test(tc, an_fd_with_no_fd_is_refused, 0, ROWS);
	tcase_add_loop_test(tc, ring_indices_out_of_range_are_refused, 0, ROWS);
	tcase_add_loop_test(tc, high_bits_of_a_64_bit_index_are_refused, 0, ROWS);
	tcase_add_loop_test(tc, messages_that_are_not_offered_are_refused, 0, VU_REQUEST_END + 5);
	tcase_add_test(tc, unknown_requests_are_refused_and_the_session_goes_on);
	tcase_add_loop_test(tc, messages_that_were_not_negotiated_are_refused, 0, 30);
	tcase_add_test(tc, protocol_features_need_bit_30);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
