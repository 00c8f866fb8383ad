/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.c - see plan.h. Tests only.
 */
#include "tests/crash/plan.h"

#include <assert.h>
#include <stdio.h>

#define MAX_LOAD_US  30000
#define MAX_START_US 20000

static const char *const kind_names[] = {
	[KIND_LOAD] = "load",     [KIND_IDLE] = "idle",   [KIND_STOP] = "stop",
	[KIND_REJOIN] = "rejoin", [KIND_RESET] = "reset", [KIND_KILL_STOPPED] = "kill stopped",
};
static_assert(ARRAY_SIZE(kind_names) == KINDS, "a name for each kind");

/* splitmix64, by Sebastiano Vigna, in the public domain. */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rng_below(struct rng *rng, uint32_t limit)
{
	return (uint32_t)((rng_next(rng) >> 32) * limit >> 32);
}

bool rng_percent(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

static enum kind plan_kind(struct rng *rng)
{
	uint32_t at = rng_below(rng, 100);

	if (at < 60)
		return KIND_LOAD;
	return at < 70 ? KIND_IDLE : KIND_STOP + at % (KINDS - KIND_STOP);
}

static void plan_mix(struct rng *rng, struct mix *mix)
{
	mix->depth =
		rng_percent(rng, 50) ? 1 + rng_below(rng, 8) : 1 + rng_below(rng, SLOTS_PER_QUEUE);
	mix->hot_sectors = 8u << rng_below(rng, 7);
	mix->hot_sector = rng_below(rng, DISK_SECTORS - mix->hot_sectors + 1);
	mix->changes_percent = 40 + rng_below(rng, 60);
	mix->overlap_percent = rng_percent(rng, 50) ? 0 : rng_below(rng, 40);
	mix->direct_percent = rng_below(rng, 101);
	mix->interrupts = rng_percent(rng, 50);
}

void plan_make(uint64_t seed, unsigned kill, unsigned num_queues, struct plan *plan)
{
	struct rng rng = {seed ^ (kill + 1ull) * 0xd6e8feb86659fd93ull};

	*plan = (struct plan){
		.kind = plan_kind(&rng),
		.threads = 1 + rng_below(&rng, 2),
		.poll_us = rng_percent(&rng, 50) ? 50 : 0,
		.buffered = rng_percent(&rng, 20),
		.settle = rng_percent(&rng, 60),
		.start_us = rng_percent(&rng, 12) ? (int)rng_below(&rng, MAX_START_US) : -1,
		.load_us = rng_below(&rng, MAX_LOAD_US),
		.load_seed = rng_next(&rng),
	};
	plan->join = (struct join){
		.kill_at = rng_percent(&rng, 12) ? rng_below(&rng, STEP_RING + num_queues)
						 : STEP_NEVER,
		.load_meanwhile = rng_percent(&rng, 50),
		.slots = rng_percent(&rng, 50),
		.reply_ack = rng_percent(&rng, 70),
		.stale = (unsigned)(rng_next(&rng) >> 40),
	};
	plan_mix(&rng, &plan->mix);
}

void plan_describe(const struct plan *plan, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s%s, %u threads, depth %u, %u us of load, start %d us, step %u%s%s",
		 kind_names[plan->kind], plan->settle ? " after settling" : "", plan->threads,
		 plan->mix.depth, plan->load_us, plan->start_us, plan->join.kill_at,
		 plan->join.load_meanwhile ? ", load meanwhile" : "",
		 plan->buffered ? ", buffered" : "");
}
