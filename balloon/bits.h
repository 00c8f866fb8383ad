/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bits.h - an array of bits in words, and runs of equal ones in it.
 * Layer L5. Whoever owns the array knows how long it is.
 */
#ifndef RINGSIDE_BALLOON_BITS_H
#define RINGSIDE_BALLOON_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/util.h"

#define BITS_WORD 64u

/* bits_bytes - of an array of @bits, in whole words. */
static inline uint64_t bits_bytes(uint64_t bits)
{
	return align_up(bits, BITS_WORD) / 8;
}

static inline bool bit_get(const uint64_t *bits, uint64_t i)
{
	return bits[i / BITS_WORD] >> i % BITS_WORD & 1;
}

static inline void bit_set(uint64_t *bits, uint64_t i)
{
	bits[i / BITS_WORD] |= 1ull << i % BITS_WORD;
}

static inline void bit_clear(uint64_t *bits, uint64_t i)
{
	bits[i / BITS_WORD] &= ~(1ull << i % BITS_WORD);
}

/* bits_equal - how many bits from @i on are @value, at most @max? */
static inline uint64_t bits_equal(const uint64_t *bits, uint64_t i, uint64_t max, bool value)
{
	uint64_t n = 0;

	while (n < max) {
		unsigned at = (unsigned)((i + n) % BITS_WORD);
		uint64_t word = bits[(i + n) / BITS_WORD];
		uint64_t others = (value ? ~word : word) >> at;

		if (others)
			return min_of(n + (unsigned)__builtin_ctzll(others), max);
		n += BITS_WORD - at;
	}
	return max;
}

/* bits_clear - @n of them from @i on. */
static inline void bits_clear(uint64_t *bits, uint64_t i, uint64_t n)
{
	while (n) {
		unsigned at = (unsigned)(i % BITS_WORD);
		uint64_t here = min_of(n, (uint64_t)(BITS_WORD - at));
		uint64_t ones = here == BITS_WORD ? UINT64_MAX : (1ull << here) - 1;

		bits[i / BITS_WORD] &= ~(ones << at);
		i += here;
		n -= here;
	}
}

#endif
