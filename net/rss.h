/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rss.h - the hash of a flow: which queue pair a frame goes to, and what a guest is told of it.
 * Layer L5. virtio 1.3, sections 5.1.6.4.3 (hash) and 5.1.6.5.7 (RSS).
 */
#ifndef RINGSIDE_NET_RSS_H
#define RINGSIDE_NET_RSS_H

#include "net/frame.h"

#define NET_RSS_MAX_KEY     40
#define NET_RSS_MAX_ENTRIES 128 /* of the indirection table: a power of two */

/* What is offered as supported_hash_types. */
extern const uint32_t net_rss_types;

/* What a driver has set; by default: the key of the specification's example, no types. */
struct net_rss {
	uint32_t types; /* VIRTIO_NET_RSS_HASH_TYPE_* that are hashed */
	bool steer; /* by the table (VIRTIO_NET_CTRL_MQ_RSS_CONFIG); else the daemon chooses */
	uint16_t num_entries; /* power of two */
	uint16_t unclassified; /* pair for frames without a hash */
	uint16_t table[NET_RSS_MAX_ENTRIES]; /* pairs */
	uint8_t key[NET_RSS_MAX_KEY];
};

/*
 * net_rss_hash - hash @frame as @rss says: Toeplitz over addresses and ports. Sets meta->hash and
 * hash_type (VIRTIO_NET_HASH_REPORT_*; _NONE where no type fits).
 */
void net_rss_hash(struct rte_mbuf *frame, const struct net_rss *rss);

/* net_flow_hash - a quick hash of addresses and ports of our own, the same both ways of a flow's
 * direction being of no matter: for steering where the driver asked for none. */
uint32_t net_flow_hash(struct rte_mbuf *frame);

#endif
