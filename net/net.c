/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - see net.h: ports come and go, and are wired. Layer L5, control thread.
 *
 * lcores see ports through a snapshot (struct net_topology). What leaves the picture, a snapshot, a
 * port or a rate, is first replaced, then waited for (net_grace(), lcore.h), then freed.
 */
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/capture.h"
#include "net/eal.h"
#include "net/rate.h"
#include "net/wiring.h"
#include "vhost/base/log.h"

static struct net_guest *guest_of(struct net_port *port)
{
	return container_of(port, struct net_guest, port);
}

static struct net_host *host_of(struct net_port *port)
{
	return container_of(port, struct net_host, port);
}

static unsigned num_ports(const struct net *net)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		n += net->ports[i] != NULL;
	return n;
}

/* --- a port's beginning --- */

struct net_port *net_find_port(const struct net *net, const char *name)
{
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->ports[i] && !strcmp(net->ports[i]->name, name))
			return net->ports[i];
	return NULL;
}

static int free_id(const struct net *net)
{
	for (int i = 0; i < NET_MAX_PORTS; i++)
		if (!net->slots[i])
			return i;
	return -1;
}

static int open_guest(struct net *net, struct net_slot *slot, uint16_t id, char *error,
		      size_t error_bytes)
{
	struct net_guest *guest;
	int ret;

	ret = net_guest_create(&guest, net->daemon.loop, id, net->generations[id], &slot->opt);
	if (ret < 0) {
		snprintf(error, error_bytes, "%s: %s", slot->opt.name, strerror(-ret));
		return ret;
	}
	guest->first_lcore = net->next_lcore;
	net->next_lcore += slot->opt.queues;
	slot->port = &guest->port;
	ret = daemon_open(&net->daemon, &guest->dev, &slot->opt.socket, error, error_bytes);
	if (ret < 0)
		net_guest_close(guest, NULL);
	return ret;
}

static int open_host(struct net *net, struct net_slot *slot, uint16_t id, char *error,
		     size_t error_bytes)
{
	struct net_host *host;
	int ret;

	ret = net_host_open(&host, net->daemon.loop, id, net->generations[id], &slot->opt,
			    net_eal_pool(rte_get_next_lcore(-1, 1, 0)), error, error_bytes);
	if (ret < 0)
		return ret;
	slot->port = &host->port;
	return 0;
}

static int set_rates(struct net_port *port, const struct net_port_options *opt)
{
	int ret = 0;

	if (opt->rate_in_bytes_s)
		ret = net_rate_create(&port->rate_in, opt->rate_in_bytes_s, 0);
	if (ret == 0 && opt->rate_out_bytes_s)
		ret = net_rate_create(&port->rate_out, opt->rate_out_bytes_s, 0);
	return ret;
}

static void close_slot(struct net_slot *slot);

/* open_port - Return: 0, or -errno with a line in @error. */
static int open_port(struct net *net, struct net_slot *slot, uint16_t id, char *error,
		     size_t error_bytes)
{
	int ret;

	net->generations[id]++;
	if (slot->opt.kind == NET_GUEST)
		ret = open_guest(net, slot, id, error, error_bytes);
	else
		ret = open_host(net, slot, id, error, error_bytes);
	if (ret < 0)
		return ret;
	slot->port->owner = slot;
	slot->port->on_link = net_link_changed;
	net->slots[id] = slot;
	net->ports[id] = slot->port;
	return 0;
}

/* join - an open port to the others. Return: 0 or -errno; it is closed then. */
static int join(struct net *net, struct net_slot *slot)
{
	int ret = set_rates(slot->port, &slot->opt);

	if (num_ports(net) > 2)
		net->is_switch = true;
	if (!net->running)
		return ret;
	if (ret == 0)
		ret = net_wire(net);
	if (ret < 0)
		close_slot(slot);
	else if (slot->port->kind == NET_HOST)
		net_host_attach(host_of(slot->port));
	return ret;
}

