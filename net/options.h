/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the command line of ringside-net. Layer L5, start-up; a port's also at run time.
 */
#ifndef RINGSIDE_NET_OPTIONS_H
#define RINGSIDE_NET_OPTIONS_H

#include <rte_ether.h>
#include <sched.h>

#include "net/port.h"
#include "vhost/daemon/daemon.h"

/* One port: --port name=N,KEY=VALUE,... */
struct net_port_options {
	char name[NET_MAX_PORT_NAME + 1];
	enum net_port_kind kind;
	struct daemon_socket socket; /* a guest's: socket=, fd=, client=on */
	unsigned queues; /* a guest's pairs offered, 1..NET_MAX_PAIRS */
	unsigned queue_size; /* a guest's largest ring, 1024 */
	const char *dpdk; /* a host's: device string or PCI address */
	bool has_mac;
	struct rte_ether_addr mac; /* offered to the guest (VIRTIO_NET_F_MAC); mac= */
	bool mac_lock; /* mac-lock=on */
	uint16_t mtu; /* 0: not said */
	uint32_t speed_mbit; /* told to the guest; 0: unknown */
	uint64_t rate_in_bytes_s, rate_out_bytes_s; /* rate-in=, rate-out= (from, to the port) */
	unsigned max_macs; /* max-macs=, 1024 */
	uint64_t
		disable; /* features of a guest's that are not offered; offload=off, mrg=off, packed=off,
			     in-order=off, indirect=off, event-idx=off, ctrl=off */
	char *text; /* cut up: what is pointed to above lies in it */
};

struct net_options {
	struct daemon_options daemon;
	struct net_port_options ports[NET_MAX_PORTS];
	unsigned num_ports;
	bool is_switch; /* --switch, or more than two ports */
	unsigned age_s; /* --mac-age */
	cpu_set_t cores; /* --cores; empty: one lcore, not pinned */
	uint64_t poll_us;
	bool busy_poll;
	bool hugepages; /* --hugepages=on */
	unsigned memory_mib; /* of DPDK: --memory */
	unsigned num_mbufs; /* --mbufs; 0: chosen from the ports */
	bool runtime_dpdk; /* --runtime-dpdk-ports: ports that open devices may be added later, for
			      which the sandbox leaves more */
	char **eal_argv; /* behind -- */
	int eal_argc;
};

/*
 * net_options_parse - take the command line apart; keeps pointers into @argv.
 * --help, --version and --print-capabilities are answered here and end the program; so does a
 * mistake, with one line on stderr (exit 1 for a value, 2 for usage).
 */
void net_options_parse(struct net_options *opt, int argc, char **argv);

/* net_port_options_init - all but what is at the other end. */
void net_port_options_init(struct net_port_options *port, enum net_port_kind kind,
			   const char *name);

/* net_port_options_parse - one port's keys, of --port or port.add. @text is cut up and kept.
 * Return: 0, or with a line in @error -EINVAL (a value), -ENOENT (a key too much or too few). */
int net_port_options_parse(struct net_port_options *port, char *text, char *error,
			   size_t error_bytes);

/* net_rate_parse - bytes a second; 0 is no limit. Return: 0 or -EINVAL. */
int net_rate_parse(const char *text, uint64_t *bytes_s);

/* net_mac_parse - of one station. Return: 0, -EINVAL (form), -EADDRNOTAVAIL (a group's, or zero). */
int net_mac_parse(const char *text, struct rte_ether_addr *mac);

#endif
