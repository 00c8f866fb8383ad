/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_net.c - a network device of the VMM: what it makes of a back-end that has no configuration
 * space and a control queue it does not serve (DPDK's), and who gets which queue. Tests
 * vmm/vhost_user_net. The back-end is a script (vmm_script.h).
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <string.h>

#include "tests/protocol/vmm_rig.h"
#include "tests/protocol/vmm_script.h"
#include "vmm/net_ctrl.h"

static const uint8_t our_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

/* As DPDK's library offers it. */
static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	rig_begin();
	script_init();
	script.features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES) |
			  VU_BIT(VIRTIO_NET_F_MRG_RXBUF) | VU_BIT(VIRTIO_NET_F_MQ) |
			  VU_BIT(VIRTIO_NET_F_CTRL_VQ) | VU_BIT(VIRTIO_NET_F_CTRL_RX) |
			  VU_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | VU_BIT(VIRTIO_NET_F_MTU) |
			  VU_BIT(VIRTIO_NET_F_CSUM);
	script.protocol = VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK);
	script.queue_num = 128;
	rig.opt.socket_path = SCRIPT_SOCKET;
	rig.opt.wait_s = 0;
	rig.opt.has_mac = true;
	memcpy(rig.opt.mac, our_mac, sizeof(our_mac));
}

static int connect_first(void)
{
	int ret;

	script_start();
	rig_create(VIRTIO_ID_NET, 0);
	ret = rig_connect();
	rig.vu->backoff_ms = 5;
	return ret;
}

static void done(void)
{
	script_stop();
	rig_close();
}

static struct virtio_net_config config(void)
{
	struct virtio_net_config c;

	memset(&c, 0, sizeof(c));
	memcpy(&c, rig.dev->config, min_of(sizeof(c), (size_t)rig.dev->config_bytes));
	return c;
}

/* say - a command on queue @index. Return: the answer. */
static uint8_t say(unsigned index, uint8_t class, uint8_t command, uint16_t value)
{
	uint8_t *page = rig.disk.data;
	uint64_t gpa = rig.disk.data_mem.gpa;
	struct fe_buf bufs[] = {{gpa, 2},
				{gpa + 2, class == VIRTIO_NET_CTRL_MQ ? 2 : 0},
				{gpa + 64, 1}};
	struct fe_ring *ring = rig_ring(index);
	unsigned num_out = bufs[1].len ? 2 : 1;
	struct fe_used used;

	page[0] = class;
	page[1] = command;
	memcpy(page + 2, &value, 2);
	page[64] = 0xee;
	if (num_out == 1)
		bufs[1] = bufs[2];
	ck_assert_int_ge(fe_ring_add(ring, bufs, num_out, 1), 0);
	fe_ring_publish(ring);
	fe_ring_kick(ring);
	rig_turn(5);
	return fe_ring_poll(ring, &used, 1) == 1 ? page[64] : 0xff;
}

static uint8_t set_pairs(unsigned index, uint16_t pairs)
{
	return say(index, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs);
}

static bool enabled(unsigned pairs)
{
	for (unsigned i = 0; i < 4; i++)
		if (script_count(enabled[i]) != (i < 2 * pairs))
			return false;
	return true;
}

START_TEST(what_the_back_end_lacks_the_vmm_has)
{
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(rig.dev->num_queues, 5);
	ck_assert(!memcmp(config().mac, our_mac, sizeof(our_mac)));
	ck_assert_uint_eq(config().status, VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(config().max_virtqueue_pairs, 2);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool of_vmm = bit == VIRTIO_NET_F_MAC || bit == VIRTIO_NET_F_STATUS ||
			      bit == VIRTIO_F_RING_RESET || net_ctrl_features >> bit & 1;
		bool of_backend = script.features >> bit & 1 && bit != VIRTIO_NET_F_MTU &&
				  bit != VU_F_PROTOCOL_FEATURES;

		ck_assert_int_eq(rig.dev->features >> bit & 1, of_vmm || of_backend);
	}
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	/* It is told of what it offered itself only. */
	ck_assert_uint_eq(script_count(features_set) & ~script.features, 0);
	ck_assert(script_count(features_set) & VU_BIT(VIRTIO_NET_F_MQ));
	ck_assert_uint_eq(script_count(kicks_set), 4);
	rig_reset();
	done();
}
END_TEST

START_TEST(pairs_are_enabled_as_the_driver_says)
{
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig_until(enabled(1));
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	rig_until(enabled(2));
	ck_assert_uint_eq(set_pairs(4, 3), VIRTIO_NET_ERR);
	rig_until(enabled(2));
	ck_assert_uint_eq(set_pairs(4, 1), VIRTIO_NET_OK);
	rig_until(enabled(1));
	/* Another back-end is told the same; and while there is none, the queue is answered. */
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	rig.vu->backoff_ms = 200;
	script_drop();
	rig_until(rig.vu->state == VHOST_USER_LOST);
	ck_assert_uint_eq(set_pairs(4, 1), VIRTIO_NET_OK);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig_until(enabled(1));
	ck_assert_uint_eq(script_count(kicks_set), 8);
	/* A driver to come begins with one. */
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	rig_until(enabled(2));
	rig_reset();
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig_until(enabled(1));
	done();
}
END_TEST

