/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forward.h - where frames go: by the cable or the switch; what is done to all on their way in and
 * out of a port: rate, capture, MAC lock, filters, software offloads. Layer L5, lcore thread.
 */
#ifndef RINGSIDE_NET_FORWARD_H
#define RINGSIDE_NET_FORWARD_H

#include "net/lcore.h"

/* net_forward - @frames came in by @from, counted there already. All are used up: staged for their
 * ports, or dropped and counted. */
void net_forward(struct net_lcore *lcore, struct net_port *from, struct rte_mbuf **frames,
		 unsigned n);

/* net_forward_borrows - is it of use that frames which come in by @from borrow: can they go to another
 * guest? */
bool net_forward_borrows(const struct net_lcore *lcore, const struct net_port *from);

/* net_output - @frames leave by @to, on whichever lcore that is: filters, software offloads, then
 * net_rx_deliver(), net_host_send() or another lcore's inbox. All are used up. From net_flush(). */
void net_output(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf **frames, unsigned n);

/* net_inbox_take - deliver what other lcores sent. Return: frames. */
unsigned net_inbox_take(struct net_lcore *lcore);

#endif
