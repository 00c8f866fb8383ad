/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * footprint.h - what a process holds and costs, before an attack and after it; and memory that
 * nobody may have written to.
 * Tests only. Any process whose /proc we may read, this one included.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_FOOTPRINT_H
#define RINGSIDE_TESTS_PROTOCOL_FOOTPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a process holds. */
struct held {
	unsigned fds;
	unsigned maps; /* of memory that came as an fd */
	uint64_t heap_bytes; /* of its own, resident */
};

struct held held_by(pid_t pid);

/* held_back - within 5 s @pid holds no more fds and mappings than @before, nor fewer; and its heap
 * has not grown. */
void held_back(pid_t pid, struct held before);

/* cpu_ns - processor time of all threads of @pid so far, in ns. */
uint64_t cpu_ns(pid_t pid);

/* comes_to_rest - within 5 s @pid does nothing any more. */
void comes_to_rest(pid_t pid);

/*
 * A canary: a copy of memory, to be compared with what is there later. Where a device may write in
 * the meantime is told by canary_allow(), before or after it did. All zero before the first use.
 */
#define CANARY_ALLOWED 16

struct canary {
	const uint8_t *base;
	uint8_t *copy;
	size_t bytes;
	unsigned num_allowed;
	struct {
		size_t at;
		size_t bytes;
	} allowed[CANARY_ALLOWED];
};

/* canary_take - from here on; one taken before and not looked at is forgotten. */
void canary_take(struct canary *canary, const void *base, size_t bytes);
void canary_allow(struct canary *canary, const void *at, size_t bytes);

/* canary_lives - nothing else was written to. Frees the copy. */
void canary_lives(struct canary *canary);

#endif
