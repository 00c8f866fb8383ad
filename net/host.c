/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - see host.h: a DPDK device from its string on, and its end.
 * Layer L5, control thread, but for the two functions that run as mail on an lcore.
 */
#include "net/host.h"

#include <errno.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/dpdk_log.h"
#include "net/host_driver.h"
#include "net/host_open.h"
#include "net/lcore.h"
#include "vhost/base/log.h"

int net_host_fail(struct net_host_opening *o, int err, const char *fmt, ...)
{
	const struct net_port_options *opt = o->host->opt;
	char what[300];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(o->error, o->error_bytes, "port %s: dpdk=%s: %s; %s", opt->name, opt->dpdk, what,
		 o->host->driver->check);
	return err;
}

int net_host_fail_dpdk(struct net_host_opening *o, int ret, const char *doing)
{
	const char *reason = net_dpdk_reason_end();

	if (*reason)
		return net_host_fail(o, ret < 0 ? ret : -EIO, "%s", reason);
	return net_host_fail(o, ret < 0 ? ret : -EIO, "%s: %s", doing,
			     strerror(ret < 0 ? -ret : EIO));
}

/* --- the device --- */

static int find_ethdev(const char *device, const char *name, uint16_t *id)
{
	struct rte_dev_iterator iterator;
	uint16_t found;

	if (rte_eth_dev_get_port_by_name(name, id) == 0)
		return 0;
	RTE_ETH_FOREACH_MATCHING_DEV(found, device, &iterator)
	{
		*id = found;
		rte_eth_iterator_cleanup(&iterator);
		return 0;
	}
	return -ENODEV;
}

/*
 * make_device - with --runtime-dpdk-ports also in the sandbox, which then has to leave what any of
 * DPDK's drivers may want to set a device up: files below /dev, /sys and /proc, sockets, threads.
 * Syscalls (dpdk): access, faccessat2, open, openat, readlink, readlinkat, newfstatat, statfs,
 *	getdents64, lseek, pread64, pwrite64, unlink, mkdir, uname, sysinfo,
 *	socket, socketpair, bind, listen, connect, setsockopt, getsockopt, getsockname, getpeername,
 *	ioctl, fcntl, flock, dup, pipe2, ftruncate, fallocate, memfd_create, eventfd2,
 *	timerfd_create, epoll_create, epoll_create1, mlock, mprotect(prot!PROT_EXEC), mincore,
 *	rt_sigaction(act=0): net_tap looks for a signal without a handler;
 *	clone3, clone, set_robust_list, rseq, prctl(option=PR_SET_NAME), sched_getaffinity,
 *	sched_setaffinity, getrandom, prlimit64, getuid, geteuid, getgid, getegid, bpf
 */
static int make_device(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	const struct net_port_options *opt = host->opt;
	char device[512], name[RTE_ETH_NAME_MAX_LEN], why[64];
	int ret;

	host->driver = net_host_driver_of(opt->dpdk);
	ret = net_host_device_string(opt->dpdk, opt->mtu, net_num_lcores, device, sizeof(device),
				     name, sizeof(name), why, sizeof(why));
	if (ret < 0)
		return net_host_fail(o, ret, "%s", why);
	net_dpdk_reason_begin();
	/* A PCI device that EAL was told of is there already. */
	if (rte_eth_dev_get_port_by_name(name, &host->ethdev) < 0) {
		ret = rte_dev_probe(device);
		if (ret < 0)
			return net_host_fail_dpdk(o, ret, "probing");
		ret = find_ethdev(device, name, &host->ethdev);
		if (ret < 0)
			return net_host_fail(o, ret, "it is not a network device");
	}
	ret = rte_eth_dev_info_get(host->ethdev, &o->info);
	if (ret < 0)
		return net_host_fail_dpdk(o, ret, "asking");
	net_dpdk_reason_end();
	return 0;
}

/*
 * remove_device - net_tap, net_af_packet, net_null and net_ring go without looking for files:
 * Syscalls (net): ioctl(request=SIOCSIFFLAGS): which then is refused, CAP_NET_ADMIN being gone;
 *	munmap, close
 */
static void remove_device(struct net_host *host)
{
	struct rte_eth_dev_info info;
	struct rte_device *device = NULL;

	if (rte_eth_dev_info_get(host->ethdev, &info) == 0)
		device = info.device;
	rte_eth_dev_close(host->ethdev);
	if (device)
		rte_dev_remove(device);
}

