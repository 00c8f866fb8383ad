/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rate.h - the most a port may send or receive: bytes a second (rte_meter, srTCM) with a burst.
 * Layer L5. Tokens of one port are shared by all lcores: each leases a share of a millisecond's.
 */
#ifndef RINGSIDE_NET_RATE_H
#define RINGSIDE_NET_RATE_H

#include <rte_mbuf.h>

struct net_rate;

/* net_rate_create - @bytes_s > 0; @burst_bytes 0: 100 ms worth, at least one large frame.
 * Return: 0, -EINVAL (rte_meter refuses it), -ENOMEM. Control thread. */
int net_rate_create(struct net_rate **out, uint64_t bytes_s, uint64_t burst_bytes);
void net_rate_free(struct net_rate *rate);

/* net_rate_pass - may so many bytes pass now? lcore thread. */
bool net_rate_pass(struct net_rate *rate, unsigned lcore, uint64_t now_ticks, uint32_t bytes);

#endif
