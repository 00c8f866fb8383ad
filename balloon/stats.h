/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.h - the guest's memory statistics (virtio 1.3, section 5.5.6.3).
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_BALLOON_STATS_H
#define RINGSIDE_BALLOON_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The tags, as virtio numbers them; Linux 6.12 and later send those from OOM_KILL on. */
enum bal_stat {
	BAL_STAT_SWAP_IN,
	BAL_STAT_SWAP_OUT,
	BAL_STAT_MAJOR_FAULTS,
	BAL_STAT_MINOR_FAULTS,
	BAL_STAT_FREE,
	BAL_STAT_TOTAL,
	BAL_STAT_AVAILABLE,
	BAL_STAT_CACHES,
	BAL_STAT_HUGETLB_ALLOCATIONS,
	BAL_STAT_HUGETLB_FAILURES,
	BAL_STAT_OOM_KILLS,
	BAL_STAT_ALLOC_STALLS,
	BAL_STAT_ASYNC_SCANS,
	BAL_STAT_DIRECT_SCANS,
	BAL_STAT_ASYNC_RECLAIMS,
	BAL_STAT_DIRECT_RECLAIMS,
	BAL_STATS_TAGS
};

/* bal_stat_name - as balloon.get shows it: "swap_in_bytes", "major_faults", ... */
const char *bal_stat_name(enum bal_stat stat);

/* What the guest said last. */
struct bal_stats {
	bool there; /* it ever did */
	uint64_t taken_ns; /* CLOCK_MONOTONIC, when */
	uint32_t present; /* a bit for each tag it sent */
	uint64_t values[BAL_STATS_TAGS];
};

/* bal_stats_value - or UINT64_MAX when the guest did not say. */
uint64_t bal_stats_value(const struct bal_stats *stats, enum bal_stat stat);

/*
 * bal_stats_parse - read a statistics buffer: @num iovecs of guest memory, each byte read once.
 * Entries come in any order, unknown tags mean nothing, the last of a tag counts, a cut-off entry at
 * the end is ignored; at most 4 KiB are looked at. Return: 0, -EBADMSG when there is no whole entry
 * (@stats is then unchanged).
 */
int bal_stats_parse(struct bal_stats *stats, const struct iovec *iov, unsigned num,
		    uint64_t now_ns);

#endif
