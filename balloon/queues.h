/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.h - which of a balloon's rings is which queue (virtio 1.3, section 5.5.2).
 * Layer L5. Pure.
 *
 * Queues whose feature was not negotiated do not exist, and the numbers of those behind them depend
 * on who counts: the specification leaves gaps, Linux closes them by what was negotiated, QEMU by
 * what was offered. What a ring is follows from its number, the features negotiated, and which other
 * rings were started; where even that leaves two meanings, it is taken for the one that discards
 * nothing, and looked at again when the next ring starts.
 */
#ifndef RINGSIDE_BALLOON_QUEUES_H
#define RINGSIDE_BALLOON_QUEUES_H

#include <stdint.h>

enum bal_role {
	BAL_INFLATE,
	BAL_DEFLATE,
	BAL_STATS,
	BAL_HINT,
	BAL_REPORTING,
	BAL_NO_ROLE, /* the negotiated features leave nothing for it */
	BAL_ROLES
};

#define BAL_MAX_QUEUES 5

const char *bal_role_name(enum bal_role role);

/* bal_role_of - of ring @index, by the negotiated @features. @started has a bit for each ring that was
 * started, its own among them. */
enum bal_role bal_role_of(unsigned index, uint64_t features, unsigned started);

#endif
