/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver sets by its control queue, whom its filters let in, which pair is chosen, and what a
 * migration carries over. Tests net/ctrl, net/guest_config and net/guest_state, without lcores.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "net/guest.h"
#include "tests/unit/support.h"
#include "vhost/base/log.h"

#define PAIRS  4
#define BIT(n) (1ull << (n))

static struct net_port_options options;
static struct net_guest *guest;
static struct loop *loop;

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t group_mac[6] = {1, 0, 0x5e, 0, 0, 1};
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void set_up(void)
{
	log_init("test");
	options = (struct net_port_options){
		.name = "g", .queues = PAIRS, .queue_size = 256, .max_macs = 16, .has_mac = true};
	memcpy(&options.mac, own_mac, 6);
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(net_guest_create(&guest, loop, 0, 1, &options), 0);
	guest->dev.ops->set_features(&guest->dev, guest->dev.features);
}

static void quit(struct mail *mail)
{
	(void)mail;
	loop_quit(loop);
}

/* settle - let what was posted run. */
static void settle(void)
{
	static struct mail mail;

	loop_post(loop, &mail, quit);
	ck_assert_int_eq(loop_run(loop), 0);
}

static bool closed;

static void on_closed(struct net_guest *g)
{
	(void)g;
	closed = true;
}

static void tear_down(void)
{
	closed = false;
	net_guest_close(guest, on_closed);
	settle();
	ck_assert(closed);
	settle();
	loop_destroy(loop);
}

/* command - class, command, data. Return: whether it was carried out. */
static bool command(uint8_t class, uint8_t cmd, const void *data, size_t bytes)
{
	uint8_t buffer[2 + 4096] = {class, cmd};
	uint8_t ack;

	ck_assert_uint_le(bytes, sizeof(buffer) - 2);
	if (bytes)
		memcpy(buffer + 2, data, bytes);
	ack = net_ctrl_command(guest, buffer, bytes + 2);
	ck_assert(ack == VIRTIO_NET_OK || ack == VIRTIO_NET_ERR);
	settle();
	return ack == VIRTIO_NET_OK;
}

static bool mode(uint8_t which, uint8_t on)
{
	return command(VIRTIO_NET_CTRL_RX, which, &on, 1);
}

/* admitted - would a frame to @mac, with this tag (0: none), be let in? */
static bool admitted(const uint8_t mac[6], uint16_t tag)
{
	uint8_t data[64] = {
		[12] = tag ? 0x81 : 0x08, [14] = (uint8_t)(tag >> 8), [15] = (uint8_t)tag};
	struct rte_mbuf frame = {.buf_addr = data,
				 .data_len = sizeof(data),
				 .pkt_len = sizeof(data)};

	memcpy(data, mac, 6);
	return !guest->config->filters || net_config_admits(guest->config, &frame);
}

START_TEST(nothing_is_filtered_before_the_driver_says_so)
{
	ck_assert(admitted(other_mac, 0) && admitted(group_mac, 0) && admitted(broadcast, 7));
}
END_TEST

START_TEST(rx_modes_do_what_they_say)
{
	ck_assert(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	ck_assert(admitted(own_mac, 0) && admitted(broadcast, 0));
	ck_assert(!admitted(other_mac, 0) && !admitted(group_mac, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1) && admitted(group_mac, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_NOMULTI, 1) && !admitted(group_mac, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1) && admitted(other_mac, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_NOUNI, 1) && !admitted(own_mac, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1) && !admitted(broadcast, 0));
	ck_assert(mode(VIRTIO_NET_CTRL_RX_PROMISC, 1) && admitted(other_mac, 9));
	ck_assert(!mode(VIRTIO_NET_CTRL_RX_PROMISC, 2));
	ck_assert(!mode(VIRTIO_NET_CTRL_RX_NOBCAST + 1, 1));
}
END_TEST

/* A front-end gives its guest an address that nobody told us of: it may not be filtered out. */
START_TEST(without_an_address_all_stations_are_let_in)
{
	memset(&options.mac, 0, sizeof(options.mac));
	net_ctrl_reset(guest, guest->features);
	settle();
	ck_assert(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	ck_assert(admitted(own_mac, 0) && admitted(other_mac, 0) && !admitted(group_mac, 0));
	ck_assert(!admitted(own_mac, 5));
	ck_assert(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, own_mac, 6));
	ck_assert(admitted(own_mac, 0) && !admitted(other_mac, 0));
}
END_TEST

START_TEST(h45_tables_of_addresses_that_lie)
{
	uint8_t table[2 * 4 + 2 * 6] = {[0] = 1, [10] = 1};
	uint8_t long_table[4 + 6 * (NET_MAX_MACS + 1) + 4] = {[0] = NET_MAX_MACS + 1};

	memcpy(table + 4, other_mac, 6);
	memcpy(table + 14, group_mac, 6);
	ck_assert(
		command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table)));
	ck_assert(admitted(other_mac, 0) && admitted(group_mac, 0) && admitted(own_mac, 0));

	/* Counts that lie: too many for what follows, too few, so many that they wrap. */
	for (unsigned i = 0; i < 3; i++) {
		uint8_t wrong[sizeof(table)];

		memcpy(wrong, table, sizeof(wrong));
		memset(wrong, i == 2 ? 0xff : 0, 4);
		wrong[0] = (uint8_t[]){2, 3, 0xab}[i];
		ck_assert(!command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, wrong,
				   sizeof(wrong)));
	}
	ck_assert(admitted(other_mac, 0) && admitted(group_mac, 0));

	/* More than we keep: all are let in. */
	ck_assert(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, long_table,
			  sizeof(long_table)));
	ck_assert(admitted(other_mac, 0) && !admitted(group_mac, 0));
}
END_TEST

