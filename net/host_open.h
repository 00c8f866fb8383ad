/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_open.h - a host port on its way to being one: what host.c and host_setup.c share.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_NET_HOST_OPEN_H
#define RINGSIDE_NET_HOST_OPEN_H

#include <rte_ethdev.h>

#include "net/host.h"

struct net_host_opening {
	struct net_host *host;
	struct rte_eth_dev_info info;
	char *error; /* where the operator's line goes */
	size_t error_bytes;
};

/* net_host_fail - "port up: dpdk=net_tap0,iface=x: what; check". Return: @err. */
int net_host_fail(struct net_host_opening *o, int err, const char *fmt, ...) printf_like(3, 4);

/* net_host_fail_dpdk - with DPDK's reason (dpdk_log.h), or, where it gives none, error @ret of
 * @doing. Return: @ret, as -errno. */
int net_host_fail_dpdk(struct net_host_opening *o, int ret, const char *doing);

/* net_host_set_up - choose queues, offloads, MTU; configure and start the device. Frames are
 * received into @pool where they fit. Return: 0, or -errno with the line. */
int net_host_set_up(struct net_host_opening *o, struct rte_mempool *pool);

#endif
