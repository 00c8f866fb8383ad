/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wiring.h - what lcores see of ports, and guests of their links; and the waits for lcores.
 * Layer L5, control thread, internal to net.c and wiring.c; what others call is in net.h.
 */
#ifndef RINGSIDE_NET_WIRING_H
#define RINGSIDE_NET_WIRING_H

#include "net/net.h"

/* net_wire - the ports there are now, for the lcores. Return: 0 or -ENOMEM. */
int net_wire(struct net *net);

/* net_link_changed - of struct net_port: tell the guests that see it. */
void net_link_changed(struct net_port *port);

/* net_begin_grace, net_end_grace - net_grace(), and a word from its done() when it has done its
 * part: the program does not end in between. */
void net_begin_grace(struct net *net, struct net_grace *grace,
		     void (*done)(struct net_grace *grace));
void net_end_grace(struct net *net);

/* net_check_end - is everything closed, and nobody waited for? Then the program ends. */
void net_check_end(struct net *net);

#endif