START_TEST(addresses_of_groups_are_not_a_stations)
{
	ck_assert(!command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, group_mac, 6));
	ck_assert(!command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 5));
	ck_assert(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6));
	ck_assert_mem_eq(&guest->config->mac, other_mac, 6);
}
END_TEST

START_TEST(vlans_are_let_in_one_by_one)
{
	uint8_t id[2] = {7, 0}, beyond[2] = {0, 0x10};

	ck_assert(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, id, 2));
	ck_assert(admitted(own_mac, 0) && admitted(own_mac, 7) && !admitted(own_mac, 8));
	ck_assert(admitted(own_mac, 0x6007)); /* with a priority */
	ck_assert(!admitted(own_mac, 0x107) && !admitted(own_mac, 0x807));
	ck_assert(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, id, 2));
	ck_assert(!admitted(own_mac, 7));
	ck_assert(!command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, beyond, 2));
}
END_TEST

START_TEST(pairs_are_as_many_as_there_are)
{
	uint8_t pairs[2] = {PAIRS, 0};

	ck_assert_uint_eq(guest->config->num_pairs, PAIRS); /* nobody uses our control queue yet */
	ck_assert(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2));
	ck_assert_uint_eq(guest->config->num_pairs, PAIRS);
	pairs[0] = 1;
	ck_assert(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2));
	ck_assert_uint_eq(guest->config->num_pairs, 1);
	pairs[0] = PAIRS + 1;
	ck_assert(!command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2));
	pairs[0] = 0;
	ck_assert(!command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2));
}
END_TEST

/* A configuration for steering with 2 entries and a key of 40 bytes. */
struct rss_command {
	uint32_t types;
	uint16_t mask, unclassified, table[2], max_tx;
	uint8_t key_bytes, key[NET_RSS_MAX_KEY];
} __attribute__((packed));

static struct rss_command rss(void)
{
	return (struct rss_command){.types = net_rss_types,
				    .mask = 1,
				    .unclassified = 1,
				    .table = {2, 3},
				    .max_tx = PAIRS,
				    .key_bytes = NET_RSS_MAX_KEY};
}

static bool configure_rss(struct rss_command c, size_t bytes)
{
	return command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, &c, bytes);
}

/* configure_table - with so many entries, all there. */
static bool configure_table(unsigned entries)
{
	uint8_t data[8 + 2 * 2 * NET_RSS_MAX_ENTRIES + 3] = {
		[4] = (uint8_t)(entries - 1), [5] = (uint8_t)((entries - 1) >> 8)};

	data[8 + 2 * entries] = 1; /* pairs; no key */
	return command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, data,
		       8 + 2 * entries + 3);
}

START_TEST(h45_steering_out_of_range)
{
	struct rss_command c = rss();

	c.table[1] = PAIRS;
	ck_assert(!configure_rss(c, sizeof(c)));
	c = rss();
	c.unclassified = PAIRS;
	ck_assert(!configure_rss(c, sizeof(c)));
	for (unsigned entries = 1; entries <= 2 * NET_RSS_MAX_ENTRIES; entries++)
		ck_assert(configure_table(entries) ==
			  (entries <= NET_RSS_MAX_ENTRIES && !(entries & (entries - 1))));
	c = rss();
	c.mask = 0xffff;
	ck_assert(!configure_rss(c, sizeof(c)));
	c = rss();
	c.max_tx = 0;
	ck_assert(!configure_rss(c, sizeof(c)));
	c = rss();
	c.types = ~net_rss_types;
	ck_assert(!configure_rss(c, sizeof(c)));
	c = rss();
	c.key_bytes = NET_RSS_MAX_KEY + 1;
	ck_assert(!configure_rss(c, sizeof(c)));
	c = rss();
	for (size_t bytes = 0; bytes < sizeof(c); bytes++)
		ck_assert(!configure_rss(c, bytes));
	net_ctrl_reset(guest, guest->features);
	settle();
	ck_assert(!guest->config->rss.steer);
	ck_assert(configure_rss(c, sizeof(c)));
	ck_assert(guest->config->rss.steer);
}
END_TEST

