/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eal.c - see eal.h: the command line that DPDK is given, and its memory.
 * Layer L5, start-up, on the thread that becomes the control thread.
 */
#include "net/eal.h"

#include <errno.h>
#include <malloc.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/dpdk_log.h"
#include "net/frame.h"
#include "net/host.h"
#include "net/lcore.h"
#include "vhost/base/affinity.h"
#include "vhost/base/log.h"

#define MAX_ARGS 128

/* What DPDK wants beside mbufs: tables, rings, queues of ports, and what gets lost between. */
#define BASE_MIB 48

/* An mbuf with its header in the pool, its private area and its headroom. */
#define MBUF_COST_BYTES                                                             \
	(2 * RTE_CACHE_LINE_SIZE + sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + \
	 RTE_ALIGN_CEIL(sizeof(struct net_frame_meta), RTE_CACHE_LINE_SIZE) + NET_MBUF_BYTES)

/* mbufs in the hands of the queues of one lcore at a device: what it has been given to fill and
 * what it has not sent yet. */
#define HOST_QUEUE_MBUFS (2 * NET_HOST_RING)
/* A burst of the largest frames. */
#define BURST_MBUFS (NET_BURST * (NET_MAX_FRAME_BYTES / NET_MBUF_BYTES + 2))
/* In a cache of the pool, which may hold half as much again. */
#define CACHE_MBUFS (RTE_MEMPOOL_CACHE_MAX_SIZE * 3 / 2)
/* Ports that may come later. */
#define MIN_MBUFS 8191

static struct {
	struct rte_mempool *pools[RTE_MAX_NUMA_NODES];
	char *args[MAX_ARGS]; /* to be freed */
	char *given[MAX_ARGS]; /* the same, which DPDK reorders and overwrites */
	int num_args;
} eal;

/* --- arguments --- */

static void add_arg(const char *fmt, ...) printf_like(1, 2);

static void add_arg(const char *fmt, ...)
{
	va_list args;

	if (eal.num_args == MAX_ARGS - 1)
		usage_error("more than %d options for DPDK", MAX_ARGS / 2);
	va_start(args, fmt);
	if (vasprintf(&eal.args[eal.num_args++], fmt, args) < 0)
		fatal("out of memory");
	va_end(args);
}

/* print_cpus - as "0-3,8" does. Return: text to be freed. */
static char *print_cpus(const cpu_set_t *cpus)
{
	size_t bytes = 5 * CPU_SETSIZE, used = 0;
	char *text = calloc(1, bytes);
	int cpu, last;

	if (!text)
		fatal("out of memory");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu = last + 1) {
		last = cpu;
		if (!CPU_ISSET(cpu, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
			last++;
		used += (size_t)snprintf(text + used, bytes - used, last > cpu ? "%s%d-%d" : "%s%d",
					 used ? "," : "", cpu, last);
	}
	return text;
}

static unsigned num_workers(const struct net_options *opt)
{
	return max_of((unsigned)CPU_COUNT(&opt->cores), 1u);
}

/* add_lcores - the main lcore is the control thread and runs anywhere; so does the only worker
 * where no --cores are given. */
static void add_lcores(const struct net_options *opt)
{
	unsigned n = num_workers(opt);
	char list[NET_MAX_LCORES * 12] = "";
	size_t used = 0;
	cpu_set_t all;
	char *cpus;

	if (n > NET_MAX_LCORES)
		fatal("--cores names %u CPUs; at most %d are used", n, NET_MAX_LCORES);
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		fatal("sched_getaffinity: %s", strerror(errno));
	cpus = print_cpus(&all);
	for (unsigned i = 0; CPU_COUNT(&opt->cores) && i < n; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, ",%u@%d", i + 1,
					 affinity_pick(&opt->cores, i));
	if (CPU_COUNT(&opt->cores))
		add_arg("--lcores=0@(%s)%s", cpus, list);
	else
		add_arg("--lcores=0@(%s),1@(%s)", cpus, cpus);
	free(cpus);
}

/* --- memory --- */

static unsigned mbufs_needed(const struct net_options *opt)
{
	unsigned n = num_workers(opt), need, ports = 0;

	if (opt->num_mbufs)
		return opt->num_mbufs;
	need = n * (CACHE_MBUFS + (n > 1 ? NET_INBOX_FRAMES : 0));
	for (unsigned i = 0; i < opt->num_ports; i++) {
		if (opt->ports[i].kind == NET_HOST)
			ports += n * HOST_QUEUE_MBUFS;
		else
			ports += opt->ports[i].queues * BURST_MBUFS;
	}
	need = max_of(need + ports, (unsigned)MIN_MBUFS);
	/* One less than a power of two is what a pool has room for. */
	return (1u << (32 - __builtin_clz(need))) - 1;
}

/* memory_needed - MiB for pools on @nodes NUMA nodes. */
static unsigned memory_needed(const struct net_options *opt, unsigned nodes)
{
	uint64_t bytes = (uint64_t)mbufs_needed(opt) * MBUF_COST_BYTES * nodes;

	for (unsigned i = 0; i < opt->num_ports; i++)
		if (opt->ports[i].kind == NET_HOST)
			bytes += net_host_memory(&opt->ports[i]);
	return BASE_MIB + (unsigned)(bytes >> 20);
}

/* nodes_in_use - how many NUMA nodes workers run on; pools for as many. */
static unsigned nodes_in_use(const struct net_options *opt)
{
	uint64_t seen = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int node = CPU_ISSET(cpu, &opt->cores) ? affinity_node_of_cpu(cpu) : -1;

		if (node >= 0 && node < 64)
			seen |= 1ull << node;
	}
	return max_of((unsigned)__builtin_popcountll(seen), 1u);
}

