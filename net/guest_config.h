/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_config.h - what a driver has set by its control queue (virtio 1.3, section 5.1.6.5), as
 * lcores see it: a snapshot that never changes; a command makes another. Layer L5.
 */
#ifndef RINGSIDE_NET_GUEST_CONFIG_H
#define RINGSIDE_NET_GUEST_CONFIG_H

#include <rte_ether.h>

#include "net/offload.h"
#include "net/rss.h"

#define NET_MAX_MACS 64 /* of a driver's filter, unicast and multicast each; more: all are let in */

struct net_coalesce {
	uint32_t max_frames; /* 0 or 1: no holding back */
	uint32_t max_us; /* 0: no holding back */
};

struct net_guest_config {
	bool filters; /* the driver uses its control queue: what follows counts */
	bool unknown; /* it set what we do not know: nothing is filtered, whatever it sets now */
	bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
	bool filter_vlans;
	struct rte_ether_addr mac;
	uint16_t num_unicast, num_multicast;
	struct rte_ether_addr unicast[NET_MAX_MACS], multicast[NET_MAX_MACS];
	uint64_t vlans[4096 / 64]; /* bits */
	net_takes takes; /* GUEST_* in force: negotiated, or by VIRTIO_NET_CTRL_GUEST_OFFLOADS */
	uint16_t
		num_pairs; /* in use: all, or 1 until the driver that has our control queue says more */
	struct net_rss rss;
	struct net_coalesce rx_coalesce, tx_coalesce; /* the guest's receiving and sending */
};

/* net_config_admits - do the driver's filters let @frame in (5.1.6.5.1 to .3)? lcore thread. */
bool net_config_admits(const struct net_guest_config *config, struct rte_mbuf *frame);

#endif
