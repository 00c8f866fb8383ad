/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_vm.h - one made-up guest: programs that want memory, a cache that takes what is left,
 * swap for what does not fit, and a balloon driver.
 * Benchmarks and tests only. One thread.
 */
#ifndef RINGSIDE_BENCH_BALLOON_VM_H
#define RINGSIDE_BENCH_BALLOON_VM_H

#include <stdbool.h>
#include <stdint.h>

enum made_kind {
	MADE_STEADY,
	MADE_DAILY, /* busy by day */
	MADE_BURSTS, /* idle, but for minutes */
	MADE_FILES, /* small programs, and a cache that could be any size */
	MADE_LEAK, /* until it is killed, and again */
	MADE_LIAR, /* always claims to have no memory and to swap */
	MADE_SILENT, /* no statistics */
	MADE_DEAD, /* its driver hangs */
	MADE_SLOW, /* its driver crawls */
	MADE_KINDS
};

struct made_vm {
	enum made_kind kind;
	uint64_t memory_bytes, min_bytes;
	unsigned shares;
	bool reports; /* free pages, to the host */
	uint64_t target_bytes, actual_bytes;
	/* Of actual: what programs have, and the cache. Beyond it: what is swapped out. */
	uint64_t resident_bytes, cache_bytes, swapped_bytes;
	uint64_t demand_bytes; /* what programs use: resident and swapped out */
	uint64_t occupied_bytes; /* of the host's memory */
	uint64_t swap_in_bytes, major_faults; /* totals, as it tells */
	/* How it goes on: */
	uint64_t base_bytes, peak_bytes, phase_s, grow_bytes_per_s;
	uint64_t start_s, leaked_bytes, burst_until_s, random;
};

/* What a guest felt in a second. */
struct made_second {
	bool pressed; /* programs waited for memory: hot pages were swapped or read again */
	bool killed;
	uint64_t swapped_bytes; /* in */
};

/* made_vm_init - one of a kind and size that @random chooses. */
void made_vm_init(struct made_vm *vm, uint64_t *random);

/* made_vm_second - live for a second. */
void made_vm_second(struct made_vm *vm, uint64_t now_s, struct made_second *felt);

/* made_vm_runs - does it, yet? */
bool made_vm_runs(const struct made_vm *vm);

/* made_vm_available - as its statistics say; UINT64_MAX: it sends none. */
uint64_t made_vm_available(const struct made_vm *vm);

/* made_vm_counts - is what it feels the rule's to answer for? */
bool made_vm_counts(const struct made_vm *vm);

#endif
