/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What other ports see of a guest's: the announcement made in its stead (SEND_RARP), and a link that
 * does not go down when its queues stop for a moment only. Tests net/guest.
 */
#include "tests/unit/net_rig.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)

static const uint8_t mac[6] = {2, 0, 0, 0, 7, 9};
static struct net_port_options options = {.name = "g", .queues = 1, .queue_size = 256};
static struct net_guest *guest;
static struct loop *loop;

static void set_up(void)
{
	const struct rig_options o = rig_variant(0);

	rig_open(&o);
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(net_guest_create(&guest, loop, 0, 1, &options), 0);
	rig_topology.ports[0] = &guest->port;
}

static void end_loop(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_loop(unsigned ms)
{
	static struct loop_timer timer;

	loop_timer_set(loop, &timer, ms, end_loop);
	ck_assert_int_eq(loop_run(loop), 0);
}

/* announce - Return: 0 or -errno. */
static int announce(void)
{
	return guest->dev.ops->send_rarp(&guest->dev, mac);
}

/* deliver - what was posted to the lcore. Return: frames that the other guest received. */
static unsigned deliver(struct fe_used *used)
{
	mailbox_run(&rig_lcore->mailbox);
	return rig_poll(&rig_guests[1], RX, used, NET_BURST);
}

START_TEST(an_announcement_goes_to_the_other_ports)
{
	static const uint8_t request[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	struct fe_mem m = rig_offer(&rig_guests[1], 2, 256);
	const uint8_t *frame = m.host + HEADER;
	struct fe_used used[NET_BURST];

	net_port_set_ready(&guest->port, true, NULL);
	ck_assert_int_eq(announce(), 0);
	ck_assert_uint_eq(deliver(used), 1);
	ck_assert_uint_eq(used[0].len, HEADER + 60);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(frame[i], 0xff);
	ck_assert_mem_eq(frame + 6, mac, 6);
	ck_assert_mem_eq(frame + 12, request, sizeof(request));
	ck_assert_mem_eq(frame + 22, mac, 6);
	ck_assert_mem_eq(frame + 32, mac, 6);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(an_announcement_of_a_port_that_is_gone_is_none)
{
	struct fe_used used[NET_BURST];

	rig_offer(&rig_guests[1], 2, 256);
	net_port_set_ready(&guest->port, true, NULL);
	ck_assert_int_eq(announce(), 0);
	rig_topology.ports[0] = NULL;
	ck_assert_uint_eq(deliver(used), 0);
	/* Another has its number. */
	rig_topology.ports[0] = &guest->port;
	ck_assert_int_eq(announce(), 0);
	guest->port.generation++;
	ck_assert_uint_eq(deliver(used), 0);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(announcements_do_not_pile_up)
{
	struct fe_used used[NET_BURST];
	unsigned n = 0;

	while (announce() == 0)
		ck_assert_uint_lt(++n, 1000);
	ck_assert_int_eq(announce(), -EBUSY);
	deliver(used);
	ck_assert_int_eq(announce(), 0);
}
END_TEST

/* Which pairs a driver uses that told another daemon so. */
START_TEST(pairs_that_a_driver_has_filled_are_known)
{
	struct virtqueue *vq = &rig_guests[0].vq[RX];
	const struct vu_device_ops *ops = guest->dev.ops;

	ops->queue_start(&guest->dev, vq);
	ck_assert_uint_eq(guest->rx_filled, 0);
	rig_offer(&rig_guests[0], 1, 256);
	ops->queue_start(&guest->dev, vq);
	ck_assert_uint_eq(guest->rx_filled, 1);
}
END_TEST

/* A change of memory, say: rings stop, and start again. */
START_TEST(a_moment_without_queues_is_no_news)
{
	struct virtqueue *vq = &rig_guests[0].vq[RX];
	const struct vu_device_ops *ops = guest->dev.ops;

	ck_assert(!guest->port.link_up);
	ops->queue_start(&guest->dev, vq);
	ck_assert(guest->port.link_up);
	for (unsigned i = 0; i < 3; i++) {
		ops->queue_stop(&guest->dev, vq);
		run_loop(40);
		ck_assert(guest->port.link_up);
		ops->queue_start(&guest->dev, vq);
	}
	run_loop(200);
	ck_assert(guest->port.link_up);
	ops->queue_stop(&guest->dev, vq);
	run_loop(200);
	ck_assert(!guest->port.link_up);
	ck_assert_str_eq(guest->port.why_down, "driver not ready");
}
END_TEST

START_TEST(a_front_end_that_hangs_up_is_news_at_once)
{
	struct virtqueue *vq = &rig_guests[0].vq[RX];
	const struct vu_device_ops *ops = guest->dev.ops;

	ops->queue_start(&guest->dev, vq);
	ops->queue_stop(&guest->dev, vq);
	ops->disconnected(&guest->dev);
	ck_assert(!guest->port.link_up);
	ck_assert_str_eq(guest->port.why_down, "no front-end");
	run_loop(200);
	ck_assert_str_eq(guest->port.why_down, "no front-end");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_guest_port");
	TCase *c = tcase_create("port");

	rig_start();
	tcase_add_checked_fixture(c, set_up, NULL);
	tcase_add_test(c, an_announcement_goes_to_the_other_ports);
	tcase_add_test(c, an_announcement_of_a_port_that_is_gone_is_none);
	tcase_add_test(c, announcements_do_not_pile_up);
	tcase_add_test(c, pairs_that_a_driver_has_filled_are_known);
	tcase_add_test(c, a_moment_without_queues_is_no_news);
	tcase_add_test(c, a_front_end_that_hangs_up_is_news_at_once);
	suite_add_tcase(s, c);
	return run_suite(s);
}
