/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ctrl.c - the commands of a control queue (virtio 1.3, section 5.1.6.5). Layer L5, control thread.
 * What a command says was copied; it is checked and turned into another snapshot of what the driver
 * has set.
 */
#include <endian.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "net/guest.h"

#define BIT(n) (1ull << (n))

#ifndef VIRTIO_NET_F_NOTF_COAL
#define VIRTIO_NET_F_NOTF_COAL 53
#endif
enum { CTRL_NOTF_COAL = 6, CTRL_NOTF_COAL_TX_SET = 0, CTRL_NOTF_COAL_RX_SET = 1 };

/* What follows class and command, as far as it has been read. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool short_of; /* something was not there; what was read of it is 0 */
};

static const uint8_t *take(struct reader *r, size_t bytes)
{
	const uint8_t *at = r->at;

	if (r->short_of || bytes > r->left) {
		r->short_of = true;
		return NULL;
	}
	r->at += bytes;
	r->left -= bytes;
	return at;
}

static uint8_t take8(struct reader *r)
{
	const uint8_t *at = take(r, 1);

	return at ? *at : 0;
}

static uint16_t take16(struct reader *r)
{
	const uint8_t *at = take(r, 2);

	return at ? (uint16_t)(at[0] | at[1] << 8) : 0;
}

static uint32_t take32(struct reader *r)
{
	uint32_t low = take16(r);

	return low | (uint32_t)take16(r) << 16;
}

static uint64_t take64(struct reader *r)
{
	uint64_t low = take32(r);

	return low | (uint64_t)take32(r) << 32;
}

/* whole - was everything there, and nothing more? */
static bool whole(const struct reader *r)
{
	return !r->short_of && !r->left;
}

/* --- the commands; each changes @c. Return: false: refused, and @c does not count --- */

static bool rx_mode(struct net_guest_config *c, uint8_t command, struct reader *r)
{
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &c->promiscuous,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &c->all_multicast,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &c->all_unicast,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &c->no_multicast,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &c->no_unicast,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &c->no_broadcast,
	};
	uint8_t on = take8(r);

	if (!whole(r) || on > 1 || command >= ARRAY_SIZE(modes))
		return false;
	*modes[command] = on;
	c->filters = !c->unknown;
	return true;
}

/* take_macs - a table; of one that is too long only that it is, and all are let in. */
static void take_macs(struct reader *r, struct rte_ether_addr macs[NET_MAX_MACS], uint16_t *num)
{
	uint32_t n = take32(r);
	const uint8_t *at = n <= NET_CTRL_BYTES ? take(r, n * sizeof(macs[0])) : NULL;

	if (!at) {
		r->short_of = true;
		return;
	}
	*num = (uint16_t)min_of(n, NET_MAX_MACS + 1u);
	memcpy(macs, at, min_of(n, (uint32_t)NET_MAX_MACS) * sizeof(macs[0]));
}

static bool mac_table(struct net_guest_config *c, struct reader *r)
{
	take_macs(r, c->unicast, &c->num_unicast);
	take_macs(r, c->multicast, &c->num_multicast);
	c->filters = !c->unknown;
	return whole(r);
}

static bool mac_address(struct net_guest_config *c, struct reader *r)
{
	const uint8_t *at = take(r, sizeof(c->mac));

	if (!whole(r) || !at)
		return false;
	memcpy(&c->mac, at, sizeof(c->mac));
	return rte_is_valid_assigned_ether_addr(&c->mac);
}

