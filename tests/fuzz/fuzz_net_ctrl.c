/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net_ctrl.c - a driver gives any commands, and a front-end loads any state: what is set stays
 * within the device, and what was set can be saved and loaded.
 *
 * Input: a byte (0: nothing is negotiated), then operations: two bytes each, the length of the
 * command that follows, or 0: the rest is a state to be loaded.
 */
#include <assert.h>
#include <string.h>

#include "net/guest.h"
#include "vhost/base/log.h"

#define PAIRS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;

static void quit(struct mail *mail)
{
	(void)mail;
	loop_quit(loop);
}

/* settle - old snapshots are freed. */
static void settle(void)
{
	static struct mail mail;

	loop_post(loop, &mail, quit);
	loop_run(loop);
}

static struct net_guest *make_guest(void)
{
	static struct net_port_options options = {.name = "g", .queues = PAIRS, .queue_size = 256};
	struct net_guest *guest;

	log_init("fuzz");
	log_set_level("error");
	if (loop_create(&loop) < 0 || net_guest_create(&guest, loop, 0, 1, &options) < 0)
		abort();
	return guest;
}

/* check - is everything that lcores use as an index in range? */
static void check(const struct net_guest *guest)
{
	const struct net_guest_config *c = guest->config;

	assert(c->num_pairs >= 1 && c->num_pairs <= PAIRS);
	assert(!(c->takes & ~NET_TAKES));
	assert(c->num_unicast <= NET_MAX_MACS + 1 && c->num_multicast <= NET_MAX_MACS + 1);
	assert(!(c->rss.types & ~net_rss_types) && c->rss.unclassified < PAIRS);
	assert(c->rss.num_entries <= NET_RSS_MAX_ENTRIES);
	assert(!c->rss.steer || c->rss.num_entries);
	assert(!(c->rss.num_entries & (c->rss.num_entries - 1)));
	for (unsigned i = 0; i < NET_RSS_MAX_ENTRIES; i++)
		assert(c->rss.table[i] < PAIRS);
}

/* use - what lcores do with it. */
static void use(struct net_guest *guest, const uint8_t *data, size_t size)
{
	struct {
		struct rte_mbuf frame;
		struct net_frame_meta meta;
	} f;
	uint8_t bytes[64] = {0};
	int pair;

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	memset(&f, 0, sizeof(f));
	f.frame.buf_addr = bytes;
	f.frame.data_len = f.frame.pkt_len = sizeof(bytes);
	f.frame.priv_size = sizeof(f.meta);
	guest->rx_running = bytes[0] & ((1u << PAIRS) - 1);
	net_config_admits(guest->config, &f.frame);
	pair = net_guest_pick(guest, guest->config, &f.frame);
	assert(pair < 0 ? !guest->rx_running : guest->rx_running >> pair & 1);
}

static void save_and_load(struct net_guest *guest)
{
	static uint8_t state[8192];
	struct net_guest_config before = *guest->config;
	ssize_t bytes = net_guest_save_state(&guest->dev, state, sizeof(state));

	assert(bytes > 0);
	assert(net_guest_load_state(&guest->dev, state, (size_t)bytes) == 0);
	assert(!memcmp(&before, guest->config, sizeof(before)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_guest *guest;
	size_t at = 1;

	if (!guest)
		guest = make_guest();
	if (!size)
		return 0;
	guest->dev.ops->disconnected(&guest->dev);
	if (data[0])
		guest->dev.ops->set_features(&guest->dev, guest->dev.features);
	while (size - at >= 2) {
		size_t bytes = data[at] | (size_t)data[at + 1] << 8;

		at += 2;
		if (!bytes) {
			net_guest_load_state(&guest->dev, data + at, size - at);
			at = size;
		} else {
			bytes = min_of(bytes, size - at);
			net_ctrl_command(guest, data + at, bytes);
			at += bytes;
		}
		check(guest);
		use(guest, data, size);
	}
	save_and_load(guest);
	settle();
	return 0;
}
