/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eal.h - DPDK's environment: its options chosen for a daemon, its lcores, its log in ours.
 * Layer L5, start-up.
 */
#ifndef RINGSIDE_NET_EAL_H
#define RINGSIDE_NET_EAL_H

#include "net/options.h"

/*
 * net_eal_start - rte_eal_init() with what @opt says: no huge pages unless asked for, no shared
 * configuration, no telemetry, no probing of PCI but for devices named, one worker for each CPU of
 * --cores (or one, unpinned), then the operator's own options. Ends the program with one line where
 * DPDK refuses. mbuf pools: one for each NUMA node in use.
 */
void net_eal_start(const struct net_options *opt);

/* net_eal_pool - of the NUMA node of @lcore_id. */
struct rte_mempool *net_eal_pool(unsigned lcore_id);

void net_eal_end(void);

#endif
