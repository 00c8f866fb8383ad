/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch.h - the table of a learning switch: which address is behind which port. Layer L5.
 *
 * One writer, the control thread; lcores look up without locks (rte_hash with lock-free readers).
 * An address an lcore has not seen where it is now goes to the control thread through a bounded
 * queue; a full one loses it until the next frame.
 */
#ifndef RINGSIDE_NET_SWITCH_H
#define RINGSIDE_NET_SWITCH_H

#include <rte_ether.h>

#include "net/port.h"
#include "vhost/wire/loop.h"

#define NET_SWITCH_ENTRIES     8192 /* learnt */
#define NET_SWITCH_STATIC      1024
#define NET_SWITCH_DEFAULT_AGE 300 /* seconds, as IEEE 802.1Q has it */

struct net_switch;

/* net_switch_create - Return: 0 or -errno. Control thread, before the sandbox. */
int net_switch_create(struct net_switch **out, struct loop *loop, unsigned age_s);

/* net_switch_stop - begin no net_grace() any more; one of the caller's shows that all are over. */
void net_switch_stop(struct net_switch *fabric);

/* net_switch_destroy - after net_switch_stop(). NULL does nothing. */
void net_switch_destroy(struct net_switch *fabric);

/* net_switch_add_static - @mac is behind port @id, whatever is seen. Return: 0, -ENOSPC. */
int net_switch_add_static(struct net_switch *fabric, const struct rte_ether_addr *mac, uint16_t id);

/* net_switch_remove - a static or learnt address. Return: 0 or -ENOENT. */
int net_switch_remove(struct net_switch *fabric, const struct rte_ether_addr *mac);

/* net_switch_forget_port - nothing is behind port @id any more. */
void net_switch_forget_port(struct net_switch *fabric, uint16_t id);

struct net_switch_entry {
	struct rte_ether_addr mac;
	uint16_t port;
	bool is_static;
	unsigned age_s; /* since a frame came from it */
};

/* net_switch_each - call @fn for every entry. Control thread. */
void net_switch_each(struct net_switch *fabric,
		     void (*fn)(const struct net_switch_entry *entry, void *arg), void *arg);

/* --- lcore thread --- */

/* net_switch_learn - a frame from @mac came in by @from. */
void net_switch_learn(struct net_switch *fabric, unsigned lcore, const struct net_port *from,
		      const struct rte_ether_addr *mac, uint64_t now_ticks);

/* net_switch_find - Return: a port's id, or NET_NO_PORT: flood. */
uint16_t net_switch_find(struct net_switch *fabric, unsigned lcore,
			 const struct rte_ether_addr *mac);

#endif
