/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where frames go, and what stops them on the way: cable and switch, link, MAC lock, filters,
 * offloads in software, other lcores. Tests net/forward; the lcores are driven by hand.
 */
#include "net/switch.h"
#include "tests/unit/net_rig.h"
#include "vhost/wire/loop.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)

static struct rig_guest *const a = &rig_guests[0], *const b = &rig_guests[1];
static const struct rte_ether_addr station_a = {{2, 0, 0, 0, 0, 0xa}},
				   station_b = {{2, 0, 0, 0, 0, 0xb}},
				   group = {{1, 0, 0x5e, 0, 0, 1}};

/* send - guest 0 sends @bytes with these addresses. */
static uint8_t *send_to(const struct rte_ether_addr *to, const struct rte_ether_addr *from,
			uint32_t bytes)
{
	uint8_t *frame = rig_send(bytes, bytes);

	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x08;
	frame[13] = 0x00;
	return frame;
}

static void received(struct rig_guest *g, unsigned n)
{
	struct fe_used used[NET_BURST];

	ck_assert_uint_eq(rig_poll(g, RX, used, NET_BURST), n);
}

static void open_plain(void)
{
	const struct rig_options o = {.features = VU_BIT(VIRTIO_NET_F_MRG_RXBUF)};

	rig_open(&o);
	rig_offer(b, 64, 2048);
	rig_offer(a, 64, 2048);
}

