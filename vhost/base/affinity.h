/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * affinity.h - where a thread runs: pinned to a CPU, or on the NUMA node of the memory or device
 * it serves (libnuma). Layer L0.
 */
#ifndef RINGSIDE_BASE_AFFINITY_H
#define RINGSIDE_BASE_AFFINITY_H

#include <sched.h>

/* affinity_prepare - look everything up in /sys that the calls below need later, when a sandbox
 * closes it to them (but to affinity_node_of_disk(), which is for before). Once, at the start. */
void affinity_prepare(void);

/* affinity_pick - the CPU for worker @index out of @cpus: they are dealt round robin.
 * Return: a CPU number, or -1 when @cpus is empty. */
int affinity_pick(const cpu_set_t *cpus, unsigned index);

/* affinity_pin_self - bind the calling thread to @cpu. Return: 0 or -errno. */
int affinity_pin_self(int cpu);

/* affinity_node_of_cpu - NUMA node of @cpu, or -1 when unknown (or the host has one node only). */
int affinity_node_of_cpu(int cpu);

/* affinity_node_of_memory - NUMA node of the page at @addr, or -1 when unknown (not populated,
 * or the host has one node only). */
int affinity_node_of_memory(const void *addr);

/* affinity_node_of_disk - NUMA node of the block device behind @fd (the file's own device or
 * the one its file system is on), or -1 when unknown. */
int affinity_node_of_disk(int fd);

/* affinity_run_on_node - let the calling thread run on, and allocate from, @node; -1 does
 * nothing. Return: 0 or -errno. */
int affinity_run_on_node(int node);

#endif
