/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.h - a port whose other end is a DPDK device: tap, af_packet, af_xdp, memif, pcap, null, ring,
 * or a physical NIC. Layer L5, control thread, but where it says lcore.
 */
#ifndef RINGSIDE_NET_HOST_H
#define RINGSIDE_NET_HOST_H

#include <linux/capability.h>

#include "net/options.h"
#include "net/port.h"
#include "vhost/base/mailbox.h"
#include "vhost/wire/loop.h"

struct net_lcore;

#define NET_HOST_RING 512 /* descriptors of a device's queue, where it has them */

/* One receive queue of a device, as its lcore sees it. */
struct net_host_queue {
	struct net_host *host;
	uint16_t queue; /* the device's number for it */
	int interrupt_fd; /* readable while frames wait; -1: it has to be looked at */
	struct net_counters *count;
	/* Private: */
	struct net_lcore *lcore;
	struct mail attach_mail, detach_mail;
	uint64_t next_look; /* ticks; of a queue that costs a system call to look at */
	uint32_t look_after_ns; /* doubles while nothing comes */
};

/* What is known of a driver (host_driver.c). */
struct net_host_driver {
	const char *name; /* "net_tap" */
	const char *check; /* for the operator, when it does not open */
	uint16_t max_queues; /* 0: as the device says */
	bool in_software; /* what it offers to do for us it does no faster */
	bool any_frame; /* takes a frame of any size in any number of mbufs */
	bool look_is_call; /* an empty receive queue costs a system call */
	bool stops_at_bad; /* a frame it cannot send keeps those behind it */
	bool closes; /* without opening anything: in the sandbox, too */
	bool is_tap;
};

struct net_host {
	struct net_port port;
	const struct net_port_options *opt;
	const struct net_host_driver *driver;
	uint16_t ethdev; /* DPDK's port id */
	uint16_t num_rx, num_tx; /* queues; a transmit queue belongs to one lcore */
	uint64_t tx_offloads, rx_offloads; /* enabled: RTE_ETH_TX_OFFLOAD_*, RTE_ETH_RX_OFFLOAD_* */
	uint16_t max_segments; /* mbufs of a frame the device sends; 1: they have to be joined */
	uint16_t max_gso_segments; /* of one that it cuts */
	uint16_t mtu;
	uint32_t max_frame_bytes; /* it sends; of a segment, where it cuts large ones */
	unsigned first_lcore; /* of queue 0 */
	struct net_host_queue rx[NET_MAX_LCORES];
	struct net_counters from[NET_MAX_LCORES], to[NET_MAX_LCORES]; /* by queue */
	struct rte_mempool *pool; /* frames are received into and joined in */
	/* Private: */
	struct loop *loop;
	struct loop_timer link_timer;
	struct mail link_mail; /* the device says its link changed */
	bool gone; /* the interface was deleted, or the port is; lcores have been told */
	bool oversized; /* net_tap does not know of an MTU above 1504 (host_io.c) */
	char interface[16]; /* the kernel's name for it; "": none */
	int interface_fd; /* a socket, to ask the kernel of the interface */
	struct rte_mempool *own_pool; /* NULL: pool is not ours */
};

/* net_host_is_pci - is device string @dpdk a PCI address? EAL has to know of it from the start. */
bool net_host_is_pci(const char *dpdk);

/* net_host_memory - bytes of DPDK's memory that a port takes besides mbufs of the pool. */
uint64_t net_host_memory(const struct net_port_options *opt);

/*
 * net_host_open - make the device @opt->dpdk (a PCI address, or "net_tap0,iface=x": "tap,..." does,
 * too), set it up with as many queues as it has and lcores can use, and start it.
 * Return: 0, or -errno with the operator's line in @error: DPDK's reason and what to check.
 */
int net_host_open(struct net_host **out, struct loop *loop, uint16_t id, uint32_t generation,
		  const struct net_port_options *opt, struct rte_mempool *pool, char *error,
		  size_t error_bytes);

/* net_host_close - stop, close and remove the device. No lcore uses it any more. */
void net_host_close(struct net_host *host);

/* What making a device takes: interfaces, packet sockets, locked memory, XDP programs. */
#define NET_HOST_CAPABILITIES \
	(1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW | 1ull << CAP_IPC_LOCK | 1ull << CAP_BPF)

/* net_host_confine - the sandbox will leave no way to open anything: a device that has to, to be
 * closed, stays open until the program ends. */
void net_host_confine(void);

/* net_host_attach, net_host_detach - give its queues to their lcores, take them back (asynchronous:
 * a net_grace() must follow). */
void net_host_attach(struct net_host *host);
void net_host_detach(struct net_host *host);

/* --- host_link.c: for host.c, control thread --- */

/* net_host_link_begin - look after the device's link from now on, until net_host_link_end(). */
void net_host_link_begin(struct net_host *host);
void net_host_link_end(struct net_host *host);

/* --- lcore thread --- */

/* net_host_take - receive a burst, note what the device found out of it (checksums), join segments
 * (gro.h) where the guests take it, forward. Return: frames. */
unsigned net_host_take(struct net_lcore *lcore, struct net_host_queue *queue);

/* net_host_lcore_of - the lcore that sends on @host for @lcore: itself where there are transmit
 * queues enough. */
unsigned net_host_lcore_of(const struct net_host *host, unsigned lcore);

/* net_host_send - send @frames, all owned and used up; their offload is what the device does (it
 * takes[] it), as mbuf flags from here on. What finds no room is dropped and counted. */
void net_host_send(struct net_lcore *lcore, struct net_host *host, struct rte_mbuf **frames,
		   unsigned n);

#endif
