/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram.h - latency histogram: 8 linear steps in each power of two, so any value is known
 * within 12.5 %, from 1 ns to 2^40 ns (18 minutes; longer counts in the last bucket).
 * Layer L0. One thread adds; any thread may read (relaxed loads, so a read is never torn but may
 * be a moment old).
 */
#ifndef RINGSIDE_BASE_HISTOGRAM_H
#define RINGSIDE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HIST_STEP_BITS 3
#define HIST_STEPS     (1u << HIST_STEP_BITS)
#define HIST_MAX_LOG2  40
#define HIST_BUCKETS   ((HIST_MAX_LOG2 - HIST_STEP_BITS + 1) * HIST_STEPS)

struct histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t buckets[HIST_BUCKETS];
};

/* hist_bucket - index of the bucket that holds @ns. */
static inline unsigned hist_bucket(uint64_t ns)
{
	unsigned log2, index;

	if (ns < HIST_STEPS)
		return (unsigned)ns;
	log2 = 63u - (unsigned)__builtin_clzll(ns);
	index = (log2 - HIST_STEP_BITS + 1) * HIST_STEPS +
		(unsigned)((ns >> (log2 - HIST_STEP_BITS)) & (HIST_STEPS - 1));
	return index < HIST_BUCKETS ? index : HIST_BUCKETS - 1;
}

/* hist_add - count @n values of @ns each. The histogram's one writer. */
static inline void hist_add(struct histogram *h, uint64_t ns, uint64_t n)
{
	uint64_t *bucket = &h->buckets[hist_bucket(ns)];

	__atomic_store_n(&h->count, h->count + n, __ATOMIC_RELAXED);
	__atomic_store_n(&h->sum_ns, h->sum_ns + ns * n, __ATOMIC_RELAXED);
	__atomic_store_n(bucket, *bucket + n, __ATOMIC_RELAXED);
	if (ns > h->max_ns)
		__atomic_store_n(&h->max_ns, ns, __ATOMIC_RELAXED);
}

/* hist_bucket_upper_ns - the largest value, in ns, that bucket @index holds. */
uint64_t hist_bucket_upper_ns(unsigned index);

/* hist_merge - add @from to @into; @from may have a live writer, @into may not. */
void hist_merge(struct histogram *into, const struct histogram *from);

/* hist_percentile_ns - upper bound in ns of the @percent-th percentile (0..100); 0 when empty. */
uint64_t hist_percentile_ns(const struct histogram *h, double percent);

#endif
