/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.h - what is done with each daemon, by chance that can be repeated. Tests only.
 */
#ifndef RINGSIDE_TESTS_CRASH_PLAN_H
#define RINGSIDE_TESTS_CRASH_PLAN_H

#include "tests/crash/crash.h"

enum kind {
	KIND_LOAD, /* killed in the middle of it */
	KIND_IDLE, /* killed while nothing is in flight */
	KIND_STOP, /* a clean stop and start, then load */
	KIND_REJOIN, /* a clean stop, and a new connection to the same daemon */
	KIND_RESET, /* the guest boots anew */
	KIND_KILL_STOPPED, /* killed while all rings are stopped */
	KINDS,
};

/* What is done with one daemon. */
struct plan {
	struct join join;
	struct mix mix;
	enum kind kind;
	unsigned threads;
	unsigned poll_us;
	bool buffered;
	bool settle; /* at first all that was in flight before is completed, and the disk read */
	int start_us; /* killed so long after its start; -1: later */
	unsigned load_us; /* killed so long after the load began */
	uint64_t load_seed;
};

/* plan_make - for kill number @kill; depends on nothing but the arguments. */
void plan_make(uint64_t seed, unsigned kill, unsigned num_queues, struct plan *plan);

/* plan_describe - for messages. */
void plan_describe(const struct plan *plan, char *out, size_t bytes);

#endif
