/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port.h - what every port has, a guest's (guest.h) or a host's (host.h): a name, a number, counters,
 * a rate, a capture. Layer L5.
 *
 * Ports come and go on the control thread. lcores see them through one snapshot, struct
 * net_topology, which is replaced as a whole: an lcore reads the pointer once a pass, and the old one
 * is given up when every lcore has begun another pass (net_grace(), lcore.h).
 */
#ifndef RINGSIDE_NET_PORT_H
#define RINGSIDE_NET_PORT_H

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/offload.h"
#include "vhost/base/util.h"

#define NET_MAX_PORTS     64
#define NET_MAX_PAIRS     8 /* queue pairs of a guest */
#define NET_MAX_LCORES    16
#define NET_MAX_PORT_NAME 31
#define NET_NO_PORT       UINT16_MAX

enum net_port_kind { NET_GUEST, NET_HOST };

/* Why a frame got no further. net_drop_name() is what stats call it. */
enum net_drop {
	NET_DROP_NO_DESCRIPTORS, /* the guest had no buffer, or the host's port no slot, for it */
	NET_DROP_BAD_HEADER, /* a virtio header that does not fit the frame */
	NET_DROP_BAD_CHAIN, /* descriptors that break a rule, or too short for a header */
	NET_DROP_TOO_LARGE, /* for a frame, or for the port it should leave by */
	NET_DROP_RATE,
	NET_DROP_LINK_DOWN,
	NET_DROP_FILTERED, /* by the guest's own RX mode, MAC or VLAN filter */
	NET_DROP_LOCKED_MAC, /* not the port's address as sender */
	NET_DROP_NO_MEMORY, /* no mbuf */
	NET_DROP_BUSY, /* the lcore it was for has too much waiting */
	NET_DROP_NOWHERE, /* no other port */
	NET_DROPS
};

const char *net_drop_name(enum net_drop why);

/* Of one queue in one direction; written by one lcore, read by anyone with vq_count(). */
struct net_counters {
	uint64_t frames cacheline_aligned;
	uint64_t bytes;
	uint64_t drops[NET_DROPS];
};

/* A frame rate or bit rate limit of one direction, per lcore (rate.h). */
struct net_rate;

struct net_port {
	uint16_t id; /* index in the topology; stays */
	uint32_t generation; /* of the id: another port may get it later */
	enum net_port_kind kind;
	char name[NET_MAX_PORT_NAME + 1];
	bool mac_locked; /* only this sender: */
	struct rte_ether_addr mac; /* the guest's, or the host port's */
	uint16_t max_macs; /* most addresses the switch learns here */

	/* Set by the control thread, read by lcores with relaxed loads: net_port_set_ready(). */
	bool link_up;
	const char *why_down; /* "no front-end", "driver not ready", "carrier", ...; static text */
	bool ready, admin_down; /* what makes link_up; control thread */
	const char *why_not_ready;
	void (*on_link)(struct net_port *port); /* link_up has changed; NULL: nobody asks (net.c) */
	void *owner; /* of who asks */
	net_takes takes; /* what needs not be done in software for frames to it */
	struct net_rate *rate_in, *rate_out; /* from and to the port; NULL: no limit */
	struct net_capture *capture; /* NULL: none (capture.h) */

	/* What is not of a queue: drops before one was chosen, by lcore. */
	struct net_counters in[NET_MAX_LCORES], out[NET_MAX_LCORES];
};

/* net_port_set_ready - frames can leave by @port, or cannot: @why, static text. What the operator
 * says (port.set link=down) counts, too. Control thread; for guest.c and host.c. */
void net_port_set_ready(struct net_port *port, bool ready, const char *why);

/* net_port_set_admin - what the operator says. Control thread. */
void net_port_set_admin(struct net_port *port, bool up);

/* How ports are wired, at one moment. */
struct net_topology {
	uint16_t num_ids; /* ports[] has holes */
	struct net_port *ports[NET_MAX_PORTS];
	bool is_switch; /* else a cable between the two that there are */
	struct net_switch *fabric; /* with is_switch */
};

static inline void net_count_drop(struct net_counters *c, enum net_drop why, unsigned n)
{
	__atomic_store_n(&c->drops[why], c->drops[why] + n, __ATOMIC_RELAXED);
}

static inline void net_count(struct net_counters *c, unsigned frames, uint64_t bytes)
{
	__atomic_store_n(&c->frames, c->frames + frames, __ATOMIC_RELAXED);
	__atomic_store_n(&c->bytes, c->bytes + bytes, __ATOMIC_RELAXED);
}

#endif
