/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_order.h - the orders in which the balloon's benchmarks name pages. Any thread.
 */
#ifndef RINGSIDE_BENCH_BALLOON_ORDER_H
#define RINGSIDE_BENCH_BALLOON_ORDER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "vhost/base/log.h"

/* balloon_step - from one page to the next one named, in pages: every page, or every other. Another
 * @order than contiguous, shuffled and scattered ends the program. */
static inline unsigned balloon_step(const char *order)
{
	if (!strcmp(order, "scattered"))
		return 2;
	if (strcmp(order, "contiguous") && strcmp(order, "shuffled"))
		usage_error("%s: contiguous, shuffled or scattered", order);
	return 1;
}

/* balloon_order - @num page numbers from @first on, in that order, as the driver writes them. The
 * same every time. */
static inline void balloon_order(const char *order, uint32_t *pfns, unsigned num, uint32_t first)
{
	uint64_t random = 88172645463325252u; /* xorshift */
	unsigned step = balloon_step(order), i;

	for (i = 0; i < num; i++)
		pfns[i] = htole32(first + i * step);
	if (strcmp(order, "shuffled"))
		return;
	for (i = num; i > 1; i--) {
		uint32_t pfn = pfns[i - 1];
		unsigned other;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		other = (unsigned)(random % i);
		pfns[i - 1] = pfns[other];
		pfns[other] = pfn;
	}
}

#endif
