/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * governor.h - runs the policy: gathers what it wants to know, at intervals, and applies what it
 * says, or only tells (dry run). Layer L5, control thread. With --policy=manual it never wakes.
 */
#ifndef RINGSIDE_BALLOON_GOVERNOR_H
#define RINGSIDE_BALLOON_GOVERNOR_H

#include "balloon/host.h"
#include "balloon/options.h"
#include "balloon/vm.h"

struct bal_governor {
	struct loop *loop;
	struct loop_timer timer;
	enum bal_mode mode;
	struct bal_policy policy;
	unsigned interval_ms;
	struct bal_host_files files;
	struct bal_vm *vms;
	unsigned num_vms;
	struct bal_guest guests[BAL_MAX_VMS];
	struct bal_memo memos[BAL_MAX_VMS];
	struct bal_verdict verdicts[BAL_MAX_VMS]; /* of the last round */
	enum bal_reason told[BAL_MAX_VMS]; /* in the log */
	bool decided; /* there was one in this mode */
	int host_error; /* -errno of the host's files when last read; said once */
};

/* bal_governor_open - open the host's files, whatever the mode: it can be changed later; start in
 * the mode of @opt. Return: 0, or -errno of /proc/meminfo: then there is only manual. */
int bal_governor_open(struct bal_governor *gov, const struct bal_options *opt, struct bal_vm *vms,
		      struct loop *loop);

/* bal_governor_set_mode - from now on. Targets stay as they are. Return: 0, or -errno of
 * /proc/meminfo, which could not be opened. */
int bal_governor_set_mode(struct bal_governor *gov, enum bal_mode mode);

/* bal_governor_reason - why guest @i has the target it has; NULL: the policy did not say. */
const char *bal_governor_reason(const struct bal_governor *gov, unsigned i);

/* bal_governor_refuses_set - why the operator cannot set targets now, and what to type; or NULL. */
const char *bal_governor_refuses_set(const struct bal_governor *gov);

void bal_governor_close(struct bal_governor *gov);

#endif
