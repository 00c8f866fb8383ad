/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_state.c - what a driver has set by its control queue, for a migration (device.h).
 * Layer L5, control thread. Nothing that is loaded is believed: what a command would not have set
 * is not loaded either.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "net/guest.h"

#define STATE_VERSION 1

static const uint8_t magic[8] = {'R', 'S', '-', 'N', 'E', 'T', 0x1a, '\n'};

enum {
	UNKNOWN = 1 << 0,
	FILTERS = 1 << 1,
	PROMISCUOUS = 1 << 2,
	ALL_MULTICAST = 1 << 3,
	ALL_UNICAST = 1 << 4,
	NO_MULTICAST = 1 << 5,
	NO_UNICAST = 1 << 6,
	NO_BROADCAST = 1 << 7,
	FILTER_VLANS = 1 << 8,
	STEER = 1 << 9,
	ALL_FLAGS = (1 << 10) - 1,
};

/* As it goes out, little-endian. A longer one gets another version; whoever does not know it loads
 * nothing. */
struct wire {
	uint8_t magic[8];
	uint32_t version;
	uint32_t bytes; /* of the whole */
	uint64_t takes;
	uint64_t vlans[4096 / 64];
	uint32_t flags;
	uint32_t rss_types;
	uint32_t rx_frames, rx_us, tx_frames, tx_us;
	uint16_t num_pairs;
	uint16_t num_unicast, num_multicast;
	uint16_t rss_entries;
	uint16_t rss_unclassified;
	uint16_t rss_table[NET_RSS_MAX_ENTRIES];
	uint8_t rss_key[NET_RSS_MAX_KEY];
	uint8_t mac[6];
	uint8_t unicast[NET_MAX_MACS][6], multicast[NET_MAX_MACS][6];
	uint8_t reserved[8]; /* 0 */
};
static_assert(sizeof(struct wire) == offsetof(struct wire, reserved) + 8, "no padding at its end");

static uint32_t flags_of(const struct net_guest_config *c)
{
	return (c->unknown ? UNKNOWN : 0u) | (c->filters ? FILTERS : 0u) |
	       (c->promiscuous ? PROMISCUOUS : 0u) | (c->all_multicast ? ALL_MULTICAST : 0u) |
	       (c->all_unicast ? ALL_UNICAST : 0u) | (c->no_multicast ? NO_MULTICAST : 0u) |
	       (c->no_unicast ? NO_UNICAST : 0u) | (c->no_broadcast ? NO_BROADCAST : 0u) |
	       (c->filter_vlans ? FILTER_VLANS : 0u) | (c->rss.steer ? STEER : 0u);
}

ssize_t net_guest_save_state(struct vu_device *dev, uint8_t *out, size_t max)
{
	const struct net_guest *guest = container_of(dev, struct net_guest, dev);
	const struct net_guest_config *c = guest->config;
	struct wire wire = {
		.version = htole32(STATE_VERSION),
		.bytes = htole32(sizeof(wire)),
		.takes = htole64(c->takes),
		.flags = htole32(flags_of(c)),
		.rss_types = htole32(c->rss.types),
		.rx_frames = htole32(c->rx_coalesce.max_frames),
		.rx_us = htole32(c->rx_coalesce.max_us),
		.tx_frames = htole32(c->tx_coalesce.max_frames),
		.tx_us = htole32(c->tx_coalesce.max_us),
		.num_pairs = htole16(c->num_pairs),
		.num_unicast = htole16(c->num_unicast),
		.num_multicast = htole16(c->num_multicast),
		.rss_entries = htole16(c->rss.num_entries),
		.rss_unclassified = htole16(c->rss.unclassified),
	};

	if (max < sizeof(wire))
		return -ENOBUFS;
	memcpy(wire.magic, magic, sizeof(magic));
	for (unsigned i = 0; i < ARRAY_SIZE(wire.vlans); i++)
		wire.vlans[i] = htole64(c->vlans[i]);
	for (unsigned i = 0; i < NET_RSS_MAX_ENTRIES; i++)
		wire.rss_table[i] = htole16(c->rss.table[i]);
	memcpy(wire.rss_key, c->rss.key, sizeof(wire.rss_key));
	memcpy(wire.mac, &c->mac, sizeof(wire.mac));
	memcpy(wire.unicast, c->unicast, sizeof(wire.unicast));
	memcpy(wire.multicast, c->multicast, sizeof(wire.multicast));
	memcpy(out, &wire, sizeof(wire));
	return sizeof(wire);
}

