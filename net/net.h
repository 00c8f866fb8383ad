/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - the daemon: its ports and how they are wired. Layer L5, control thread.
 */
#ifndef RINGSIDE_NET_NET_H
#define RINGSIDE_NET_NET_H

#include "net/guest.h"
#include "net/host.h"
#include "net/lcore.h"
#include "net/options.h"
#include "net/switch.h"
#include "vhost/daemon/daemon.h"

/* A port, from its opening to the end of its closing (net.c). */
struct net_slot {
	struct net *net;
	struct net_port *port;
	struct net_port_options opt;
	struct net_grace grace;
	int told_up; /* what a guest knows of its link; -1: nothing yet */
};

struct net_wiring; /* a topology, and what waits until it can be freed */

struct net {
	struct daemon daemon;
	struct net_options opt;
	struct net_port *ports[NET_MAX_PORTS]; /* by id; those being closed are not among them */
	struct net_slot *slots[NET_MAX_PORTS]; /* by id; those being closed are */
	uint32_t generations[NET_MAX_PORTS];
	struct net_wiring *wiring; /* what lcores have now */
	struct net_switch *fabric; /* there always, in use with is_switch */
	bool is_switch; /* else a cable; it never is one again */
	unsigned next_lcore; /* where the next port's first queue goes */
	unsigned num_graces; /* not over yet */
	struct net_grace last_grace;
	bool running, ending;
};

/* net_add_port - open a port and, once net_start() was called, wire it. @opt is copied, its text
 * and its fd are taken over, whatever comes of it. Return: 0, or -errno with a line in @error. */
int net_add_port(struct net *net, const struct net_port_options *opt, char *error,
		 size_t error_bytes);

/* net_remove_port - unwire it, wait for the lcores, close it. Return: 0 or -ENOENT. */
int net_remove_port(struct net *net, const char *name);

/* net_start - the lcores run: give host ports their queues, wire all ports. Before the
 * sandbox. Return: 0 or -errno. */
int net_start(struct net *net);

/* net_end - close all ports, then loop_quit(). */
void net_end(struct net *net);

/* net_free - after net_end() and net_lcores_stop(). */
void net_free(struct net *net);

/* net_set_rate - of frames from (@in) or to a port; 0: no limit. Return: 0 or -errno. */
int net_set_rate(struct net *net, struct net_port *port, bool in, uint64_t bytes_s);

/* net_set_link - the operator sets the link of a port. */
void net_set_link(struct net *net, struct net_port *port, bool up);

/* net_told_down - why a guest is told that its link is down; NULL: it is up. */
const char *net_told_down(const struct net *net, const struct net_port *port);

/* net_find_port - by name, or NULL. */
struct net_port *net_find_port(const struct net *net, const char *name);

#endif