static void add_memory(const struct net_options *opt)
{
	unsigned need = memory_needed(opt, nodes_in_use(opt));

	if (opt->memory_mib && opt->memory_mib < need)
		fatal("--memory=%u: %u mbufs and the ports take %u MiB: raise --memory%s",
		      opt->memory_mib, mbufs_needed(opt), need,
		      opt->num_mbufs ? ", or lower --mbufs" : "");
	/* In memory alone, so that several can run and nothing is left behind. */
	add_arg(opt->hugepages ? "--in-memory" : "--no-huge");
	add_arg("-m");
	add_arg("%u", opt->memory_mib ? opt->memory_mib : need);
}

/* node_of - of an lcore; 0 when it floats over several. */
static unsigned node_of(unsigned lcore_id)
{
	unsigned node = rte_lcore_to_socket_id(lcore_id);

	return node < RTE_MAX_NUMA_NODES ? node : 0;
}

/* make_pool - on the lcore that uses it: without huge pages DPDK has one heap, whose pages are
 * there from where they are touched first. */
static int make_pool(void *arg)
{
	const struct net_options *opt = arg;
	unsigned node = node_of(rte_lcore_id());
	char name[32];

	snprintf(name, sizeof(name), "frames%u", node);
	eal.pools[node] = net_pool_create(name, mbufs_needed(opt),
					  opt->hugepages ? (int)node : SOCKET_ID_ANY);
	return eal.pools[node] ? 0 : -rte_errno;
}

static void make_pools(const struct net_options *opt)
{
	unsigned id;
	int ret;

	RTE_LCORE_FOREACH_WORKER(id)
	{
		if (eal.pools[node_of(id)])
			continue;
		rte_eal_remote_launch(make_pool, (void *)opt, id);
		ret = rte_eal_wait_lcore(id);
		if (ret < 0)
			fatal("no memory for %u mbufs (%s): raise --memory, or lower --mbufs",
			      mbufs_needed(opt), rte_strerror(-ret));
	}
}

struct rte_mempool *net_eal_pool(unsigned lcore_id)
{
	struct rte_mempool *pool = eal.pools[node_of(lcore_id)];

	for (unsigned i = 0; !pool && i < RTE_MAX_NUMA_NODES; i++)
		pool = eal.pools[i];
	return pool;
}

/* --- start and end --- */

/*
 * ignore_realtime_signals - net_tap asks the kernel for a signal with every frame that arrives, by
 * the first one that has no handler, and takes the time of some thread with each. With none to be
 * had it does without.
 */
static void ignore_realtime_signals(void)
{
	for (int signo = SIGRTMIN + 1; signo < SIGRTMAX; signo++)
		signal(signo, SIG_IGN);
}

/*
 * block_signals - for the threads that DPDK starts: what ends the program is for the control
 * thread. They keep what a fault raises (memory/fault.h) and what the sandbox uses.
 */
static void block_signals(sigset_t *before)
{
	static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t set;

	sigfillset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		sigdelset(&set, kept[i]);
	sigdelset(&set, SIGRTMAX);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

static void add_devices(const struct net_options *opt)
{
	bool any = false;

	for (unsigned i = 0; i < opt->num_ports; i++) {
		const struct net_port_options *port = &opt->ports[i];

		if (port->kind == NET_HOST && net_host_is_pci(port->dpdk)) {
			add_arg("-a");
			add_arg("%s", port->dpdk);
			any = true;
		}
	}
	if (!any) {
		add_arg("--no-pci");
		/* No device needs physical addresses, which only root can find out. */
		add_arg("--iova-mode=va");
	}
}

/*
 * net_eal_start - DPDK's interrupt thread goes on to watch what drivers give it: eventfds of NICs,
 * a timer, sockets of net_memif, whose peers come when they like.
 * Syscalls (net): epoll_wait, epoll_create, epoll_ctl, read, write, timerfd_settime, close,
 *	accept, sendmsg, recvmsg, recvfrom, getsockopt, mmap(prot!PROT_EXEC), munmap: net_memif;
 *	memfd_create, ftruncate, fcntl(cmd=F_ADD_SEALS), eventfd2: net_memif as the client
 */
void net_eal_start(const struct net_options *opt)
{
	sigset_t signals;
	int ret, err;

	add_arg("ringside-net");
	add_arg("--no-shconf");
	add_arg("--no-telemetry");
	add_devices(opt);
	add_memory(opt);
	add_lcores(opt);
	for (int i = 0; i < opt->eal_argc; i++)
		add_arg("%s", opt->eal_argv[i]);

	/* As in sandbox_drop_privileges(), before DPDK's threads have a heap each. */
	mallopt(M_ARENA_MAX, 1);
	ignore_realtime_signals();
	block_signals(&signals);
	net_dpdk_log_start();
	net_dpdk_reason_begin();
	net_dpdk_log_catch_stdio(true);
	memcpy(eal.given, eal.args, sizeof(eal.args));
	ret = rte_eal_init(eal.num_args, eal.given);
	err = rte_errno;
	net_dpdk_log_catch_stdio(false);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	if (ret < 0) {
		const char *reason = net_dpdk_reason_end();

		fatal("DPDK does not start: %s%s", *reason ? reason : rte_strerror(err),
		      opt->hugepages ? "; see /proc/sys/vm/nr_hugepages" : "");
	}
	net_dpdk_reason_end();
	if (rte_lcore_count() < 2)
		fatal("the options behind -- leave DPDK no worker lcore");
	make_pools(opt);
}

void net_eal_end(void)
{
	/* rte_eal_cleanup() would open files; what it gives back is the process's own memory. */
	for (int i = 0; i < eal.num_args; i++)
		free(eal.args[i]);
}