START_TEST(a_driver_without_multiqueue_has_its_control_queue_third)
{
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(VU_BIT(VIRTIO_NET_F_MQ), 3);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(script_count(kicks_set), 2);
	ck_assert_uint_eq(set_pairs(2, 1), VIRTIO_NET_ERR); /* not negotiated */
	ck_assert_uint_eq(say(2, VIRTIO_NET_CTRL_ANNOUNCE, 0, 0), VIRTIO_NET_OK);
	/* The queue behind it is nobody's; that it is reset changes nothing here. */
	rig.dev->queues[3].resetting = true;
	rig.dev->ops->queue_reset(rig.dev, 3);
	rig_turn(5);
	ck_assert_uint_eq(rig.queue_resets, 1);
	ck_assert_uint_eq(say(2, VIRTIO_NET_CTRL_ANNOUNCE, 0, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(le16toh(rig_ring(2)->used->idx), 3);
	done();
}
END_TEST

START_TEST(one_pair_needs_no_control_queue)
{
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(rig.dev->num_queues, 2);
	ck_assert_uint_eq(rig.dev->features &
				  (VU_BIT(VIRTIO_NET_F_CTRL_VQ) | VU_BIT(VIRTIO_NET_F_MQ) |
				   VU_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE)),
			  0);
	rig_driver_ok(0, 2);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert(enabled(1));
	done();
}
END_TEST

START_TEST(a_back_end_that_serves_the_control_queue_gets_it)
{
	struct virtio_net_config theirs = {.max_virtqueue_pairs = 2};

	script.features |= VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
	rig.opt.queues = _i ? 2 : 1;
	if (_i == 1)
		script.queue_num = 2; /* pairs: it has no other place to say it */
	if (_i == 2) {
		script.queue_num = 5; /* rings */
		script.protocol |= VU_BIT(VU_PF_CONFIG);
		memcpy(script.config, &theirs, sizeof(theirs));
	}
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(rig.dev->num_queues, _i ? 5 : 3);
	ck_assert(rig.dev->features & VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR));
	rig_driver_ok(0, rig.dev->num_queues);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(script_count(kicks_set), _i ? 5 : 3);
	ck_assert(script_count(enabled[_i ? 4 : 2]));
	ck_assert_uint_eq(say(_i ? 4 : 2, VIRTIO_NET_CTRL_ANNOUNCE, 0, 0), 0xff); /* not ours */
	done();
}
END_TEST

/* Its control queue is behind all the pairs it has, which the guest is not shown. */
START_TEST(a_back_end_with_more_pairs_than_are_shown_does_not_get_it)
{
	script.features |= VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
	script.queue_num = 3;
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(rig.dev->num_queues, 5);
	ck_assert(!(rig.dev->features & VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR)));
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	rig_until(enabled(2));
	ck_assert_uint_eq(script_count(kicks_set), 4);
	done();
}
END_TEST

START_TEST(the_operator_decides_who_answers)
{
	static const struct {
		enum net_ctrl ctrl;
		unsigned queues, num_queues;
		int error;
	} cases[] = {
		{NET_CTRL_OFF, 1, 2, 0},
		{NET_CTRL_OFF, 4, 2, 0}, /* more would need one */
		{NET_CTRL_VMM, 1, 3, 0},
		{NET_CTRL_BACKEND, 1, 3, 0},
		{NET_CTRL_BACKEND, 1, 0, -EPROTONOSUPPORT}, /* it cannot */
		{NET_CTRL_BACKEND, 2, 0, -EPROTONOSUPPORT}, /* it has more pairs */
	};

	if (cases[_i].error && cases[_i].queues == 1)
		script.features &= ~VU_BIT(VIRTIO_NET_F_CTRL_VQ);
	rig.opt.ctrl = cases[_i].ctrl;
	rig.opt.queues = cases[_i].queues;
	ck_assert_int_eq(connect_first(), cases[_i].error);
	ck_assert_uint_eq(rig.dev->num_queues, cases[_i].num_queues);
	done();
}
END_TEST