START_TEST(offloads_are_those_negotiated_or_fewer)
{
	uint64_t csum = BIT(VIRTIO_NET_F_GUEST_CSUM), none = 0, wrong = BIT(VIRTIO_NET_F_MRG_RXBUF);

	ck_assert_uint_eq(guest->config->takes, guest->features & NET_TAKES);
	ck_assert(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &csum, 8));
	ck_assert_uint_eq(guest->config->takes, csum);
	ck_assert(!command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &wrong, 8));
	ck_assert(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8));
	ck_assert_uint_eq(guest->config->takes, 0);
}
END_TEST

START_TEST(calls_are_held_back_as_asked)
{
	uint32_t c[2] = {8, 500};

	ck_assert(command(6, 1, c, sizeof(c)));
	ck_assert_uint_eq(guest->config->rx_coalesce.max_frames, 8);
	ck_assert_uint_eq(guest->config->rx_coalesce.max_us, 500);
	ck_assert_uint_eq(guest->config->tx_coalesce.max_us, 0);
	ck_assert(!command(6, 2, c, sizeof(c)));
	ck_assert(!command(6, 1, c, 7));
}
END_TEST

START_TEST(h45_commands_that_were_not_negotiated)
{
	uint8_t on = 1;

	guest->dev.ops->set_features(&guest->dev,
				     BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_CTRL_VQ));
	settle();
	for (unsigned class = 0; class < 256; class ++)
		for (unsigned cmd = 0; cmd < 8; cmd++)
			ck_assert(!command((uint8_t) class, (uint8_t)cmd, &on, 1));
	ck_assert_uint_eq(net_ctrl_command(guest, &on, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(net_ctrl_command(guest, &on, 1), VIRTIO_NET_ERR);
}
END_TEST

/* --- steering --- */

START_TEST(a_pair_is_chosen_among_those_that_run)
{
	struct {
		struct rte_mbuf frame;
		struct net_frame_meta meta;
	} f = {.meta.hash_type = 0};
	uint8_t data[64] = {[12] = 8, [13] = 6}; /* no IP: no hash */
	struct rss_command c = rss();
	uint8_t one[2] = {1, 0};

	ck_assert(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2));
	f.frame.buf_addr = data;
	f.frame.data_len = f.frame.pkt_len = sizeof(data);
	f.frame.priv_size = sizeof(f.meta);
	ck_assert_int_eq(net_guest_pick(guest, guest->config, &f.frame), -1);
	guest->rx_running = 0x4; /* not one in use: better than none */
	ck_assert_int_eq(net_guest_pick(guest, guest->config, &f.frame), 2);
	guest->rx_running = 0xf;
	ck_assert_int_eq(net_guest_pick(guest, guest->config, &f.frame), 0);
	ck_assert(configure_rss(c, sizeof(c)));
	ck_assert_int_eq(net_guest_pick(guest, guest->config, &f.frame), 1); /* unclassified */
	guest->rx_running = 0x8;
	ck_assert_int_eq(net_guest_pick(guest, guest->config, &f.frame), 3);
}
END_TEST

/* --- a migration --- */

static uint8_t state[8192];

static ssize_t save(void)
{
	return net_guest_save_state(&guest->dev, state, sizeof(state));
}

START_TEST(a_state_is_what_was_saved)
{
	struct rss_command c = rss();
	struct net_guest_config before;
	ssize_t bytes;

	ck_assert(mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1) && configure_rss(c, sizeof(c)));
	before = *guest->config;
	bytes = save();
	ck_assert_int_gt(bytes, 0);
	ck_assert_int_eq(net_guest_save_state(&guest->dev, state, (size_t)bytes - 1), -ENOBUFS);
	net_ctrl_reset(guest, guest->features);
	settle();
	ck_assert(!guest->config->filters);
	ck_assert_int_eq(net_guest_load_state(&guest->dev, state, (size_t)bytes), 0);
	settle();
	ck_assert_mem_eq(guest->config, &before, sizeof(before));
}
END_TEST