/* --- open, close --- */

static void init_port(struct net_host *host, struct loop *loop, uint16_t id, uint32_t generation,
		      const struct net_port_options *opt)
{
	struct net_port *port = &host->port;

	host->opt = opt;
	host->loop = loop;
	host->interface_fd = -1;
	host->driver = net_host_driver_of(opt->dpdk);
	port->id = id;
	port->generation = generation;
	port->kind = NET_HOST;
	snprintf(port->name, sizeof(port->name), "%s", opt->name);
	port->mac_locked = opt->mac_lock;
	port->max_macs = (uint16_t)min_of(opt->max_macs, (unsigned)UINT16_MAX);
	port->why_not_ready = port->why_down = "not started";
}

static void init_queues(struct net_host *host)
{
	for (uint16_t i = 0; i < host->num_rx; i++) {
		struct net_host_queue *queue = &host->rx[i];

		queue->host = host;
		queue->queue = i;
		queue->count = &host->from[i];
		queue->interrupt_fd = -1;
		queue->lcore = &net_lcores[(host->first_lcore + i) % net_num_lcores];
		if (host->driver->is_tap)
			queue->interrupt_fd = rte_eth_dev_rx_intr_ctl_q_get_fd(host->ethdev, i);
	}
	if (host->opt->has_mac)
		host->port.mac = host->opt->mac;
	else
		rte_eth_macaddr_get(host->ethdev, &host->port.mac);
}

static bool confined;

void net_host_confine(void)
{
	confined = true;
}

static void free_host(struct net_host *host)
{
	close_fd(&host->interface_fd);
	rte_mempool_free(host->own_pool);
	free(host);
}

int net_host_open(struct net_host **out, struct loop *loop, uint16_t id, uint32_t generation,
		  const struct net_port_options *opt, struct rte_mempool *pool, char *error,
		  size_t error_bytes)
{
	struct net_host_opening o = {.error = error, .error_bytes = error_bytes};
	int ret;

	if (posix_memalign((void **)&o.host, CACHELINE_BYTES, sizeof(*o.host))) {
		snprintf(error, error_bytes, "port %s: out of memory", opt->name);
		return -ENOMEM;
	}
	memset(o.host, 0, sizeof(*o.host));
	init_port(o.host, loop, id, generation, opt);
	ret = make_device(&o);
	if (ret < 0)
		goto err_free;
	ret = net_host_set_up(&o, pool);
	if (ret < 0)
		goto err_remove;
	init_queues(o.host);
	log_info(opt->name, "%s, %u receive and %u transmit queues, MTU %u", opt->dpdk,
		 o.host->num_rx, o.host->num_tx, o.host->mtu);
	net_host_link_begin(o.host);
	*out = o.host;
	return 0;
err_remove:
	remove_device(o.host);
err_free:
	free_host(o.host);
	return ret;
}

void net_host_close(struct net_host *host)
{
	net_host_link_end(host);
	if (confined && !host->driver->closes) {
		log_debug(host->port.name, "its device stays open until the end");
		host->own_pool = NULL;
	} else {
		rte_eth_dev_stop(host->ethdev);
		remove_device(host);
	}
	free_host(host);
}

/* --- its queues and their lcores --- */

/* On the lcore's thread. */
static void attach(struct mail *mail)
{
	struct net_host_queue *queue = container_of(mail, struct net_host_queue, attach_mail);

	if (net_lcore_add_host(queue->lcore, queue) == 0)
		return;
	queue->interrupt_fd = -1; /* by a timer, then */
	net_lcore_add_host(queue->lcore, queue);
}

/* On the lcore's thread. */
static void detach(struct mail *mail)
{
	struct net_host_queue *queue = container_of(mail, struct net_host_queue, detach_mail);

	net_lcore_remove_host(queue->lcore, queue);
}

void net_host_attach(struct net_host *host)
{
	for (unsigned i = 0; i < host->num_rx; i++)
		net_lcore_post(host->rx[i].lcore, &host->rx[i].attach_mail, attach);
}

void net_host_detach(struct net_host *host)
{
	if (host->gone)
		return; /* done when that was seen */
	/* Once: mail that is under way cannot be posted again, nor may any come after the grace. */
	host->gone = true;
	for (unsigned i = 0; i < host->num_rx; i++)
		net_lcore_post(host->rx[i].lcore, &host->rx[i].detach_mail, detach);
}
