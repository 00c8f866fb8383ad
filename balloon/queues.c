/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.c - see queues.h: which queue a ring is, whoever numbered them.
 * Layer L5. Pure.
 *
 * Whoever numbers the queues counts some of the three optional ones, and no queue that was negotiated
 * is left out: the specification counts all, Linux those negotiated, QEMU those offered, and a
 * front-end that hides features something in between. So all such ways to count are tried. Those
 * that leave no queue for a ring that was started are wrong; the others nearly always agree.
 */
#include "balloon/queues.h"

#include <assert.h>
#include <linux/virtio_balloon.h>
#include <stdbool.h>

#include "vhost/base/util.h"

#define BIT(n) (1u << (n))

/* A set of optional queues has a bit for each, by its role. */
#define OPTIONAL (BIT(BAL_STATS) | BIT(BAL_HINT) | BIT(BAL_REPORTING))

static const char *const names[] = {
	[BAL_INFLATE] = "inflate", [BAL_DEFLATE] = "deflate",     [BAL_STATS] = "stats",
	[BAL_HINT] = "hint",       [BAL_REPORTING] = "reporting", [BAL_NO_ROLE] = "none",
};
static_assert(ARRAY_SIZE(names) == BAL_ROLES, "a name for every role");

const char *bal_role_name(enum bal_role role)
{
	return names[role];
}

static unsigned optional_queues(uint64_t features)
{
	unsigned set = 0;

	if (features & BIT(VIRTIO_BALLOON_F_STATS_VQ))
		set |= BIT(BAL_STATS);
	if (features & BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		set |= BIT(BAL_HINT);
	if (features & BIT(VIRTIO_BALLOON_F_REPORTING))
		set |= BIT(BAL_REPORTING);
	return set;
}

/* role_in - of ring @index, where the queues @counted have numbers, and those @used exist.
 * BAL_NO_ROLE also when one of the rings @started has none. */
static enum bal_role role_in(unsigned index, unsigned counted, unsigned used, unsigned started)
{
	enum bal_role found = BAL_NO_ROLE;
	unsigned number = BAL_DEFLATE + 1;

	started &= ~(BIT(BAL_INFLATE) | BIT(BAL_DEFLATE));
	for (unsigned role = BAL_STATS; role <= BAL_REPORTING; role++) {
		if (!(counted & BIT(role)))
			continue;
		if (used & BIT(role)) {
			started &= ~BIT(number);
			if (number == index)
				found = role;
		}
		number++;
	}
	return started ? BAL_NO_ROLE : found;
}

enum bal_role bal_role_of(unsigned index, uint64_t features, unsigned started)
{
	unsigned used = optional_queues(features);
	enum bal_role role = BAL_NO_ROLE;

	if (index <= BAL_DEFLATE)
		return (enum bal_role)index;
	for (unsigned counted = used; counted <= OPTIONAL;
	     counted = (counted + BIT(BAL_STATS)) | used) {
		enum bal_role here = role_in(index, counted, used, started);

		/* The later a queue stands, the more it discards; no role stands behind them all. */
		role = min_of(role, here);
	}
	return role;
}
