/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.h - a piece of a peer's file, mapped: guest memory, the dirty log, the in-flight region.
 * Layer L2. Control thread.
 */
#ifndef RINGSIDE_MEMORY_MAP_H
#define RINGSIDE_MEMORY_MAP_H

#include <stdint.h>

struct mem_map {
	uint8_t *host; /* our address of the first byte asked for; NULL: nothing is mapped */
	void *base; /* what munmap(2) wants */
	uint64_t bytes; /* from base, whole pages */
	uint64_t page_bytes; /* of the file: 4096, or a huge page */
};

/*
 * mem_map - map [@offset, @offset + @bytes) of @fd, shared and writable; the fd stays the caller's,
 * and the mapping outlives it. @fault_fd as in mem_fault_add(); -1: faults are not covered.
 * Return: 0, -EINVAL (no bytes; the end overflows or lies beyond the file's; neither a regular file
 * nor a device), -EREMOTE (FUSE: a process would give the pages, or not), -ENOMEM, -errno of
 * mmap(2).
 */
int mem_map(struct mem_map *map, int fd, uint64_t offset, uint64_t bytes, int fault_fd);

/* mem_map_why - what mem_map() returned, or one of the functions built on it, in words. */
const char *mem_map_why(int ret);

/* mem_unmap - and be empty. Harmless on an empty one (all zero). */
void mem_unmap(struct mem_map *map);

#endif