START_TEST(a_new_back_end_is_announced_to)
{
	rig.opt.ctrl = NET_CTRL_VMM;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 3);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(config().status, VIRTIO_NET_S_LINK_UP);
	script_drop();
	rig_until(rig.vu->connections == 2);
	ck_assert_uint_eq(config().status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_uint_eq(rig.config_changes, 1);
	ck_assert_uint_eq(say(2, VIRTIO_NET_CTRL_ANNOUNCE, 0, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(config().status, VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(rig.config_changes, 1);
	done();
}
END_TEST

START_TEST(the_control_queue_can_be_reset_by_itself)
{
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	rig.dev->queues[4].resetting = true;
	rig.dev->ops->queue_reset(rig.dev, 4);
	ck_assert_uint_eq(rig.queue_resets, 1); /* nobody else has it */
	fe_ring_reset(rig_ring(4));
	ck_assert_uint_eq(set_pairs(4, 1), 0xff); /* not enabled */
	fe_ring_reset(rig_ring(4));
	rig_set_up(4);
	rig.dev->ops->queue_enable(rig.dev, 4);
	rig_turn(1);
	ck_assert_uint_eq(set_pairs(4, 1), VIRTIO_NET_OK);
	rig_until(enabled(1));
	done();
}
END_TEST

START_TEST(a_ring_of_the_vmm_that_is_wrong_needs_a_reset)
{
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	rig.dev->driver_features = rig.dev->features;
	for (unsigned i = 0; i < 5; i++)
		rig_set_up(i);
	if (_i == 0)
		rig.dev->queues[4].desc_gpa = 1ull << 40;
	else
		rig_ring(4)->avail->idx = htole16(1000);
	rig.dev->ops->start(rig.dev);
	rig_until(rig.needs_resets == 1);
	rig_until(vhost_user_idle(rig.vu));
	rig_reset();
	rig_driver_ok(0, 5);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(set_pairs(4, 2), VIRTIO_NET_OK);
	done();
}
END_TEST

START_TEST(a_configuration_space_of_the_back_end_counts)
{
	struct virtio_net_config theirs = {
		.mac = {0x52, 0x54, 0, 9, 9, 9},
		.status = 0, /* no link */
		.max_virtqueue_pairs = 77,
		.mtu = 9000,
	};

	script.features |= VU_BIT(VIRTIO_NET_F_MAC) | VU_BIT(VIRTIO_NET_F_STATUS);
	script.protocol |= VU_BIT(VU_PF_CONFIG);
	memcpy(script.config, &theirs, sizeof(theirs));
	rig.opt.has_mac = _i;
	ck_assert_int_eq(connect_first(), 0);
	ck_assert(!memcmp(config().mac, _i ? our_mac : theirs.mac, 6));
	ck_assert_uint_eq(config().status, 0);
	ck_assert_uint_eq(config().mtu, 9000);
	ck_assert_uint_eq(config().max_virtqueue_pairs, 1); /* of ours */
	ck_assert(rig.dev->features & VU_BIT(VIRTIO_NET_F_MTU));
	done();
}
END_TEST

/* While nothing is known of the next back-end, what the one before said counts. */
START_TEST(an_announcement_changes_nothing_else)
{
	struct virtio_net_config before;

	script.features |= VU_BIT(VIRTIO_NET_F_MAC);
	script.protocol |= VU_BIT(VU_PF_CONFIG);
	memcpy(script.config, "\x52\x54\0\7\7\7", 6);
	script.config[10] = 0x28; /* the MTU */
	rig.opt.has_mac = false;
	rig.opt.ctrl = NET_CTRL_VMM;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 3);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	before = config();
	script.connection = 2;
	script.request = VU_GET_FEATURES;
	script.act = SCRIPT_HANG;
	script_drop();
	rig_until(rig.vu->connections == 2 && rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(config().status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	script_drop();
	rig_until(script_count(acted));
	ck_assert_uint_eq(say(2, VIRTIO_NET_CTRL_ANNOUNCE, 0, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_NEGOTIATING);
	ck_assert(!memcmp(config().mac, before.mac, sizeof(before.mac)));
	ck_assert_uint_eq(config().mtu, before.mtu);
	ck_assert_uint_eq(config().status, before.status);
	done();
}
END_TEST

START_TEST(where_nobody_has_an_address_one_is_made)
{
	rig.opt.has_mac = false;
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(config().mac[0] & 3, 2); /* local, of one station */
	script_drop();
	rig_until(rig.vu->connections == 2);
	ck_assert_uint_eq(rig.config_changes, 0); /* and stays */
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_net");
	TCase *tc = tcase_create("net");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_the_back_end_lacks_the_vmm_has);
	tcase_add_test(tc, pairs_are_enabled_as_the_driver_says);
	tcase_add_test(tc, a_driver_without_multiqueue_has_its_control_queue_third);
	tcase_add_test(tc, one_pair_needs_no_control_queue);
	tcase_add_loop_test(tc, a_back_end_that_serves_the_control_queue_gets_it, 0, 3);
	tcase_add_test(tc, a_back_end_with_more_pairs_than_are_shown_does_not_get_it);
	tcase_add_loop_test(tc, the_operator_decides_who_answers, 0, 6);
	tcase_add_test(tc, a_new_back_end_is_announced_to);
	tcase_add_test(tc, the_control_queue_can_be_reset_by_itself);
	tcase_add_loop_test(tc, a_ring_of_the_vmm_that_is_wrong_needs_a_reset, 0, 2);
	tcase_add_loop_test(tc, a_configuration_space_of_the_back_end_counts, 0, 2);
	tcase_add_test(tc, an_announcement_changes_nothing_else);
	tcase_add_test(tc, where_nobody_has_an_address_one_is_made);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
