/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram.c - guest RAM: is what was asked for sensible, does the host have it, make it and place it.
 * VMM, start-up.
 */
#include "vmm/ram.h"

#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vhost/base/util.h"
#include "vmm/memory_map.h"
#include "vmm/ram_populate.h"

#define SMALL_PAGE_BYTES 4096ull
#define HUGE_PAGE_BYTES  (2ull << 20)

#define MEMINFO        "/proc/meminfo"
#define HUGE_POOL      "hugepages-2048kB"
#define HOST_HUGE_POOL "/sys/kernel/mm/hugepages/" HUGE_POOL
#define NODE_DIR       "/sys/devices/system/node/node"

struct request {
	const struct ram_options *opt;
	char *error;
	size_t error_bytes;
};

/* --- words for the operator --- */

static const char *size_text(uint64_t bytes, char *text, size_t text_bytes)
{
	static const char suffixes[] = "KMGT";
	int suffix = -1;

	while (suffix < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		suffix++;
	}
	if (suffix < 0)
		snprintf(text, text_bytes, "%" PRIu64, bytes);
	else
		snprintf(text, text_bytes, "%" PRIu64 "%c", bytes, suffixes[suffix]);
	return text;
}

/* refuse - the one line: the option as it was given, and what is wrong with it. Return: @ret. */
static printf_like(3, 4) int refuse(const struct request *rq, int ret, const char *fmt, ...)
{
	char size[32], node[32] = "", why[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	if (rq->opt->numa_node >= 0)
		snprintf(node, sizeof(node), ",numa-node=%d", rq->opt->numa_node);
	snprintf(rq->error, rq->error_bytes, "--memory=%s%s%s%s: %s",
		 size_text(rq->opt->size, size, sizeof(size)),
		 rq->opt->hugepages ? ",hugepages=on" : "", node,
		 rq->opt->prealloc ? ",prealloc=on" : "", why);
	return ret;
}

/* --- what the host says --- */

/* read_number - the number behind @key in the file @path, or its first one where @key is "".
 * Return: false when there is none. */
static bool read_number(const char *path, const char *key, uint64_t *value)
{
	FILE *file = fopen(path, "re");
	char line[256], *found;
	bool ok = false;

	if (!file)
		return false;
	while (!ok && fgets(line, sizeof(line), file)) {
		found = strstr(line, key);
		ok = found && sscanf(found + strlen(key), "%" SCNu64, value) == 1;
	}
	fclose(file);
	return ok;
}

/* read_kib - the sum of @keys (up to a NULL) in a file as /proc/meminfo is, in bytes.
 * Return: false when one is missing. */
static bool read_kib(const char *path, const char *const *keys, uint64_t *bytes)
{
	uint64_t kib;

	for (*bytes = 0; *keys; keys++) {
		if (!read_number(path, *keys, &kib))
			return false;
		*bytes += kib * 1024;
	}
	return true;
}

/* --- checks --- */

/* Of guest-physical addresses there are as many as the CPU has physical ones. */
static uint64_t address_limit(void)
{
	unsigned eax, ebx, ecx, edx, bits = 36;

	if (__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx) && (eax & 0xff) >= 32)
		bits = eax & 0xff;
	return bits > 52 ? 1ull << 52 : 1ull << bits;
}

static int check_size(const struct request *rq)
{
	uint64_t size = rq->opt->size;
	uint64_t page = rq->opt->hugepages ? HUGE_PAGE_BYTES : SMALL_PAGE_BYTES;
	uint64_t limit = address_limit(), max = RAM_MAX_BYTES;
	char text[32];

	if (size < RAM_MIN_BYTES)
		return refuse(rq, -EINVAL, "a guest has at least %s",
			      size_text(RAM_MIN_BYTES, text, sizeof(text)));
	if (limit - RAM_HIGH_BEGIN < max - RAM_LOW_END)
		max = limit - RAM_HIGH_BEGIN + RAM_LOW_END;
	if (size > max)
		return refuse(rq, -EINVAL, "a guest has at most %s on this CPU",
			      size_text(max, text, sizeof(text)));
	if (size % page)
		return refuse(rq, -EINVAL, "the size has to be a multiple of %s%s",
			      size_text(page, text, sizeof(text)),
			      rq->opt->hugepages ? ", the size of a huge page" : "");
	return 0;
}

