/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty.h - the dirty log of a migration: one bit for every 4 KiB page of guest memory.
 * Layer L2. Mapped by the control thread while no queue runs; marked by any queue thread.
 *
 * The bitmap is the front-end's memory, shared, and cleared by it at any time: a mark is an atomic
 * OR, made after the write it tells of. Its file may be cut short like guest memory (fault.h).
 */
#ifndef RINGSIDE_MEMORY_DIRTY_H
#define RINGSIDE_MEMORY_DIRTY_H

#include <stdint.h>

#include "vhost/base/util.h"

#define MEM_DIRTY_PAGE_SHIFT 12 /* VHOST_LOG_PAGE of the protocol, whatever pages the host has */

struct mem_dirty {
	uint8_t *bits; /* page n is bit n % 8 of byte n / 8; NULL: no log */
	uint64_t pages; /* that the log has room for; later ones are not marked */
	void *map_base;
	uint64_t map_bytes;
};

/*
 * mem_dirty_map - map [offset, offset + bytes) of @fd, which stays the caller's. @fault_fd as in
 * mem_fault_add(). @dirty is empty (zero).
 * Return: 0, -EINVAL (no bytes; offset + bytes overflows or lies beyond the file's end; no
 * mappable file), -errno of mmap(2).
 */
int mem_dirty_map(struct mem_dirty *dirty, int fd, uint64_t offset, uint64_t bytes, int fault_fd);

/* mem_dirty_unmap - forget it. Harmless on an empty one. */
void mem_dirty_unmap(struct mem_dirty *dirty);

/* mem_dirty_mark - the pages of guest [gpa, gpa + bytes) were written. bytes may be 0: nothing.
 * What lies beyond the log, or would wrap, is left out. */
static inline void mem_dirty_mark(const struct mem_dirty *dirty, uint64_t gpa, uint64_t bytes)
{
	uint64_t page = gpa >> MEM_DIRTY_PAGE_SHIFT;
	uint64_t last;

	if (!bytes || add_overflows(gpa, bytes - 1, &last))
		return;
	last >>= MEM_DIRTY_PAGE_SHIFT;
	/* What was written is seen before its mark. The marks themselves are relaxed: each may fault,
	 * and the thread sanitizer holds a lock of its own around an access that orders others, which
	 * the handler of the fault would wait for. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (; page <= last && page < dirty->pages; page++)
		__atomic_fetch_or(&dirty->bits[page / 8], (uint8_t)(1u << (page % 8)),
				  __ATOMIC_RELAXED);
}

#endif
