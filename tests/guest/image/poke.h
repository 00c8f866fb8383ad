/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poke.h - nonsense, and how to see that nothing came of it. Test guest.
 */
#ifndef RINGSIDE_GUEST_POKE_H
#define RINGSIDE_GUEST_POKE_H

#include <stdbool.h>
#include <stdint.h>

/* poke_random - the same numbers in every run. */
uint64_t poke_random(void);

/* poke_value - zeroes, ones, or a random number, for @kind 0, 1, 2. */
uint64_t poke_value(unsigned kind);

/* poke_memory - read and write in all sizes at every @stride-th byte of [@addr, @addr + @bytes). */
void poke_memory(uint64_t addr, uint64_t bytes, unsigned stride);

/* poke_still_works - the first disk, from a reset to a write; one result, named after @what. */
bool poke_still_works(const char *what);

#endif
