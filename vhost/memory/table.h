/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h - guest memory as the front-end shares it: mapped regions, checked translation.
 * Layer L2. The control thread changes a table only while no queue of its session runs
 * (contract 1); queue threads only read it, each with a mem_cache of its own.
 */
#ifndef RINGSIDE_MEMORY_TABLE_H
#define RINGSIDE_MEMORY_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost/base/util.h"
#include "vhost/wire/proto.h"

/* One region, mapped. Addresses are in bytes; [gpa, gpa + size) never wraps. */
struct mem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva; /* the front-end's address, in which ring addresses come */
	uint8_t *host; /* our address of gpa */
	void *map_base; /* what munmap(2) wants */
	uint64_t map_bytes;
	uint64_t page_bytes; /* of the file behind it: 4096, or a huge page */
	int fd; /* kept for hole punching and for telling truncation; ours */
	uint64_t file_offset; /* of gpa in fd */
};

struct mem_table {
	unsigned num_regions;
	unsigned max_regions;
	struct mem_region *regions; /* sorted by gpa, never overlapping */
	int fault_fd; /* an eventfd of the owner's, for mem_fault_add(); -1: faults not covered */
};

/* The region last hit, copied: one per queue, in the queue's own cache line. It must not outlive
 * a change of the table: a queue is stopped for one, and starts again with an empty cache. */
struct mem_cache {
	uint64_t gpa;
	uint64_t size; /* 0: empty */
	uint8_t *host;
};

/* mem_table_init - empty table for up to VU_MAX_MEM_SLOTS regions, fault_fd -1; the owner may set
 * it while the table is empty. Return: 0 or -ENOMEM. */
int mem_table_init(struct mem_table *table);

/* mem_table_clear - unmap and close all. Safe on an empty table. */
void mem_table_clear(struct mem_table *table);

/* mem_table_free - clear and free. */
void mem_table_free(struct mem_table *table);

/*
 * mem_table_add - check and map one region; takes *@fd over (sets it -1) on success only.
 *
 * Refused: size 0; gpa + size, uva + size or mmap_offset + size at or past 2^64; an overlap in gpa
 * or uva with a region present; an fd shorter than mmap_offset + size, or that cannot be mapped.
 * Return: 0, -EEXIST (overlap), -ENOSPC (table full), or as mem_map().
 */
int mem_table_add(struct mem_table *table, const struct vu_region *region, int *fd);

/* mem_table_remove - by exact gpa, uva and size (mmap_offset is ignored, as the protocol says).
 * Return: 0 or -ENOENT. */
int mem_table_remove(struct mem_table *table, const struct vu_region *region);

/*
 * mem_table_replace - swap in a whole new table. All or nothing: on failure the old table stays
 * whole. fds are taken (set -1) on success only.
 * Return: 0, -EINVAL (@num is 0), -ENOMEM, or the first error of mem_table_add.
 */
int mem_table_replace(struct mem_table *table, const struct vu_region *regions, unsigned num,
		      int *fds);

/* mem_find - the region that holds @gpa, or NULL. Binary search. */
const struct mem_region *mem_find(const struct mem_table *table, uint64_t gpa);

/* mem_find_uva - the region that holds front-end address @uva, or NULL. */
const struct mem_region *mem_find_uva(const struct mem_table *table, uint64_t uva);

/* mem_from_uva - host address of [uva, uva + bytes), which must lie in one region, or NULL. */
void *mem_from_uva(const struct mem_table *table, uint64_t uva, uint64_t bytes);

/* mem_gpa_of - guest address of @host, which the look-ups here gave out; one past every region when
 * it lies in none. */
uint64_t mem_gpa_of(const struct mem_table *table, const void *host);

/* mem_cache_fill - slow path of mem_at. */
uint8_t *mem_cache_fill(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
			uint64_t bytes);

/*
 * mem_at - host address of guest [gpa, gpa + bytes), which must lie in one region, or NULL.
 * bytes may be 0 (NULL only when gpa itself is outside).
 */
static inline uint8_t *mem_at(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
			      uint64_t bytes)
{
	uint64_t offset = gpa - cache->gpa; /* wraps to something huge below the region */

	if (likely(offset < cache->size && bytes <= cache->size - offset))
		return cache->host + offset;
	return mem_cache_fill(table, cache, gpa, bytes);
}

/* mem_iov_split - slow path of mem_iov. */
int mem_iov_split(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
		  uint64_t bytes, struct iovec *iov, unsigned max);

/*
 * mem_iov - guest [gpa, gpa + bytes) as iovecs, split where adjoining regions meet.
 * Return: iovecs written (>= 1 when bytes > 0), -EFAULT where a byte is unmapped, -E2BIG when
 * @max is too few.
 */
static inline int mem_iov(const struct mem_table *table, struct mem_cache *cache, uint64_t gpa,
			  uint64_t bytes, struct iovec *iov, unsigned max)
{
	uint64_t offset = gpa - cache->gpa;

	if (likely(offset < cache->size && bytes - 1 < cache->size - offset && max > 0)) {
		iov->iov_base = cache->host + offset;
		iov->iov_len = bytes;
		return 1;
	}
	return mem_iov_split(table, cache, gpa, bytes, iov, max);
}

#endif