static bool vlan(struct net_guest_config *c, uint8_t command, struct reader *r)
{
	uint16_t id = take16(r);

	if (!whole(r) || id >= 4096 || command > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	if (command == VIRTIO_NET_CTRL_VLAN_ADD)
		c->vlans[id / 64] |= BIT(id % 64);
	else
		c->vlans[id / 64] &= ~BIT(id % 64);
	c->filters = !c->unknown;
	return true;
}

static bool set_pairs(const struct net_guest *guest, struct net_guest_config *c, struct reader *r)
{
	uint16_t pairs = take16(r);

	if (!whole(r) || pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > guest->opt->queues)
		return false;
	c->num_pairs = pairs;
	c->rss.steer = false;
	return true;
}

static bool take_key(struct net_rss *rss, struct reader *r)
{
	uint8_t bytes = take8(r);
	const uint8_t *key = take(r, bytes);

	if (!whole(r) || bytes > NET_RSS_MAX_KEY || !key)
		return false;
	memset(rss->key, 0, sizeof(rss->key));
	memcpy(rss->key, key, bytes);
	return true;
}

/* 5.1.6.5.7.1: table and key for steering. */
static bool rss_config(const struct net_guest *guest, struct net_guest_config *c, struct reader *r)
{
	struct net_rss *rss = &c->rss;
	unsigned i, entries, pairs;

	rss->types = take32(r);
	entries = take16(r) + 1u;
	rss->unclassified = take16(r);
	if (entries > NET_RSS_MAX_ENTRIES || entries & (entries - 1))
		return false;
	rss->num_entries = (uint16_t)entries;
	for (i = 0; i < entries; i++) {
		rss->table[i] = take16(r);
		if (rss->table[i] >= guest->opt->queues)
			return false;
	}
	pairs = take16(r);
	if (rss->types & ~net_rss_types || rss->unclassified >= guest->opt->queues || !pairs ||
	    pairs > guest->opt->queues)
		return false;
	c->num_pairs = (uint16_t)pairs;
	rss->steer = true;
	return take_key(rss, r);
}

/* 5.1.6.5.6.4: a hash to be told, steering or not. */
static bool hash_config(struct net_guest_config *c, struct reader *r)
{
	c->rss.types = take32(r);
	take64(r); /* reserved */
	return !(c->rss.types & ~net_rss_types) && take_key(&c->rss, r);
}

static bool guest_offloads(const struct net_guest *guest, struct net_guest_config *c,
			   struct reader *r)
{
	uint64_t takes = take64(r);

	if (!whole(r) || takes & ~(guest->features & NET_TAKES))
		return false;
	c->takes = takes;
	return true;
}

static bool coalesce(struct net_guest_config *c, uint8_t command, struct reader *r)
{
	struct net_coalesce wanted = {.max_frames = take32(r)};

	wanted.max_us = take32(r);
	if (!whole(r) || command > CTRL_NOTF_COAL_RX_SET)
		return false;
	*(command == CTRL_NOTF_COAL_RX_SET ? &c->rx_coalesce : &c->tx_coalesce) = wanted;
	return true;
}

/* needed - the feature without which a command is not there. Return: -1: no such command. */
static int needed(uint8_t class, uint8_t command)
{
	switch (class) {
	case VIRTIO_NET_CTRL_RX:
		return command <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX
							      : VIRTIO_NET_F_CTRL_RX_EXTRA;
	case VIRTIO_NET_CTRL_MAC:
		return command == VIRTIO_NET_CTRL_MAC_TABLE_SET ? VIRTIO_NET_F_CTRL_RX
								: VIRTIO_NET_F_CTRL_MAC_ADDR;
	case VIRTIO_NET_CTRL_VLAN:
		return VIRTIO_NET_F_CTRL_VLAN;
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return VIRTIO_NET_F_GUEST_ANNOUNCE;
	case VIRTIO_NET_CTRL_MQ:
		return command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ? VIRTIO_NET_F_MQ
		       : command == VIRTIO_NET_CTRL_MQ_RSS_CONFIG ? VIRTIO_NET_F_RSS
								  : VIRTIO_NET_F_HASH_REPORT;
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
	case CTRL_NOTF_COAL:
		return VIRTIO_NET_F_NOTF_COAL;
	default:
		return -1;
	}
}

/* announced - the driver has; nothing changes for lcores. */
static uint8_t announced(struct net_guest *guest, const struct reader *r)
{
	if (!whole(r))
		return VIRTIO_NET_ERR;
	guest->announce = false;
	return VIRTIO_NET_OK;
}

static bool carry_out(const struct net_guest *guest, struct net_guest_config *c, uint8_t class,
		      uint8_t command, struct reader *r)
{
	switch (class << 8 | command) {
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return mac_table(c, r);
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return mac_address(c, r);
	case VIRTIO_NET_CTRL_MQ << 8 | VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		return set_pairs(guest, c, r);
	case VIRTIO_NET_CTRL_MQ << 8 | VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
		return rss_config(guest, c, r);
	case VIRTIO_NET_CTRL_MQ << 8 | VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
		return hash_config(c, r);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS << 8 | VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET:
		return guest_offloads(guest, c, r);
	default:
		break;
	}
	switch (class) {
	case VIRTIO_NET_CTRL_RX:
		return rx_mode(c, command, r);
	case VIRTIO_NET_CTRL_VLAN:
		return vlan(c, command, r);
	case CTRL_NOTF_COAL:
		return coalesce(c, command, r);
	default:
		return false;
	}
}

uint8_t net_ctrl_command(struct net_guest *guest, const uint8_t *data, size_t bytes)
{
	struct reader r = {.at = data, .left = bytes};
	struct net_guest_config config = *guest->config;
	uint8_t class = take8(&r), command = take8(&r);
	int feature = needed(class, command);

	if (r.short_of || feature < 0 || !(guest->features & BIT(feature)))
		return VIRTIO_NET_ERR;
	if (class == VIRTIO_NET_CTRL_ANNOUNCE && command == VIRTIO_NET_CTRL_ANNOUNCE_ACK)
		return announced(guest, &r);
	if (!carry_out(guest, &config, class, command, &r))
		return VIRTIO_NET_ERR;
	return net_guest_set_config(guest, &config) == 0 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}
