/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_negotiation.c - features, protocol features, acknowledgements, the number of
 * queues and the configuration space, as a front-end meets them before any ring.
 */
#include <string.h>

#include "tests/protocol/rig.h"

#define PROTOCOL_OFFERED                                                                          \
	(VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG) |                      \
	 VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_BACKEND_SEND_FD) | VU_BIT(VU_PF_LOG_SHMFD) |    \
	 VU_BIT(VU_PF_INFLIGHT_SHMFD) | VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS) |                       \
	 VU_BIT(VU_PF_RESET_DEVICE) | VU_BIT(VU_PF_STATUS) | VU_BIT(VU_PF_INBAND_NOTIFICATIONS) | \
	 VU_BIT(VU_PF_DEVICE_STATE) | VU_BIT(VU_PF_RARP) | VU_BIT(VU_PF_MTU))

START_TEST(offers_the_device_features_and_bits_26_and_30)
{
	uint64_t features;

	rig_connect();
	ck_assert_int_eq(fe_get_features(&rig.fe, &features), 0);
	ck_assert_uint_eq(features, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30) | VU_BIT(26) |
					    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
					    VU_BIT(VIRTIO_RING_F_EVENT_IDX));
	ck_assert_int_eq(fe_get_protocol_features(&rig.fe, &features), 0);
	ck_assert_uint_eq(features, PROTOCOL_OFFERED);
}
END_TEST

START_TEST(tells_the_device_what_was_negotiated)
{
	rig_negotiate();
	ck_assert_uint_eq(echo_count(rig.echo, features), rig.fe.features);
}
END_TEST

/* With REPLY_ACK an error is answered and the session goes on; without, it ends. */
START_TEST(features_not_offered_are_refused)
{
	struct vu_msg msg = request(VU_SET_FEATURES, 8);

	rig_negotiate();
	msg.payload.u64 = rig.fe.offered | VU_BIT(VIRTIO_F_RING_PACKED);
	refused(msg);
	ck_assert_uint_eq(echo_count(rig.echo, features), rig.fe.features);
	closes(msg);
}
END_TEST

START_TEST(protocol_features_not_offered_are_refused)
{
	struct vu_msg msg = request(VU_SET_PROTOCOL_FEATURES, 8);

	rig_negotiate();
	msg.payload.u64 = PROTOCOL_OFFERED | VU_BIT(VU_PF_XEN_MMAP);
	refused(msg);
	closes(msg);
}
END_TEST

/* NEED_REPLY means something only where REPLY_ACK was negotiated. */
START_TEST(no_acknowledgement_without_reply_ack)
{
	struct vu_msg msg = request(VU_SET_OWNER, 0);

	rig_connect();
	ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES, VU_BIT(VU_PF_MQ)), 0);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0); /* the next thing heard is its reply */
}
END_TEST

START_TEST(every_set_is_acknowledged_with_reply_ack)
{
	rig_ready(1); /* fe_request waits for each */
	accepted(request(VU_SET_OWNER, 0));
	accepted(request(VU_RESET_OWNER, 0));
	rig_echo(0); /* RESET_OWNER is ignored */
}
END_TEST

/* A request that has a reply of its own is answered once, NEED_REPLY or not. */
START_TEST(a_get_is_answered_once)
{
	struct vu_msg msg = request(VU_GET_FEATURES, 0);

	rig_negotiate();
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, 8, 0), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
}
END_TEST

