/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port.c - see port.h: names of drops, and the one place where a port's link changes.
 * Layer L5, control thread.
 */
#include "net/port.h"

#include <assert.h>

#include "vhost/base/log.h"

static const char *const drop_names[] = {
	[NET_DROP_NO_DESCRIPTORS] = "no descriptors",
	[NET_DROP_BAD_HEADER] = "bad header",
	[NET_DROP_BAD_CHAIN] = "bad chain",
	[NET_DROP_TOO_LARGE] = "too large",
	[NET_DROP_RATE] = "rate",
	[NET_DROP_LINK_DOWN] = "link down",
	[NET_DROP_FILTERED] = "filtered",
	[NET_DROP_LOCKED_MAC] = "locked mac",
	[NET_DROP_NO_MEMORY] = "no memory",
	[NET_DROP_BUSY] = "busy",
	[NET_DROP_NOWHERE] = "nowhere",
};
static_assert(ARRAY_SIZE(drop_names) == NET_DROPS, "every reason has a name");

const char *net_drop_name(enum net_drop why)
{
	return drop_names[why];
}

static void set_link(struct net_port *port)
{
	bool up = port->ready && !port->admin_down;
	const char *why = NULL;
	bool was = port->link_up;

	if (port->admin_down)
		why = "set down";
	else if (!port->ready)
		why = port->why_not_ready;
	__atomic_store_n(&port->why_down, why, __ATOMIC_RELAXED);
	__atomic_store_n(&port->link_up, up, __ATOMIC_RELAXED);
	if (up == was)
		return;
	log_info(port->name, "link %s%s%s", up ? "up" : "down", why ? ": " : "", why ? why : "");
	if (port->on_link)
		port->on_link(port);
}

void net_port_set_ready(struct net_port *port, bool ready, const char *why)
{
	port->ready = ready;
	port->why_not_ready = why;
	set_link(port);
}

void net_port_set_admin(struct net_port *port, bool up)
{
	port->admin_down = !up;
	set_link(port);
}