START_TEST(a_state_that_no_driver_could_have_made_is_refused)
{
	ssize_t bytes = save();
	struct net_guest_config before = *guest->config;
	uint8_t right[sizeof(state)];

	memcpy(right, state, sizeof(right));
	for (ssize_t cut = 0; cut < bytes; cut += 7)
		ck_assert_int_eq(net_guest_load_state(&guest->dev, state, (size_t)cut), -EBADMSG);
	/* Magic, version and length; offloads; flags; pairs. */
	for (unsigned i = 0; i < 24; i++) {
		memcpy(state, right, sizeof(state));
		state[i] ^= 0x20;
		if (i >= 16 && i < 23) /* some of these are offloads that exist */
			continue;
		ck_assert_int_eq(net_guest_load_state(&guest->dev, state, (size_t)bytes), -EBADMSG);
	}
	memset(state + 16, 0xff, 8);
	ck_assert_int_eq(net_guest_load_state(&guest->dev, state, (size_t)bytes), -EBADMSG);
	ck_assert_mem_eq(guest->config, &before, sizeof(before));
}
END_TEST

START_TEST(a_smaller_device_refuses_the_pairs_of_a_larger_one)
{
	uint8_t pairs[2] = {PAIRS, 0};
	ssize_t bytes;

	ck_assert(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2));
	bytes = save();
	options.queues = PAIRS - 1;
	ck_assert_int_eq(net_guest_load_state(&guest->dev, state, (size_t)bytes), -EBADMSG);
}
END_TEST

/* --- configuration space --- */

START_TEST(the_address_is_the_drivers_only_before_version_1)
{
	const struct vu_device_ops *ops = guest->dev.ops;
	struct virtio_net_config config;

	ops->get_config(&guest->dev, 0, sizeof(config), (uint8_t *)&config);
	ck_assert_mem_eq(config.mac, own_mac, 6);
	ck_assert_uint_eq(config.max_virtqueue_pairs, PAIRS);
	ck_assert_uint_eq(config.status, VIRTIO_NET_S_LINK_UP);
	ck_assert_int_eq(ops->set_config(&guest->dev, 0, 6, other_mac), -EPERM);
	ck_assert_int_eq(ops->set_config(&guest->dev, 0, 6, own_mac), 0);
	guest->dev.ops->set_features(&guest->dev, BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_F_VERSION_1));
	ck_assert_int_eq(ops->set_config(&guest->dev, 0, 6, other_mac), -EPERM);
	guest->dev.ops->set_features(&guest->dev, BIT(VIRTIO_NET_F_MAC));
	ck_assert_int_eq(ops->set_config(&guest->dev, 0, 6, other_mac), 0);
	ck_assert_int_eq(ops->set_config(&guest->dev, 0, 6, group_mac), -EINVAL);
	ck_assert_int_eq(ops->set_config(&guest->dev, 8, 2, other_mac), -EPERM);
	ops->get_config(&guest->dev, 0, 6, (uint8_t *)&config);
	ck_assert_mem_eq(config.mac, other_mac, 6);
	net_guest_set_link(guest, false);
	ops->get_config(&guest->dev, 6, 2, (uint8_t *)&config);
	ck_assert_uint_eq(config.mac[0], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_ctrl");
	TCase *c = tcase_create("commands");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, nothing_is_filtered_before_the_driver_says_so);
	tcase_add_test(c, rx_modes_do_what_they_say);
	tcase_add_test(c, without_an_address_all_stations_are_let_in);
	tcase_add_test(c, h45_tables_of_addresses_that_lie);
	tcase_add_test(c, addresses_of_groups_are_not_a_stations);
	tcase_add_test(c, vlans_are_let_in_one_by_one);
	tcase_add_test(c, pairs_are_as_many_as_there_are);
	tcase_add_test(c, h45_steering_out_of_range);
	tcase_add_test(c, offloads_are_those_negotiated_or_fewer);
	tcase_add_test(c, calls_are_held_back_as_asked);
	tcase_add_test(c, h45_commands_that_were_not_negotiated);
	tcase_add_test(c, a_pair_is_chosen_among_those_that_run);
	tcase_add_test(c, a_state_is_what_was_saved);
	tcase_add_test(c, a_state_that_no_driver_could_have_made_is_refused);
	tcase_add_test(c, a_smaller_device_refuses_the_pairs_of_a_larger_one);
	tcase_add_test(c, the_address_is_the_drivers_only_before_version_1);
	suite_add_tcase(s, c);
	return run_suite(s);
}
