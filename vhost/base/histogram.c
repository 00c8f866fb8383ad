/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram.c - reading a latency histogram: bounds, sums, percentiles.
 * Layer L0. Any thread.
 */
#include "vhost/base/histogram.h"

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

uint64_t hist_bucket_upper_ns(unsigned index)
{
	unsigned shift;

	if (index < HIST_STEPS)
		return index;
	if (index >= HIST_BUCKETS - 1)
		return UINT64_MAX;
	shift = index / HIST_STEPS - 1;
	return ((HIST_STEPS + index % HIST_STEPS + 1ull) << shift) - 1;
}

void hist_merge(struct histogram *into, const struct histogram *from)
{
	uint64_t max_ns = load(&from->max_ns);

	into->count += load(&from->count);
	into->sum_ns += load(&from->sum_ns);
	if (max_ns > into->max_ns)
		into->max_ns = max_ns;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->buckets[i] += load(&from->buckets[i]);
}

uint64_t hist_percentile_ns(const struct histogram *h, double percent)
{
	uint64_t max_ns = load(&h->max_ns);
	uint64_t total = 0, seen = 0, rank;

	/* The buckets' own sum: a live writer may be between its two stores, and the rank must lie
	 * within what the second pass counts. */
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += load(&h->buckets[i]);
	if (total == 0)
		return 0;
	if (percent >= 100.0)
		return max_ns;
	rank = percent > 0.0 ? (uint64_t)(percent / 100.0 * (double)total) : 0;
	if (rank >= total)
		rank = total - 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += load(&h->buckets[i]);
		if (seen > rank) {
			uint64_t upper = hist_bucket_upper_ns(i);

			return upper < max_ns ? upper : max_ns;
		}
	}
	return max_ns;
}
