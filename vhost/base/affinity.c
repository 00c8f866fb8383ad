/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * affinity.c - CPU pinning and NUMA placement of I/O threads.
 * Layer L0. Called by a thread about itself; the look-ups from any thread.
 */
#include "vhost/base/affinity.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* several_nodes - with one node there is nothing to choose, and every look-up says "unknown".
 * Syscalls: get_mempolicy */
static bool several_nodes(void)
{
	return numa_available() >= 0 && numa_max_node() > 0;
}

void affinity_prepare(void)
{
	struct bitmask *cpus;

	if (!several_nodes())
		return;
	cpus = numa_allocate_cpumask();
	/* libnuma keeps what it has read. */
	for (int node = 0; node <= numa_max_node(); node++)
		numa_node_to_cpus(node, cpus);
	numa_free_cpumask(cpus);
}

int affinity_pick(const cpu_set_t *cpus, unsigned index)
{
	unsigned count = (unsigned)CPU_COUNT(cpus);

	if (count == 0)
		return -1;
	index %= count;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, cpus) && index-- == 0)
			return cpu;
	}
	return -1;
}

int affinity_pin_self(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int affinity_node_of_cpu(int cpu)
{
	return several_nodes() ? numa_node_of_cpu(cpu) : -1;
}

/* Syscalls: move_pages(pid=0) */
int affinity_node_of_memory(const void *addr)
{
	void *page = (void *)addr;
	int status = -1;

	if (!several_nodes())
		return -1;
	/* With no target nodes move_pages(2) moves nothing and reports where each page is. Unlike
	 * get_mempolicy(MPOL_F_ADDR) it does not populate a page that is not there. */
	if (move_pages(0, 1, &page, NULL, &status, 0) < 0 || status < 0)
		return -1;
	return status;
}

int affinity_node_of_disk(int fd)
{
	/* A partition has no device link of its own; its disk is the directory above. NVMe
	 * namespaces hang below their controller, which hangs below the PCI function. */
	static const char *const places[] = {
		"device/numa_node",
		"../device/numa_node",
		"device/device/numa_node",
		"../device/device/numa_node",
	};
	struct stat st;
	dev_t dev;

	if (!several_nodes() || fstat(fd, &st) < 0)
		return -1;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char path[96];
		int node, fields;
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev),
			 places[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		fields = fscanf(f, "%d", &node);
		fclose(f);
		return fields == 1 && node >= 0 ? node : -1;
	}
	return -1;
}

/* Syscalls: sched_setaffinity(pid=0), set_mempolicy */
int affinity_run_on_node(int node)
{
	if (node < 0 || !several_nodes())
		return 0;
	if (node > numa_max_node())
		return -EINVAL;
	if (numa_run_on_node(node) < 0)
		return -errno;
	numa_set_preferred(node);
	return 0;
}
