/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.h - what a balloon knows beside its rings, for a migration (DEVICE_STATE) and for the next
 * process (--state-file): target, actual, poison, and the statistics last heard. The driver's
 * statistics buffer needs no place here: it is put back when its ring stops, so the ring's base tells.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_BALLOON_STATE_H
#define RINGSIDE_BALLOON_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "balloon/stats.h"

#define BAL_STATE_BYTES 176 /* of version 1 */

struct bal_state {
	uint64_t target_bytes;
	uint32_t actual_pages;
	uint32_t poison_val;
	struct bal_stats stats; /* its age goes along, not its moment */
};

/* bal_state_encode - Return: bytes written to @out (BAL_STATE_BYTES), or -ENOBUFS. */
ssize_t bal_state_encode(const struct bal_state *state, uint64_t now_ns, uint8_t *out, size_t max);

/* bal_state_decode - whole or not at all; of @data nothing is known to be true.
 * Return: 0, -EBADMSG. */
int bal_state_decode(struct bal_state *state, uint64_t now_ns, const uint8_t *data, size_t bytes);

/* bal_state_open - the file of --state-file: made if it is not there, locked, so that two daemons
 * do not share one. Return: an fd, -EAGAIN (somebody has it), -EINVAL (no plain file), -errno. Start-up. */
int bal_state_open(const char *path);

/* bal_state_store - write it, in place, with one pwrite(2): a kill leaves the old or the new.
 * Return: 0, -errno. */
int bal_state_store(int fd, const struct bal_state *state, uint64_t now_ns);

/* bal_state_load - Return: 0, -ENODATA (empty: new), -EBADMSG (not ours), -errno. */
int bal_state_load(int fd, struct bal_state *state, uint64_t now_ns);

#endif