static int check_node(const struct request *rq)
{
	int node = rq->opt->numa_node;
	long long bytes;

	if (node < 0)
		return 0;
	if (numa_available() < 0)
		return refuse(rq, -ENOTSUP, "this host's kernel has no NUMA");
	if (node > numa_max_node() || !numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node))
		return refuse(rq, -ENODEV,
			      "this host has no such node with memory; 'numactl --hardware' lists "
			      "them");
	bytes = numa_node_size64(node, NULL);
	if (bytes < 0 || (uint64_t)bytes < rq->opt->size)
		return refuse(rq, -ENOMEM, "the node has only %lld MiB", bytes >> 20);
	return 0;
}

/* check_host - the kernel gives out more than there is, and kills somebody when it is used. So we
 * are as strict as it is with ordinary memory (vm.overcommit_memory), of which shared memory is not. */
static int check_host(const struct request *rq)
{
	static const char *const all[] = {"MemTotal:", "SwapTotal:", NULL};
	static const char *const limit[] = {"CommitLimit:", NULL};
	static const char *const committed[] = {"Committed_AS:", NULL};
	uint64_t mode = 0, bytes, used;

	read_number("/proc/sys/vm/overcommit_memory", "", &mode);
	if (mode == 0 && read_kib(MEMINFO, all, &bytes) && rq->opt->size > bytes)
		return refuse(rq, -ENOMEM,
			      "this host has %" PRIu64 " MiB with swap; to have a guest believe in "
			      "more: sysctl vm.overcommit_memory=1",
			      bytes >> 20);
	if (mode == 2 && read_kib(MEMINFO, limit, &bytes) && read_kib(MEMINFO, committed, &used) &&
	    (used > bytes || rq->opt->size > bytes - used))
		return refuse(rq, -ENOMEM,
			      "this host does not overcommit memory (vm.overcommit_memory=2), and "
			      "of %" PRIu64 " MiB %" PRIu64 " are spoken for",
			      bytes >> 20, used >> 20);
	return 0;
}

/* check_available - for what is populated at once: can it be had without the kernel killing? */
static int check_available(const struct request *rq)
{
	static const char *const of_host[] = {"MemAvailable:", "SwapFree:", NULL};
	static const char *const of_node[] = {" MemFree:", " Active(file):", " Inactive(file):",
					      NULL};
	bool host = rq->opt->numa_node < 0;
	char path[128];
	uint64_t bytes;

	snprintf(path, sizeof(path), NODE_DIR "%d/meminfo", rq->opt->numa_node);
	if (read_kib(host ? MEMINFO : path, host ? of_host : of_node, &bytes) &&
	    rq->opt->size > bytes)
		return refuse(rq, -ENOMEM, "%s has %" PRIu64 " MiB available",
			      host ? "this host" : "the node", bytes >> 20);
	return 0;
}

/* explain_huge - the pool of huge pages did not do: how much it has and how to make it larger. */
static int explain_huge(const struct request *rq, int ret)
{
	uint64_t needed = rq->opt->size / HUGE_PAGE_BYTES, total = 0, free_pages = 0, taken = 0;
	char pool[128] = HOST_HUGE_POOL, path[160];

	if (rq->opt->numa_node >= 0)
		snprintf(pool, sizeof(pool), NODE_DIR "%d/hugepages/" HUGE_POOL,
			 rq->opt->numa_node);
	snprintf(path, sizeof(path), "%s/free_hugepages", pool);
	read_number(path, "", &free_pages);
	snprintf(path, sizeof(path), "%s/resv_hugepages", pool); /* only the host's has it */
	read_number(path, "", &taken);
	free_pages = free_pages > taken ? free_pages - taken : 0;
	snprintf(path, sizeof(path), "%s/nr_hugepages", pool);
	if (!read_number(path, "", &total))
		return refuse(rq, ret, "this host's kernel has no huge pages of 2 MiB");
	if (free_pages >= needed)
		return refuse(rq, ret, "huge pages cannot be had: %s", strerror(-ret));
	return refuse(rq, ret,
		      "needs %" PRIu64 " huge pages of 2 MiB, and %" PRIu64 " are free; as root: "
		      "echo %" PRIu64 " > %s",
		      needed, free_pages, total + needed - free_pages, path);
}

