/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.h - pages a guest put into its balloon, on their way back to the host.
 * Layer L5, control thread (the thread of its inflate and deflate queues).
 *
 * One bit for each 4 KiB page of guest memory sorts and merges pages across descriptors and chains,
 * whatever order they come in. Where the host's pages are 4 KiB too, a bit means: to be given back;
 * it is cleared when the page has been, or comes out of the balloon before. On larger host pages
 * (hugetlbfs) it means: in the balloon; a host page is given back when all its bits are set.
 *
 * Nothing here trusts a page number: what is not whole, aligned, mapped and free of hazards is
 * refused with its reason. Hazards are ranges of guest memory that the device itself uses: its rings.
 *
 * What this takes: for each region a mapping of 1/32768 of it, filled only where pages are noted, and
 * never more than 512 MiB in all, since page numbers have 32 bits.
 */
#ifndef RINGSIDE_BALLOON_PAGES_H
#define RINGSIDE_BALLOON_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/memory/table.h"

#define BAL_PAGE_SHIFT  12 /* of VIRTIO_BALLOON_PFN_SHIFT, whatever pages guest and host have */
#define BAL_PAGE_BYTES  4096u
#define BAL_MAX_HAZARDS 32

/* Why a page is not taken, for counters. */
enum bal_skip {
	BAL_SKIP_NONE,
	BAL_SKIP_UNMAPPED, /* outside guest memory, or only partly in it */
	BAL_SKIP_HAZARD, /* a ring of ours lies in it */
	BAL_SKIP_UNALIGNED, /* no whole page of the file behind it */
	BAL_SKIP_DIRECTION, /* a buffer the driver should not let us write, or should */
	BAL_SKIP_LENGTH, /* a buffer that is no whole number of page numbers */
	BAL_SKIP_LIMIT, /* more than one chain may carry */
	BAL_SKIP_POISON, /* reported, but has to keep its poison */
	BAL_SKIP_INHIBITED, /* no discards now */
	BAL_SKIP_UNSAFE, /* a huge page of a driver that takes pages back without telling first */
	BAL_SKIPS
};

const char *bal_skip_name(enum bal_skip skip);

/* A stretch of one region to be given back: whole pages of the file behind it. */
struct bal_run {
	const struct mem_region *region;
	uint64_t offset; /* in the region, bytes */
	uint64_t bytes;
};

struct bal_region; /* pages.c */

struct bal_pages {
	const struct mem_table *mem; /* the queue's; NULL: not set up */
	struct bal_region *regions; /* as many as mem has, in its order */
	struct bal_region *last; /* of the last page number */
	uint64_t num_due; /* 4 KiB pages to be given back */
	unsigned num_hazards;
	struct bal_range {
		uint64_t gpa, end;
	} hazards[BAL_MAX_HAZARDS], near; /* near: around them all */
};

/* bal_pages_init - for the guest memory of @mem, which must not change until bal_pages_free.
 * Return: 0 or -ENOMEM. */
int bal_pages_init(struct bal_pages *pages, const struct mem_table *mem);

/* bal_pages_free - forget all. Harmless on what is zeroed or freed. */
void bal_pages_free(struct bal_pages *pages);

/* bal_pages_forget - no page is in the balloon. Hazards stay. */
void bal_pages_forget(struct bal_pages *pages);

/* bal_pages_unprotect - there are no hazards, until they are named anew. */
void bal_pages_unprotect(struct bal_pages *pages);

/* bal_pages_protect - never give back what overlaps guest [gpa, gpa + bytes). At most
 * BAL_MAX_HAZARDS; pages taken already are dropped where they overlap. */
void bal_pages_protect(struct bal_pages *pages, uint64_t gpa, uint64_t bytes);

/* bal_pages_add - the guest put 4 KiB page @pfn into its balloon. @huge: host pages that are larger
 * may be gathered (the driver tells before it takes pages back).
 * Return: BAL_SKIP_NONE, or why it is not taken. */
enum bal_skip bal_pages_add(struct bal_pages *pages, uint32_t pfn, bool huge);

/* bal_pages_remove - it takes the page back. Any number is harmless. */
void bal_pages_remove(struct bal_pages *pages, uint32_t pfn);

/* bal_pages_next - cut the next stretch out, of at most @max_bytes (at least one host page), in
 * ascending order. Return: false when there is none. */
bool bal_pages_next(struct bal_pages *pages, uint64_t max_bytes, struct bal_run *run);

/* bal_pages_clip - shrink the guest range [gpa, gpa + bytes) to its first part that may be given
 * back: whole host pages, in one region, no hazard. For free page reporting.
 * Return: BAL_SKIP_NONE with @run set and *@used the bytes of the range dealt with (skipped ones
 * included), or why nothing of it can be, with *@used the bytes to go on behind. */
enum bal_skip bal_pages_clip(const struct bal_pages *pages, uint64_t gpa, uint64_t bytes,
			     struct bal_run *run, uint64_t *used);

#endif
