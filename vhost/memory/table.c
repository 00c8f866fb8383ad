/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.c - map, check and find the regions of guest memory.
 * Layer L2. Changes: control thread, while no queue of the session runs. Look-ups: any thread.
 */
#include "vhost/memory/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/memory/map.h"

int mem_table_init(struct mem_table *table)
{
	table->num_regions = 0;
	table->fault_fd = -1;
	table->max_regions = VU_MAX_MEM_SLOTS;
	table->regions = calloc(table->max_regions, sizeof(table->regions[0]));
	return table->regions ? 0 : -ENOMEM;
}

static void unmap_region(struct mem_region *region)
{
	struct mem_map map = {.base = region->map_base, .bytes = region->map_bytes};

	mem_unmap(&map);
	close_fd(&region->fd);
}

void mem_table_clear(struct mem_table *table)
{
	for (unsigned i = 0; i < table->num_regions; i++)
		unmap_region(&table->regions[i]);
	table->num_regions = 0;
}

void mem_table_free(struct mem_table *table)
{
	mem_table_clear(table);
	free(table->regions);
	table->regions = NULL;
}

/* map_region - check @in by itself and map it to @out, which borrows @fd. */
static int map_region(const struct vu_region *in, int fd, int fault_fd, struct mem_region *out)
{
	struct mem_map map;
	uint64_t end;
	int ret;

	if (add_overflows(in->gpa, in->size, &end) || add_overflows(in->uva, in->size, &end))
		return -EINVAL;
	ret = mem_map(&map, fd, in->mmap_offset, in->size, fault_fd);
	if (ret < 0)
		return ret;
	*out = (struct mem_region){
		.gpa = in->gpa,
		.size = in->size,
		.uva = in->uva,
		.host = map.host,
		.map_base = map.base,
		.map_bytes = map.bytes,
		.page_bytes = map.page_bytes,
		.fd = fd,
		.file_offset = in->mmap_offset,
	};
	return 0;
}

/* overlap - do [a, a + a_size) and [b, b + b_size) share a byte? Neither wraps. */
static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* insert_region - map @in, keeping the order by gpa; the region borrows @fd. */
static int insert_region(struct mem_table *table, const struct vu_region *in, int fd)
{
	struct mem_region mapped;
	unsigned at;
	int ret;

	if (table->num_regions >= table->max_regions)
		return -ENOSPC;
	ret = map_region(in, fd, table->fault_fd, &mapped);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < table->num_regions; i++) {
		const struct mem_region *r = &table->regions[i];

		if (overlap(in->gpa, in->size, r->gpa, r->size) ||
		    overlap(in->uva, in->size, r->uva, r->size)) {
			mapped.fd = -1; /* only borrowed */
			unmap_region(&mapped);
			return -EEXIST;
		}
	}
	for (at = table->num_regions; at > 0 && table->regions[at - 1].gpa > in->gpa; at--)
		table->regions[at] = table->regions[at - 1];
	table->regions[at] = mapped;
	table->num_regions++;
	return 0;
}

int mem_table_add(struct mem_table *table, const struct vu_region *region, int *fd)
{
	int ret = insert_region(table, region, *fd);

	if (ret == 0)
		*fd = -1;
	return ret;
}

int mem_table_remove(struct mem_table *table, const struct vu_region *region)
{
	for (unsigned i = 0; i < table->num_regions; i++) {
		struct mem_region *r = &table->regions[i];

		if (r->gpa != region->gpa || r->uva != region->uva || r->size != region->size)
			continue;
		unmap_region(r);
		table->num_regions--;
		memmove(r, r + 1, (table->num_regions - i) * sizeof(*r));
		return 0;
	}
	return -ENOENT;
}

int mem_table_replace(struct mem_table *table, const struct vu_region *regions, unsigned num,
		      int *fds)
{
	struct mem_table next;
	int ret;

	if (num == 0)
		return -EINVAL;
	ret = mem_table_init(&next);
	if (ret < 0)
		return ret;
	next.fault_fd = table->fault_fd;
	for (unsigned i = 0; i < num; i++) {
		ret = insert_region(&next, &regions[i], fds[i]);
		if (ret < 0)
			goto err_next;
	}
	for (unsigned i = 0; i < num; i++)
		fds[i] = -1;
	mem_table_free(table);
	*table = next;
	return 0;

err_next:
	for (unsigned i = 0; i < next.num_regions; i++)
		next.regions[i].fd = -1; /* only borrowed */
	mem_table_free(&next);
	return ret;
}

const struct mem_region *mem_find(const struct mem_table *table, uint64_t gpa)
{
	unsigned low = 0, high = table->num_regions;

	/* Regions before low start at or below gpa, those from high on start above it. */
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (table->regions[middle].gpa <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || gpa - table->regions[low - 1].gpa >= table->regions[low - 1].size)
		return NULL;
	return &table->regions[low - 1];
}

const struct mem_region *mem_find_uva(const struct mem_table *table, uint64_t uva)
{
	for (unsigned i = 0; i < table->num_regions; i++) {
		const struct mem_region *r = &table->regions[i];

		if (uva >= r->uva && uva - r->uva < r->size)
			return r;
	}
	return NULL;
}

void *mem_from_uva(const struct mem_table *table, uint64_t uva, uint64_t bytes)
{
	const struct mem_region *r = mem_find_uva(table, uva);

	if (!r || bytes > r->size - (uva - r->uva))
		return NULL;
	return r->host + (uva - r->uva);
}

uint64_t mem_gpa_of(const struct mem_table *table, const void *host)
{
	for (unsigned i = 0; i < table->num_regions; i++) {
		const struct mem_region *region = &table->regions[i];
		uint64_t offset = (uint64_t)((const uint8_t *)host - region->host);

		if (offset < region->size)
			return region->gpa + offset;
	}
	return UINT64_MAX;
}

uint8_t *mem_cache_fill(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
			uint64_t bytes)
{
	const struct mem_region *r = mem_find(table, gpa);

	if (!r)
		return NULL;
	cache->gpa = r->gpa;
	cache->size = r->size;
	cache->host = r->host;
	if (bytes > r->size - (gpa - r->gpa))
		return NULL;
	return r->host + (gpa - r->gpa);
}

int mem_iov_split(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
		  uint64_t bytes, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	while (bytes > 0) {
		uint8_t *host = mem_at(table, cache, gpa, 1);
		uint64_t here;

		if (!host)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		/* mem_at has put the region that holds gpa into the cache. */
		here = min_of(bytes, cache->size - (gpa - cache->gpa));
		iov[n].iov_base = host;
		iov[n].iov_len = here;
		n++;
		gpa += here;
		bytes -= here;
	}
	return (int)n;
}