/* explain - why memory could not be made or populated. Nothing of it is held any more. */
static int explain(const struct request *rq, int ret)
{
	if (ret == -EFAULT) /* populate: there is none to be had */
		ret = -ENOMEM;
	if (rq->opt->hugepages && ret == -ENOMEM)
		return explain_huge(rq, ret);
	if (ret == -EHWPOISON)
		return refuse(rq, ret,
			      "a page of it is broken hardware; the kernel's log has more");
	return refuse(rq, ret, "%s", strerror(-ret));
}

/* --- making it --- */

/* place - on the node asked for and nowhere else, before the first page of it is there. */
static int place(const struct ram *ram, int node)
{
	struct bitmask *nodes;
	int ret = 0;

	if (node < 0)
		return 0;
	nodes = numa_allocate_nodemask();
	numa_bitmask_setbit(nodes, (unsigned)node);
	for (unsigned i = 0; ret == 0 && i < ram->mem.num_regions; i++) {
		const struct fe_region *r = &ram->mem.regions[i];

		if (mbind(r->host, r->size, MPOL_BIND, nodes->maskp, nodes->size + 1,
			  MPOL_MF_STRICT))
			ret = -errno;
	}
	numa_bitmask_free(nodes);
	return ret;
}

/* Where a kernel has no such thing it goes without. */
static void advise(const struct ram *ram)
{
	for (unsigned i = 0; i < ram->mem.num_regions; i++) {
		const struct fe_region *r = &ram->mem.regions[i];

		madvise(r->host, r->size, MADV_DONTDUMP);
		if (r->page_bytes == SMALL_PAGE_BYTES)
			madvise(r->host, r->size, MADV_HUGEPAGE);
	}
}

static int add_regions(struct ram *ram, const struct ram_options *opt)
{
	uint64_t low = min_of((uint64_t)RAM_LOW_END, opt->size);
	int ret = fe_memory_add(&ram->mem, 0, low, opt->hugepages);

	if (ret == 0 && opt->size > low)
		ret = fe_memory_add(&ram->mem, RAM_HIGH_BEGIN, opt->size - low, opt->hugepages);
	return ret;
}

int ram_create(struct ram *ram, const struct ram_options *opt, char *error, size_t error_bytes)
{
	struct request rq = {opt, error, error_bytes};
	/* The kernel reserves huge pages of any node and places each by the policy of the mapping
	 * that touches it first; a back-end has none, and a node that has run out would kill us. */
	bool populate = opt->prealloc || (opt->hugepages && opt->numa_node >= 0);
	int ret;

	memset(ram, 0, sizeof(*ram));
	fe_memory_init(&ram->mem);
	ret = check_size(&rq);
	if (ret == 0)
		ret = check_node(&rq);
	if (ret == 0 && !opt->hugepages)
		ret = check_host(&rq);
	if (ret == 0 && populate && !opt->hugepages)
		ret = check_available(&rq);
	if (ret < 0)
		return ret;

	/* Huge pages are reserved here and now, so that no access to them can fail later. */
	ret = add_regions(ram, opt);
	if (ret == 0)
		ret = place(ram, opt->numa_node);
	if (ret == 0) {
		advise(ram);
		if (populate)
			ret = ram_populate(&ram->mem);
	}
	if (ret < 0) {
		ram_free(ram);
		return explain(&rq, ret);
	}
	ram->size = opt->size;
	return 0;
}

void ram_free(struct ram *ram)
{
	fe_memory_free(&ram->mem);
	ram->size = 0;
}
