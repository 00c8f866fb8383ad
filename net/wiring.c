/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wiring.c - see wiring.h. Layer L5, control thread.
 */
#include "net/wiring.h"

#include <errno.h>
#include <stdlib.h>

#include "net/rate.h"

/* --- what waits for the lcores --- */

struct net_wiring {
	struct net *net;
	struct net_topology topology;
	struct net_grace grace;
};

void net_begin_grace(struct net *net, struct net_grace *grace,
		     void (*done)(struct net_grace *grace))
{
	net->num_graces++;
	net_grace(net->daemon.loop, grace, done);
}

static bool has_slots(const struct net *net)
{
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->slots[i])
			return true;
	return false;
}

static void all_over(struct net_grace *grace)
{
	loop_quit(container_of(grace, struct net, last_grace)->daemon.loop);
}

void net_check_end(struct net *net)
{
	if (!net->ending || net->num_graces || has_slots(net))
		return;
	/* The switch may wait, too: what begins now is over after that. */
	net_switch_stop(net->fabric);
	net_grace(net->daemon.loop, &net->last_grace, all_over);
}

void net_end_grace(struct net *net)
{
	net->num_graces--;
	net_check_end(net);
}

/* --- links --- */

/* peer_of - what is at the other end of @port's cable; NULL: nothing. */
static const struct net_port *peer_of(const struct net *net, const struct net_port *port)
{
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->ports[i] && net->ports[i] != port)
			return net->ports[i];
	return NULL;
}

const char *net_told_down(const struct net *net, const struct net_port *port)
{
	const struct net_port *peer;

	if (port->admin_down)
		return "set down";
	if (net->is_switch)
		return NULL;
	peer = peer_of(net, port);
	if (!peer)
		return "no other port";
	return peer->link_up ? NULL : "other end of the cable is down";
}

/* tell_guests - each guest whether its link is up, where that has changed. */
static void tell_guests(struct net *net)
{
	for (unsigned i = 0; i < NET_MAX_PORTS; i++) {
		struct net_port *port = net->ports[i];
		bool up;

		if (!port || port->kind != NET_GUEST)
			continue;
		up = !net_told_down(net, port);
		if (net->slots[i]->told_up == up)
			continue;
		net->slots[i]->told_up = up;
		net_guest_set_link(container_of(port, struct net_guest, port), up);
	}
}

void net_link_changed(struct net_port *port)
{
	struct net_slot *slot = port->owner;

	tell_guests(slot->net);
}

void net_set_link(struct net *net, struct net_port *port, bool up)
{
	net_port_set_admin(port, up);
	tell_guests(net); /* the port's own guest is told, even if it was not ready */
}

/* --- wiring --- */

static void wiring_over(struct net_grace *grace)
{
	struct net_wiring *old = container_of(grace, struct net_wiring, grace);
	struct net *net = old->net;

	free(old);
	net_end_grace(net);
}

int net_wire(struct net *net)
{
	struct net_wiring *old = net->wiring, *wiring = calloc(1, sizeof(*wiring));

	if (!wiring)
		return -ENOMEM;
	wiring->net = net;
	wiring->topology.is_switch = net->is_switch;
	wiring->topology.fabric = net->fabric;
	for (unsigned i = 0; i < NET_MAX_PORTS; i++) {
		wiring->topology.ports[i] = net->ports[i];
		if (net->ports[i])
			wiring->topology.num_ids = (uint16_t)(i + 1);
	}
	net->wiring = wiring;
	net_set_topology(&wiring->topology);
	if (old)
		net_begin_grace(net, &old->grace, wiring_over);
	tell_guests(net);
	return 0;
}

/* --- rates --- */

struct old_rate {
	struct net *net;
	struct net_rate *rate;
	struct net_grace grace;
};

static void rate_over(struct net_grace *grace)
{
	struct old_rate *old = container_of(grace, struct old_rate, grace);
	struct net *net = old->net;

	net_rate_free(old->rate);
	free(old);
	net_end_grace(net);
}

int net_set_rate(struct net *net, struct net_port *port, bool in, uint64_t bytes_s)
{
	struct net_rate **place = in ? &port->rate_in : &port->rate_out, *rate = NULL;
	struct net_slot *slot = port->owner;
	struct old_rate *old = calloc(1, sizeof(*old));
	int ret = 0;

	if (!old)
		return -ENOMEM;
	if (bytes_s)
		ret = net_rate_create(&rate, bytes_s, 0);
	if (ret < 0) {
		free(old);
		return ret;
	}
	*old = (struct old_rate){.net = net, .rate = *place};
	__atomic_store_n(place, rate, __ATOMIC_RELEASE);
	if (in)
		slot->opt.rate_in_bytes_s = bytes_s;
	else
		slot->opt.rate_out_bytes_s = bytes_s;
	net_begin_grace(net, &old->grace, rate_over);
	return 0;
}
