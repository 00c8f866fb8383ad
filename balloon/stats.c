/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c - see stats.h: the statistics a guest sends.
 * Layer L5, control thread.
 */
#include "balloon/stats.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "balloon/reader.h"

#define ENTRY_BYTES 10 /* le16 tag, le64 value (virtio_balloon_stat) */
#define MAX_BYTES   4096

static const char *const names[] = {
	[BAL_STAT_SWAP_IN] = "swap_in_bytes",
	[BAL_STAT_SWAP_OUT] = "swap_out_bytes",
	[BAL_STAT_MAJOR_FAULTS] = "major_faults",
	[BAL_STAT_MINOR_FAULTS] = "minor_faults",
	[BAL_STAT_FREE] = "free_bytes",
	[BAL_STAT_TOTAL] = "total_bytes",
	[BAL_STAT_AVAILABLE] = "available_bytes",
	[BAL_STAT_CACHES] = "caches_bytes",
	[BAL_STAT_HUGETLB_ALLOCATIONS] = "hugetlb_allocations",
	[BAL_STAT_HUGETLB_FAILURES] = "hugetlb_failures",
	[BAL_STAT_OOM_KILLS] = "oom_kills",
	[BAL_STAT_ALLOC_STALLS] = "alloc_stalls",
	[BAL_STAT_ASYNC_SCANS] = "async_scans",
	[BAL_STAT_DIRECT_SCANS] = "direct_scans",
	[BAL_STAT_ASYNC_RECLAIMS] = "async_reclaims",
	[BAL_STAT_DIRECT_RECLAIMS] = "direct_reclaims",
};
static_assert(ARRAY_SIZE(names) == BAL_STATS_TAGS, "a name for every statistic");

const char *bal_stat_name(enum bal_stat stat)
{
	return names[stat];
}

uint64_t bal_stats_value(const struct bal_stats *stats, enum bal_stat stat)
{
	return stats->present & 1u << stat ? stats->values[stat] : UINT64_MAX;
}

int bal_stats_parse(struct bal_stats *stats, const struct iovec *iov, unsigned num, uint64_t now_ns)
{
	struct bal_reader reader = {.iov = iov, .num = num};
	struct bal_stats next = {.there = true, .taken_ns = now_ns};
	uint8_t copy[MAX_BYTES];
	size_t at, bytes = bal_read(&reader, copy, sizeof(copy));

	if (bytes < ENTRY_BYTES)
		return -EBADMSG;
	for (at = 0; bytes - at >= ENTRY_BYTES; at += ENTRY_BYTES) {
		uint16_t tag = guest_load16(copy + at);

		if (tag >= BAL_STATS_TAGS)
			continue;
		next.present |= 1u << tag;
		next.values[tag] = guest_load64(copy + at + sizeof(tag));
	}
	*stats = next;
	return 0;
}
