/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_rule.c - the rule Proxmox VE describes for automatic memory allocation, to compare with:
 * every 10 s towards 80 % of the host in use. Up: guests that are short of memory first, else all.
 * Down: guests with enough available first, else all. What they have above their floors is divided
 * by shares; none moves by more than 100 MiB. Memory available counts, rather than what is free as
 * in the original: that is kinder to guests with a cache.
 * Benchmarks only. One thread.
 */
#include <stdbool.h>

#include "bench/balloon_world.h"

#define MIB            (1ll << 20)
#define MOST_CHANGE    (100 * MIB)
#define LEAST_GOAL     (10 * MIB)
#define TARGET_PERCENT 80
#define MAX_PASSES     16

static bool has_enough(const struct world_view *view)
{
	return view->available_bytes != UINT64_MAX && view->available_bytes > view->min_bytes / 4 &&
	       view->actual_bytes >= view->min_bytes;
}

static int64_t between(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* Bring the chosen guests' targets @goal bytes up or down, all in all. Return: what is left. */
static int64_t change(struct world_view *views, const uint64_t *before, const bool *chosen,
		      unsigned num, int64_t goal)
{
	int64_t rest = goal;

	for (unsigned pass = 0; pass < MAX_PASSES && rest; pass++) {
		int64_t above = rest, moved = 0;
		uint64_t shares = 0;

		for (unsigned i = 0; i < num; i++) {
			if (!chosen[i])
				continue;
			above += (int64_t)(views[i].target_bytes - views[i].min_bytes);
			shares += views[i].shares;
		}
		for (unsigned i = 0; i < num; i++) {
			int64_t now = (int64_t)views[i].target_bytes;
			int64_t start = (int64_t)before[i];
			int64_t want;

			if (!chosen[i])
				continue;
			want = (int64_t)views[i].min_bytes +
			       above / (int64_t)shares * (int64_t)views[i].shares;
			want = between(want, (int64_t)views[i].min_bytes,
				       (int64_t)views[i].memory_bytes);
			want = goal > 0 ? between(want, start, start + MOST_CHANGE)
					: between(want, start - MOST_CHANGE, start);
			moved += want - now;
			views[i].target_bytes = (uint64_t)want;
		}
		if (!moved)
			break;
		rest -= moved;
	}
	return rest;
}

void world_share_rule(struct world_view *views, unsigned num, uint64_t host_bytes,
		      uint64_t available_bytes)
{
	int64_t goal = (int64_t)(host_bytes / 100 * TARGET_PERCENT) -
		       (int64_t)(host_bytes - available_bytes);
	uint64_t before[WORLD_MAX_VMS];
	bool first[WORLD_MAX_VMS], all[WORLD_MAX_VMS];

	if (goal <= LEAST_GOAL && goal >= -LEAST_GOAL)
		return;
	for (unsigned i = 0; i < num; i++) {
		before[i] = views[i].target_bytes;
		first[i] = has_enough(&views[i]) == (goal < 0);
		all[i] = true;
	}
	if (change(views, before, first, num, goal) == goal)
		change(views, before, all, num, goal);
}
