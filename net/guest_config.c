/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_config.c - snapshots of what a driver has set (guest_config.h): how they are replaced, whom
 * they let in, and which queue pair they choose. Layer L5; control thread where guest.h says so.
 */
#include "net/guest_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/guest.h"
#include "net/headers.h"
#include "net/lcore.h"

#define BIT(n) (1ull << (n))

/* Once replaced it waits for the lcores; its guest may be gone before that. */
struct snapshot {
	struct net_guest_config config;
	struct net_guest *guest;
	struct list node; /* of the guest's, while it waits */
	struct net_grace grace;
};

/* --- replacing --- */

static void snapshot_over(struct net_grace *grace)
{
	struct snapshot *old = container_of(grace, struct snapshot, grace);

	if (old->guest) {
		list_del(&old->node);
		net_ctrl_seen(old->guest, &old->config);
	}
	free(old);
}

static struct snapshot *snapshot_of(const struct net_guest_config *config)
{
	return (struct snapshot *)container_of(config, const struct snapshot, config);
}

int net_guest_set_config(struct net_guest *guest, const struct net_guest_config *config)
{
	struct snapshot *new = calloc(1, sizeof(*new));
	const struct net_guest_config *old = guest->config;

	if (!new)
		return -ENOMEM;
	new->config = *config;
	new->guest = guest;
	__atomic_store_n(&guest->config, &new->config, __ATOMIC_RELEASE);
	if (old) {
		list_add_tail(&guest->old_configs, &snapshot_of(old)->node);
		net_grace(guest->loop, &snapshot_of(old)->grace, snapshot_over);
	}
	return 0;
}

void net_guest_free_config(struct net_guest *guest)
{
	while (!list_empty(&guest->old_configs)) {
		struct list *node = guest->old_configs.next;

		list_del(node);
		container_of(node, struct snapshot, node)->guest = NULL;
	}
	free(snapshot_of(guest->config));
}

int net_guest_set_mac(struct net_guest *guest, const struct rte_ether_addr *mac)
{
	struct net_guest_config config = *guest->config;

	if (!rte_is_valid_assigned_ether_addr(mac))
		return -EINVAL;
	config.mac = *mac;
	return net_guest_set_config(guest, &config);
}

void net_guest_default_config(const struct net_guest *guest, uint64_t features,
			      struct net_guest_config *config)
{
	*config = (struct net_guest_config){
		.mac = guest->opt->mac,
		.filter_vlans = features & BIT(VIRTIO_NET_F_CTRL_VLAN),
		.takes = features & NET_TAKES,
		/* A front-end that has the control queue to itself enables rings (SET_VRING_ENABLE). */
		.num_pairs = (uint16_t)guest->opt->queues,
	};
}

/* --- filters --- */

static bool listed(const struct rte_ether_addr *macs, unsigned num,
		   const struct rte_ether_addr *mac)
{
	for (unsigned i = 0; i < num; i++)
		if (rte_is_same_ether_addr(&macs[i], mac))
			return true;
	return false;
}

static bool vlan_admitted(const struct net_guest_config *config, const struct rte_mbuf *frame)
{
	const uint8_t *data = rte_pktmbuf_mtod(frame, const uint8_t *);
	unsigned type = data[12] << 8 | data[13], id;

	if (!config->filter_vlans || type != RTE_ETHER_TYPE_VLAN || frame->data_len < 16)
		return true;
	id = (data[14] << 8 | data[15]) & 0xfff;
	return config->vlans[id / 64] & BIT(id % 64);
}

static bool unicast_admitted(const struct net_guest_config *config, const struct rte_ether_addr *to)
{
	/* Where none is known to us, the front-end chose an address for the driver. */
	if (config->all_unicast || rte_is_zero_ether_addr(&config->mac))
		return true;
	return config->num_unicast > NET_MAX_MACS || rte_is_same_ether_addr(&config->mac, to) ||
	       listed(config->unicast, config->num_unicast, to);
}

bool net_config_admits(const struct net_guest_config *config, struct rte_mbuf *frame)
{
	const struct rte_ether_addr *to = rte_pktmbuf_mtod(frame, const struct rte_ether_addr *);

	if (config->promiscuous)
		return true;
	if (!vlan_admitted(config, frame))
		return false;
	if (rte_is_broadcast_ether_addr(to))
		return !config->no_broadcast;
	if (rte_is_multicast_ether_addr(to))
		return !config->no_multicast &&
		       (config->all_multicast || config->num_multicast > NET_MAX_MACS ||
			listed(config->multicast, config->num_multicast, to));
	return !config->no_unicast && unicast_admitted(config, to);
}

/* --- steering --- */

/* nth_bit - the @n-th bit set in @bits, counted from 0; there are more. */
static int nth_bit(uint32_t bits, unsigned n)
{
	while (n--)
		bits &= bits - 1;
	return __builtin_ctz(bits);
}

int net_guest_pick(const struct net_guest *guest, const struct net_guest_config *config,
		   struct rte_mbuf *frame)
{
	uint32_t all = __atomic_load_n(&guest->rx_running, __ATOMIC_RELAXED);
	uint32_t running = all & (uint32_t)(BIT(config->num_pairs) - 1);
	const struct net_rss *rss = &config->rss;

	if (rss->types)
		net_rss_hash(frame, rss);
	if (rss->steer) {
		const struct net_frame_meta *meta = net_meta(frame);
		bool hashed = rss->types && meta->hash_type;
		unsigned pair = hashed ? rss->table[meta->hash & (rss->num_entries - 1u)]
				       : rss->unclassified;

		if (all & BIT(pair))
			return (int)pair;
	}
	if (!running)
		running = all;
	if (!running)
		return -1;
	if (!(running & (running - 1)))
		return __builtin_ctz(running);
	return nth_bit(running, net_flow_hash(frame) % (unsigned)__builtin_popcount(running));
}