/* load_rss - Return: false where a command would not have set it. */
static bool load_rss(const struct net_guest *guest, const struct wire *wire, struct net_rss *rss)
{
	unsigned entries = le16toh(wire->rss_entries);

	rss->types = le32toh(wire->rss_types);
	rss->steer = le32toh(wire->flags) & STEER;
	rss->num_entries = (uint16_t)entries;
	rss->unclassified = le16toh(wire->rss_unclassified);
	memcpy(rss->key, wire->rss_key, sizeof(rss->key));
	if (entries > NET_RSS_MAX_ENTRIES || entries & (entries - 1) || (rss->steer && !entries) ||
	    rss->types & ~net_rss_types || rss->unclassified >= guest->opt->queues)
		return false;
	for (unsigned i = 0; i < NET_RSS_MAX_ENTRIES; i++) {
		rss->table[i] = le16toh(wire->rss_table[i]);
		if (rss->table[i] >= guest->opt->queues)
			return false;
	}
	return true;
}

static void load_filters(const struct wire *wire, struct net_guest_config *c)
{
	uint32_t flags = le32toh(wire->flags);

	c->unknown = flags & UNKNOWN;
	c->filters = flags & FILTERS && !c->unknown;
	c->promiscuous = flags & PROMISCUOUS;
	c->all_multicast = flags & ALL_MULTICAST;
	c->all_unicast = flags & ALL_UNICAST;
	c->no_multicast = flags & NO_MULTICAST;
	c->no_unicast = flags & NO_UNICAST;
	c->no_broadcast = flags & NO_BROADCAST;
	c->filter_vlans = flags & FILTER_VLANS;
	for (unsigned i = 0; i < ARRAY_SIZE(wire->vlans); i++)
		c->vlans[i] = le64toh(wire->vlans[i]);
	c->num_unicast = le16toh(wire->num_unicast);
	c->num_multicast = le16toh(wire->num_multicast);
	memcpy(&c->mac, wire->mac, sizeof(c->mac));
	memcpy(c->unicast, wire->unicast, sizeof(wire->unicast));
	memcpy(c->multicast, wire->multicast, sizeof(wire->multicast));
}

/* is_state - of this version? */
static bool is_state(const struct wire *wire)
{
	static const uint8_t none[sizeof(wire->reserved)];

	return !memcmp(wire->magic, magic, sizeof(magic)) &&
	       le32toh(wire->version) == STATE_VERSION && le32toh(wire->bytes) == sizeof(*wire) &&
	       !(le32toh(wire->flags) & ~(uint32_t)ALL_FLAGS) &&
	       !memcmp(wire->reserved, none, sizeof(none));
}

/* could_be - what a driver of this device could have set? */
static bool could_be(const struct net_guest *guest, const struct net_guest_config *c)
{
	if (!rte_is_zero_ether_addr(&c->mac) && !rte_is_valid_assigned_ether_addr(&c->mac))
		return false;
	return !(c->takes & ~NET_TAKES) && c->num_pairs && c->num_pairs <= guest->opt->queues &&
	       c->num_unicast <= NET_MAX_MACS + 1 && c->num_multicast <= NET_MAX_MACS + 1;
}

int net_guest_load_state(struct vu_device *dev, const uint8_t *data, size_t size)
{
	struct net_guest *guest = container_of(dev, struct net_guest, dev);
	struct net_guest_config c = {.filters = false};
	struct wire wire;
	int ret;

	if (size != sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, data, sizeof(wire));
	if (!is_state(&wire) || !load_rss(guest, &wire, &c.rss))
		return -EBADMSG;
	load_filters(&wire, &c);
	c.takes = le64toh(wire.takes);
	c.num_pairs = le16toh(wire.num_pairs);
	c.rx_coalesce = (struct net_coalesce){le32toh(wire.rx_frames), le32toh(wire.rx_us)};
	c.tx_coalesce = (struct net_coalesce){le32toh(wire.tx_frames), le32toh(wire.tx_us)};
	if (!could_be(guest, &c))
		return -EBADMSG;
	if (guest->features)
		c.takes &= guest->features;
	ret = net_guest_set_config(guest, &c);
	if (ret < 0)
		return ret;
	guest->state_loaded = true;
	guest->state_unbound = !guest->features; /* net_ctrl_features() */
	return 0;
}
