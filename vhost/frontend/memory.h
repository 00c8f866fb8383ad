/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h - guest RAM as a front-end owns it: sealed memfds, mapped, with a bump allocator.
 * Beside L1 (front-end). Not locked: set up by one thread; afterwards read by any.
 */
#ifndef RINGSIDE_FRONTEND_MEMORY_H
#define RINGSIDE_FRONTEND_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/wire/proto.h"

/* As the guest-physical address of a region: use our own virtual address of it (SPDK does). */
#define FE_GPA_IDENTITY UINT64_MAX

/* One region. The user address (uva) the back-end is told is @host. */
struct fe_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t used; /* bytes given out so far, from the start */
	uint64_t page_bytes;
	uint8_t *host;
	int fd; /* sealed against shrinking and growing */
};

struct fe_memory {
	unsigned num_regions;
	unsigned capacity;
	struct fe_region *regions; /* in the order they were added */
};

/* A piece of guest memory. */
struct fe_mem {
	uint8_t *host;
	uint64_t gpa;
};

void fe_memory_init(struct fe_memory *mem);

/* fe_memory_free - unmap and close all. Harmless when empty. */
void fe_memory_free(struct fe_memory *mem);

/*
 * fe_memory_add - a new region of @size bytes at @gpa (or FE_GPA_IDENTITY), zeroed.
 * @huge: on 2 MiB pages of hugetlbfs (which must have been reserved), else on 4 KiB ones.
 * Return: 0, -EINVAL (size 0, not whole pages, or gpa + size wraps), -EEXIST (overlap), -ENOMEM,
 * -errno of memfd_create(2), mmap(2) (no huge pages left: -ENOMEM).
 */
int fe_memory_add(struct fe_memory *mem, uint64_t gpa, uint64_t size, bool huge);

/* fe_memory_remove - unmap and close region @index; later ones move down. */
void fe_memory_remove(struct fe_memory *mem, unsigned index);

/* fe_memory_populate - touch every page now, so that no run pays for it. */
void fe_memory_populate(const struct fe_memory *mem);

/*
 * fe_alloc - @bytes aligned to @align (a power of two; in gpa, and in host up to a page), from the first region
 * that has room. Never given back but with the region. Return: 0 or -ENOSPC.
 */
int fe_alloc(struct fe_memory *mem, uint64_t bytes, uint64_t align, struct fe_mem *out);

/* fe_alloc_in - the same from one region. Return: 0 or -ENOSPC. */
int fe_alloc_in(struct fe_memory *mem, unsigned index, uint64_t bytes, uint64_t align,
		struct fe_mem *out);

/* fe_memory_host - host address of [gpa, gpa + bytes), all in one region, or NULL. */
void *fe_memory_host(const struct fe_memory *mem, uint64_t gpa, uint64_t bytes);

/* fe_memory_describe - region @index as the wire has it; its fd is regions[index].fd. */
struct vu_region fe_memory_describe(const struct fe_memory *mem, unsigned index);

#endif
