/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_world.h - a host with hundreds of made-up guests, second by second, under one of four
 * ways to set their balloons. Benchmarks and tests only. One thread; the same options give the
 * same result on every machine.
 */
#ifndef RINGSIDE_BENCH_BALLOON_WORLD_H
#define RINGSIDE_BENCH_BALLOON_WORLD_H

#include <stdint.h>

/* Who sets the targets. */
enum world_rule {
	WORLD_NONE, /* nobody: every guest has all its memory */
	WORLD_SHARES, /* the rule Proxmox VE describes, see balloon_rule.c */
	WORLD_POLICY, /* balloon/policy.c, as it is by default */
	WORLD_POLICY_20, /* with 20 % of the host as its goal, as the rule by shares has */
	WORLD_RULES
};

const char *world_rule_name(enum world_rule rule);

struct world_options {
	uint64_t seed;
	unsigned num_vms; /* up to WORLD_MAX_VMS */
	unsigned hours;
	unsigned overcommit_percent; /* the guests' memory, of the host's */
};

#define WORLD_MAX_VMS 256

/* How it went. Guests count that are honest, reachable and not the leak's own fault. */
struct world_result {
	uint64_t host_bytes, low_bytes; /* low as balloon/policy.c has it, for all rules */
	uint64_t least_available_bytes;
	uint64_t below_low_s, below_half_low_s, out_of_memory_s; /* of the host */
	uint64_t host_missing_bytes; /* at most: what the host had to swap */
	uint64_t available_byte_hours; /* of the host, unused */
	uint64_t pressure_s; /* guest-seconds in which programs waited for memory */
	uint64_t swapped_bytes; /* by guests, in */
	uint64_t kills; /* for want of memory, by guests */
	uint64_t changes; /* of targets */
	uint64_t turns; /* of those, the other way within five minutes */
};

/* Each simulated minute. */
struct world_minute {
	enum world_rule rule;
	unsigned minute;
	uint64_t host_bytes, available_bytes;
	unsigned pressed; /* guest-seconds under pressure in it */
	uint64_t demand_bytes; /* what programs use, all guests */
	uint64_t targets_bytes; /* all guests */
};

/* world_run - @each may be NULL. */
void world_run(const struct world_options *opt, enum world_rule rule, struct world_result *result,
	       void (*each)(void *ctx, const struct world_minute *minute), void *ctx);

/* A guest, as rules may see it. */
struct world_view {
	uint64_t memory_bytes, min_bytes;
	unsigned shares;
	uint64_t target_bytes, actual_bytes;
	uint64_t available_bytes; /* UINT64_MAX: it does not tell */
};

/* world_share_rule - one round of it: sets the targets of @views. */
void world_share_rule(struct world_view *views, unsigned num, uint64_t host_bytes,
		      uint64_t available_bytes);

#endif