START_TEST(a_link_that_is_down_stops_frames_at_either_end)
{
	open_plain();
	a->guest.port.link_up = false;
	send_to(&station_b, &station_a, 64);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(a->guest.port.in[0].drops[NET_DROP_LINK_DOWN], 1);
	a->guest.port.link_up = true;
	b->guest.port.link_up = false;
	send_to(&station_b, &station_a, 64);
	rig_pass();
	ck_assert_uint_eq(b->guest.port.out[0].drops[NET_DROP_LINK_DOWN], 1);
	b->guest.port.link_up = true;
	received(b, 0);
	send_to(&station_b, &station_a, 64);
	rig_pass();
	received(b, 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(a_cable_with_one_end_leads_nowhere)
{
	open_plain();
	rig_topology.ports[1] = NULL;
	send_to(&station_b, &station_a, 64);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(a->guest.port.in[0].drops[NET_DROP_NOWHERE], 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(a_locked_port_sends_from_its_own_address)
{
	open_plain();
	a->guest.port.mac_locked = true;
	a->guest.port.mac = station_a;
	send_to(&station_b, &station_b, 64);
	send_to(&station_b, &station_a, 64);
	send_to(&station_b, &group, 64);
	ck_assert_uint_eq(rig_pass(), 3);
	ck_assert_uint_eq(a->guest.port.in[0].drops[NET_DROP_LOCKED_MAC], 2);
	received(b, 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(a_guests_filters_are_its_own)
{
	open_plain();
	b->config.filters = true;
	b->config.mac = station_b;
	send_to(&station_a, &station_a, 64);
	send_to(&station_b, &station_a, 64);
	ck_assert_uint_eq(rig_pass(), 2);
	received(b, 1);
	ck_assert_uint_eq(b->guest.port.out[0].drops[NET_DROP_FILTERED], 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* What the receiver does not take is done here: a checksum, segments, in the order they came in. */
START_TEST(offloads_the_receiver_does_not_take_are_done)
{
	static const uint8_t ip_tcp[] = {
		0x45, 0,  0, 0,  0, 1, 0, 0, 64, 6, 0, 0, 10,   0,    0, 1, 10, 0, 0, 2, /* IPv4 */
		0,    80, 0, 90, 0, 0, 0, 1, 0,  0, 0, 2, 0x50, 0x10, 1, 0, 0,  0, 0, 0 /* TCP */
	};
	struct rig_options o = {.features = VU_BIT(VIRTIO_NET_F_CSUM) |
					    VU_BIT(VIRTIO_NET_F_HOST_TSO4) |
					    VU_BIT(VIRTIO_NET_F_MRG_RXBUF)};
	const uint32_t payload = 3500;
	struct fe_used used[16];
	uint8_t *frame, *header;
	struct fe_mem at;

	rig_open(&o);
	at = rig_offer(b, 16, 2048);
	send_to(&station_b, &station_a, 100);
	frame = send_to(&station_b, &station_a, 14 + sizeof(ip_tcp) + payload);
	memcpy(frame + 14, ip_tcp, sizeof(ip_tcp));
	frame[16] = (uint8_t)((sizeof(ip_tcp) + payload) >> 8);
	frame[17] = (uint8_t)(sizeof(ip_tcp) + payload);
	header = frame - HEADER;
	header[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header[1] = VIRTIO_NET_HDR_GSO_TCPV4;
	header[2] = 54;
	header[4] = 1000 & 0xff;
	header[5] = 1000 >> 8;
	header[6] = 34;
	header[8] = 16;
	send_to(&station_b, &station_a, 101);
	ck_assert_uint_eq(rig_pass(), 3);
	ck_assert_uint_eq(rig_poll(b, RX, used, 16), 6);
	ck_assert_uint_eq(used[0].len, HEADER + 100);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_uint_eq(used[i].len, HEADER + 54 + 1000);
	ck_assert_uint_eq(used[4].len, HEADER + 54 + 500);
	ck_assert_uint_eq(used[5].len, HEADER + 101);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(at.host[i * 2048], 0); /* nothing is left to be done */
	ck_assert_mem_eq(at.host + 4 * 2048 + HEADER + 54, frame + 54 + 3000, 500);
	/* And a receiver that takes it gets it as it is. */
	b->config.takes = VU_BIT(VIRTIO_NET_F_GUEST_CSUM) | VU_BIT(VIRTIO_NET_F_GUEST_TSO4);
	rig_add(a, TX,
		&(struct fe_buf){RIG_GPA + (uint64_t)(header - a->mem.regions[0].host),
				 (uint32_t)HEADER + 54 + payload},
		1, 0);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 16), 2);
	ck_assert_uint_eq(used[0].len + used[1].len, HEADER + 54 + payload);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* --- the switch --- */

static struct loop *loop;
static struct net_port third;

static void open_switch(void)
{
	open_plain();
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(net_switch_create(&rig_topology.fabric, loop, 300), 0);
	rig_topology.is_switch = true;
	/* A port that counts what it is not given. */
	third = (struct net_port){.id = 2, .kind = NET_GUEST};
	rig_topology.ports[2] = &third;
	rig_topology.num_ids = 3;
}

static uint64_t third_got(void)
{
	return third.out[0].drops[NET_DROP_LINK_DOWN];
}

START_TEST(what_is_known_goes_to_one_port_and_the_rest_to_all)
{
	open_switch();
	ck_assert_int_eq(net_switch_add_static(rig_topology.fabric, &station_b, 1), 0);
	send_to(&station_b, &station_a, 64);
	rig_pass();
	received(b, 1);
	ck_assert_uint_eq(third_got(), 0);
	send_to(&group, &station_a, 64);
	send_to(&(struct rte_ether_addr){{2, 9, 9, 9, 9, 9}}, &station_a, 1518);
	rig_pass();
	received(b, 2);
	received(a, 0);
	ck_assert_uint_eq(third_got(), 2);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(what_is_behind_the_senders_port_goes_nowhere)
{
	open_switch();
	ck_assert_int_eq(net_switch_add_static(rig_topology.fabric, &station_a, 0), 0);
	send_to(&station_a, &station_a, 64);
	rig_pass();
	received(a, 0);
	received(b, 0);
	ck_assert_uint_eq(third_got(), 0);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* A copy of what is borrowed is whole. */
START_TEST(a_flooded_frame_is_the_same_at_every_port)
{
	struct fe_used used[4];
	const uint8_t *frame;
	struct fe_mem at;

	open_switch();
	rig_topology.ports[2] = NULL;
	while (rig_poll(b, RX, used, 4))
		;
	third.link_up = false;
	rig_topology.ports[2] = &third;
	at.host = NULL;
	frame = send_to(&group, &station_a, 1518);
	rig_pass();
	received(b, 1);
	at.host = b->mem.regions[0].host;
	ck_assert_ptr_nonnull(memmem(at.host, RIG_REGION, frame, 1518));
	ck_assert_uint_eq(third_got(), 1);
}
END_TEST

/* --- other lcores --- */

START_TEST(a_frame_for_another_lcore_is_owned_and_told_where_to_go)
{
	struct net_lcore *other = &net_lcores[1];
	struct net_guest_queue *queue;
	struct fe_used used[4];
	uint8_t *frame, copy[1518];

	open_plain();
	ck_assert_uint_eq(net_num_lcores, 2);
	queue = b->vq[RX].device_data;
	queue->lcore = other;
	b->guest.first_lcore = 1;
	other->topology = &rig_topology;
	frame = send_to(&station_b, &station_a, sizeof(copy));
	memcpy(copy, frame, sizeof(copy));
	send_to(&station_b, &station_a, 64);
	ck_assert_uint_eq(rig_pass(), 2);
	ck_assert_uint_eq(rig_poll(a, TX, used, 4), 2);
	memset(frame, 0, sizeof(copy)); /* the sender's again */
	ck_assert_uint_eq(rte_ring_count(other->inbox), 2);
	ck_assert_uint_eq(net_inbox_take(other), 2);
	received(b, 2);
	ck_assert_ptr_nonnull(memmem(b->mem.regions[0].host, RIG_REGION, copy, sizeof(copy)));
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(what_comes_for_a_port_that_is_gone_is_dropped)
{
	struct net_lcore *other = &net_lcores[1];

	open_plain();
	b->guest.first_lcore = 1;
	other->topology = &rig_topology;
	send_to(&station_b, &station_a, 64);
	rig_pass();
	b->guest.port.generation++; /* another port has its id */
	ck_assert_uint_eq(net_inbox_take(other), 1);
	send_to(&station_b, &station_a, 64);
	rig_pass();
	rig_topology.ports[1] = NULL;
	ck_assert_uint_eq(net_inbox_take(other), 1);
	received(b, 0);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(a_full_inbox_drops_by_name)
{
	open_plain();
	b->guest.first_lcore = 1;
	for (unsigned i = 0; i < NET_INBOX_FRAMES; i++)
		if (rte_ring_enqueue(net_lcores[1].inbox, &third) < 0)
			break;
	send_to(&station_b, &station_a, 64);
	rig_pass();
	ck_assert_uint_eq(b->guest.port.out[0].drops[NET_DROP_BUSY], 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_forward");
	TCase *tc = tcase_create("forward");

	rig_start();
	tcase_add_test(tc, a_link_that_is_down_stops_frames_at_either_end);
	tcase_add_test(tc, a_cable_with_one_end_leads_nowhere);
	tcase_add_test(tc, a_locked_port_sends_from_its_own_address);
	tcase_add_test(tc, a_guests_filters_are_its_own);
	tcase_add_test(tc, offloads_the_receiver_does_not_take_are_done);
	tcase_add_test(tc, what_is_known_goes_to_one_port_and_the_rest_to_all);
	tcase_add_test(tc, what_is_behind_the_senders_port_goes_nowhere);
	tcase_add_test(tc, a_flooded_frame_is_the_same_at_every_port);
	tcase_add_test(tc, a_frame_for_another_lcore_is_owned_and_told_where_to_go);
	tcase_add_test(tc, what_comes_for_a_port_that_is_gone_is_dropped);
	tcase_add_test(tc, a_full_inbox_drops_by_name);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
