/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the command line of ringside-balloon. Layer L5, start-up.
 */
#ifndef RINGSIDE_BALLOON_OPTIONS_H
#define RINGSIDE_BALLOON_OPTIONS_H

#include "balloon/policy.h"
#include "vhost/daemon/daemon.h"

#define BAL_MAX_VMS         256
#define BAL_MAX_NAME_BYTES  31
#define BAL_MAX_STATS_S     3600
#define BAL_DEFAULT_STATS_S 10
#define BAL_ALL_MEMORY      UINT64_MAX /* of a target or a maximum: whatever the guest has */

/* One guest. Sizes are of the memory it keeps, not of its balloon. */
struct bal_vm_options {
	char name[BAL_MAX_NAME_BYTES + 1]; /* of --vm; "balloon0" where there is only one */
	struct daemon_socket socket;
	uint64_t target_bytes; /* BAL_ALL_MEMORY: an empty balloon */
	bool has_target; /* it was given; else what the guest has already when it connects is kept */
	uint64_t min_bytes; /* it is never asked for less; 0: no floor but BAL_LEAST_BYTES */
	uint64_t max_bytes; /* it is never given more */
	unsigned shares; /* 1 to 10000, 1000 by default */
	unsigned stats_interval_s; /* 0: the guest is not asked for statistics */
	bool deflate_on_oom;
	bool reporting;
	bool hinting;
	const char *state_file; /* NULL: none */
	char *text; /* of --vm, cut up: what is pointed to above lies in it */
};

struct bal_options {
	struct daemon_options daemon;
	struct bal_vm_options vms[BAL_MAX_VMS];
	unsigned num_vms;
	enum bal_mode mode; /* manual, auto, dry-run */
	struct bal_policy policy;
	unsigned interval_ms; /* between two rounds of the policy */
};

/*
 * bal_options_parse - take the command line apart; keeps pointers into @argv.
 * --help, --version and --print-capabilities are answered here and end the program; so does a
 * mistake, with one line on stderr (exit 1 for a value, 2 for usage).
 */
void bal_options_parse(struct bal_options *opt, int argc, char **argv);

#endif
