/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_machine.c - --memory and --smp. VMM, start-up.
 */
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/base/parse.h"
#include "vmm/options_part.h"

#define MAX_NODE 1023 /* of Linux, CONFIG_NODES_SHIFT 10 */

/* Whether this machine has it is ram_create()'s to say. */
static void set_size(struct ram_options *ram, const char *text)
{
	uint64_t size;

	if (parse_size(text, &size) < 0 || !size)
		fatal("--memory=%s: must be a size, such as 512M", text);
	ram->size = size;
}

void options_parse_memory(struct ram_options *ram, const char *text)
{
	struct option_list list;

	/* What is not said a second time does not stay from the first. */
	ram->size = 0;
	ram->hugepages = ram->prealloc = false;
	ram->numa_node = -1;
	option_list_open(&list, "--memory", text);
	while (option_list_next(&list)) {
		const char *value;

		if (!list.value && !ram->size) {
			set_size(ram, list.key);
			continue;
		}
		value = option_list_value(&list);
		if (!strcmp(list.key, "size"))
			set_size(ram, value);
		else if (!strcmp(list.key, "hugepages"))
			ram->hugepages = option_on_off(list.name, value);
		else if (!strcmp(list.key, "prealloc"))
			ram->prealloc = option_on_off(list.name, value);
		else if (!strcmp(list.key, "numa-node"))
			ram->numa_node = (int)option_number(list.name, value, 0, MAX_NODE);
		else
			usage_error("--memory has no key '%s'; it has size, hugepages, numa-node, "
				    "prealloc",
				    list.key);
	}
	if (!ram->size)
		usage_error("--memory=%s: how much? --memory=SIZE[,KEY=VALUE]...", text);
	free(list.text);
}

/* complete - what was not given: no threads, one socket, and as many cores as that takes; where the
 * cores are given, as many sockets; where both are, as many threads. 0 stands for not given. */
static void complete(struct topology *t)
{
	if (!t->num_vcpus) {
		t->sockets = t->sockets ? t->sockets : 1;
		t->cores = t->cores ? t->cores : 1;
		t->threads = t->threads ? t->threads : 1;
		t->num_vcpus = t->sockets * t->cores * t->threads;
		return;
	}
	if (!t->threads)
		t->threads = t->sockets && t->cores ? t->num_vcpus / (t->sockets * t->cores) : 1;
	if (!t->sockets)
		t->sockets = t->cores ? t->num_vcpus / (t->cores * t->threads) : 1;
	if (!t->cores)
		t->cores = t->num_vcpus / (t->sockets * t->threads);
}

/* What does not divide leaves a factor 0 or a product too small. */
static void check_topology(const struct topology *given, const struct topology *t, const char *text)
{
	bool derived = !given->sockets || !given->cores || !given->threads;

	if (t->num_vcpus > VMM_MAX_VCPUS)
		fatal("--smp=%s: %u vCPUs, and at most %d are possible", text, t->num_vcpus,
		      VMM_MAX_VCPUS);
	if (t->sockets * t->cores * t->threads == t->num_vcpus)
		return;
	if (derived)
		fatal("--smp=%s: %u vCPUs cannot be shared out evenly; sockets * cores * threads "
		      "must be their number",
		      text, t->num_vcpus);
	fatal("--smp=%s: %u sockets * %u cores * %u threads are %u vCPUs, not %u", text, t->sockets,
	      t->cores, t->threads, t->sockets * t->cores * t->threads, t->num_vcpus);
}

/* factor - which of @t's numbers is called @key; NULL where none is. */
static unsigned *factor(struct topology *t, const char *key)
{
	if (!strcmp(key, "cpus"))
		return &t->num_vcpus;
	if (!strcmp(key, "sockets"))
		return &t->sockets;
	if (!strcmp(key, "cores"))
		return &t->cores;
	return strcmp(key, "threads") ? NULL : &t->threads;
}

void options_parse_smp(struct topology *topology, const char *text)
{
	struct topology t = {0}, given;
	struct option_list list;

	option_list_open(&list, "--smp", text);
	while (option_list_next(&list)) {
		unsigned *number;
		const char *value;

		if (!list.value && !t.num_vcpus) {
			t.num_vcpus = (unsigned)option_number("--smp", list.key, 1, VMM_MAX_VCPUS);
			continue;
		}
		value = option_list_value(&list);
		number = factor(&t, list.key);
		if (!number)
			usage_error("--smp has no key '%s'; it has cpus, sockets, cores, threads",
				    list.key);
		*number = (unsigned)option_number(list.name, value, 1, VMM_MAX_VCPUS);
	}
	if (!t.num_vcpus && !t.sockets && !t.cores && !t.threads)
		usage_error("--smp=%s: how many? --smp=N[,KEY=VALUE]...", text);
	given = t;
	complete(&t);
	check_topology(&given, &t, text);
	*topology = t;
	free(list.text);
}