START_TEST(says_how_many_rings_and_slots)
{
	uint64_t n;

	rig_teardown();
	rig_setup(&(struct echo_options){.num_queues = 3});
	rig_negotiate();
	ck_assert_int_eq(fe_get_queue_num(&rig.fe, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(fe_get_max_mem_slots(&rig.fe, &n), 0);
	ck_assert_uint_eq(n, VU_MAX_MEM_SLOTS);
}
END_TEST

START_TEST(config_reads_any_part)
{
	uint8_t data[VU_MAX_CONFIG];
	const unsigned have = sizeof(rig.echo->config);

	rig_negotiate();
	ck_assert_int_eq(fe_get_config(&rig.fe, 0, have, data), 0);
	for (unsigned i = 0; i < have; i++)
		ck_assert_uint_eq(data[i], i + 1);
	ck_assert_int_eq(fe_get_config(&rig.fe, 7, 2, data), 0);
	ck_assert_uint_eq(data[0], 8);
	ck_assert_uint_eq(data[1], 9);
}
END_TEST

/* SPDK asks for all 256 bytes, QEMU for the structure it was built with. */
START_TEST(config_beyond_the_end_reads_zero)
{
	uint8_t data[VU_MAX_CONFIG];
	const unsigned have = sizeof(rig.echo->config);

	rig_negotiate();
	ck_assert_int_eq(fe_get_config(&rig.fe, 0, VU_MAX_CONFIG, data), 0);
	for (unsigned i = 0; i < VU_MAX_CONFIG; i++)
		ck_assert_uint_eq(data[i], i < have ? i + 1 : 0);
	ck_assert_int_eq(fe_get_config(&rig.fe, have - 1, 3, data), 0);
	ck_assert_uint_eq(data[0], have);
	ck_assert_uint_eq(data[1] | data[2], 0);
	ck_assert_int_eq(fe_get_config(&rig.fe, 200, 56, data), 0);
	ck_assert_uint_eq(data[0] | data[55], 0);
}
END_TEST

START_TEST(config_is_written)
{
	uint8_t data[VU_MAX_CONFIG] = {0};

	rig_ready(1);
	for (unsigned flags = 0; flags < 3; flags++) {
		data[0] = (uint8_t)(100 + flags);
		ck_assert_int_eq(fe_set_config(&rig.fe, 4, 1, flags, data), 0);
		ck_assert_int_eq(fe_get_config(&rig.fe, 4, 1, data), 0);
		ck_assert_uint_eq(data[0], 100 + flags);
		rig_echo(0); /* the rings were taken back and started again */
	}
	/* As QEMU does: read the whole, change a byte, write the whole. */
	ck_assert_int_eq(fe_get_config(&rig.fe, 0, VU_MAX_CONFIG, data), 0);
	data[1] = 77;
	ck_assert_int_eq(fe_set_config(&rig.fe, 0, VU_MAX_CONFIG, 0, data), 0);
	ck_assert_int_eq(fe_get_config(&rig.fe, 1, 1, data), 0);
	ck_assert_uint_eq(data[0], 77);
}
END_TEST

START_TEST(a_device_without_config_does_not_offer_it)
{
	struct vu_msg msg = request(VU_GET_CONFIG, VU_CONFIG_HEADER_BYTES);

	rig_teardown();
	rig_setup(&(struct echo_options){.no_config = true});
	rig_negotiate();
	ck_assert(!fe_has(&rig.fe, VU_PF_CONFIG));
	closes(msg);
}
END_TEST

START_TEST(a_read_only_config_refuses_writes)
{
	uint8_t byte = 1;

	rig_teardown();
	rig_setup(&(struct echo_options){.plain = true});
	rig_negotiate();
	ck_assert_int_eq(fe_set_config(&rig.fe, 0, 1, 0, &byte), -EREMOTEIO);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
}
END_TEST

/* Front-ends use protocol features between the two SETs: judged by what was offered. */
START_TEST(offered_is_enough_until_set_features)
{
	uint8_t byte;
	uint64_t n;

	rig_connect();
	ck_assert_int_eq(fe_get_config(&rig.fe, 0, 1, &byte), 0);
	ck_assert_int_eq(fe_get_queue_num(&rig.fe, &n), 0);
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30)), 0);
	closes(request(VU_GET_QUEUE_NUM, 0)); /* SET_PROTOCOL_FEATURES never came */
}
END_TEST

/* Old QEMU leaves bit 30 out of SET_FEATURES but goes on using what it negotiated. */
START_TEST(protocol_features_outlive_a_set_features_without_bit_30)
{
	uint8_t byte;

	rig_negotiate();
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1)), 0);
	ck_assert_int_eq(fe_get_config(&rig.fe, 0, 1, &byte), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_negotiation");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, offers_the_device_features_and_bits_26_and_30);
	tcase_add_test(tc, tells_the_device_what_was_negotiated);
	tcase_add_test(tc, features_not_offered_are_refused);
	tcase_add_test(tc, protocol_features_not_offered_are_refused);
	tcase_add_test(tc, no_acknowledgement_without_reply_ack);
	tcase_add_test(tc, every_set_is_acknowledged_with_reply_ack);
	tcase_add_test(tc, a_get_is_answered_once);
	tcase_add_test(tc, says_how_many_rings_and_slots);
	tcase_add_test(tc, config_reads_any_part);
	tcase_add_test(tc, config_beyond_the_end_reads_zero);
	tcase_add_test(tc, config_is_written);
	tcase_add_test(tc, a_device_without_config_does_not_offer_it);
	tcase_add_test(tc, a_read_only_config_refuses_writes);
	tcase_add_test(tc, offered_is_enough_until_set_features);
	tcase_add_test(tc, protocol_features_outlive_a_set_features_without_bit_30);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