int net_add_port(struct net *net, const struct net_port_options *opt, char *error,
		 size_t error_bytes)
{
	struct net_slot *slot = calloc(1, sizeof(*slot));
	int ret, id = free_id(net), fd = opt->socket.fd;

	if (!slot)
		ret = -ENOMEM;
	else if (net_find_port(net, opt->name))
		ret = -EEXIST;
	else
		ret = id < 0 ? -ENOSPC : 0;
	if (ret < 0) {
		snprintf(error, error_bytes, "name=%s: %s", opt->name,
			 ret == -EEXIST   ? "there is a port of this name"
			 : ret == -ENOSPC ? "there are as many ports as can be"
					  : "out of memory");
		goto refuse;
	}
	*slot = (struct net_slot){.net = net, .opt = *opt, .told_up = -1};
	ret = open_port(net, slot, (uint16_t)id, error, error_bytes);
	if (ret < 0)
		goto refuse;
	ret = join(net, slot);
	if (ret < 0)
		snprintf(error, error_bytes, "%s: %s", opt->name, strerror(-ret));
	return ret;

refuse:
	close_fd(&fd);
	free(opt->text);
	free(slot);
	return ret;
}

/* --- its end --- */

static void slot_closed(struct net_slot *slot, uint16_t id)
{
	struct net *net = slot->net;

	net->slots[id] = NULL;
	free(slot->opt.text);
	free(slot);
	net_check_end(net);
}

/* release - what lcores used for the port; none has it any more. */
static void release(struct net *net, struct net_port *port)
{
	net_switch_forget_port(net->fabric, port->id);
	net_capture_stop(port);
	net_rate_free(port->rate_in);
	net_rate_free(port->rate_out);
}

/* The guest's session is over, and its queues are stopped; it is freed when this returns. */
static void guest_closed(struct net_guest *guest)
{
	struct net_slot *slot = guest->port.owner;

	release(slot->net, &guest->port);
	slot_closed(slot, guest->port.id);
}

/* The lcores have forgotten the port; a guest may send yet. */
static void port_unwired(struct net_grace *grace)
{
	struct net_slot *slot = container_of(grace, struct net_slot, grace);
	struct net_port *port = slot->port;
	struct net *net = slot->net;
	uint16_t id = port->id;

	if (port->kind == NET_GUEST) {
		daemon_forget(&net->daemon, &guest_of(port)->dev);
		net_guest_close(guest_of(port), guest_closed);
	} else {
		release(net, port);
		net_host_close(host_of(port));
		slot_closed(slot, id);
	}
	net_end_grace(net);
}

/* close_slot - the port is out of net->ports, or goes now; what lcores know of it goes first. */
static void close_slot(struct net_slot *slot)
{
	struct net *net = slot->net;
	struct net_port *port = slot->port;

	net->ports[port->id] = NULL;
	port->on_link = NULL;
	if (net->running && net_wire(net) < 0)
		fatal("out of memory"); /* lcores would go on with what is freed next */
	if (port->kind == NET_HOST)
		net_host_detach(host_of(port));
	else /* at once: the operator may add a port with this socket next */
		endpoint_close(&guest_of(port)->dev.endpoint);
	net_begin_grace(net, &slot->grace, port_unwired);
}

int net_remove_port(struct net *net, const char *name)
{
	struct net_port *port = net_find_port(net, name);

	if (!port)
		return -ENOENT;
	log_info(port->name, "removed");
	close_slot(port->owner);
	return 0;
}

/* --- the whole --- */

int net_start(struct net *net)
{
	int ret = net_switch_create(&net->fabric, net->daemon.loop, net->opt.age_s);

	if (ret < 0)
		return ret;
	net->is_switch |= net->opt.is_switch;
	net->running = true;
	ret = net_wire(net);
	for (unsigned i = 0; ret == 0 && i < NET_MAX_PORTS; i++)
		if (net->ports[i] && net->ports[i]->kind == NET_HOST)
			net_host_attach(host_of(net->ports[i]));
	return ret;
}

void net_end(struct net *net)
{
	if (net->ending)
		return;
	net->ending = true;
	net->num_graces++; /* until all are on their way */
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->ports[i])
			close_slot(net->slots[i]);
	net_end_grace(net);
}

void net_free(struct net *net)
{
	net_switch_destroy(net->fabric);
	free(net->wiring);
}
