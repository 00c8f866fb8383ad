/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h - how much memory each guest should have, decided from what host and guests say.
 * Layer L5. Pure: no clock, no file, no guest is touched; governor.c gathers and applies.
 *
 * Entitlement. The memory the guests can have together is divided by shares, between each guest's
 * floor and its maximum; none is entitled to more than it needs (what it uses and some air) while
 * another lacks. So a guest that claims too much gets its share, at most, of what others need, and
 * all that nobody needs. What guests need may take the host down to three quarters of @low; what
 * they do not need leaves it in the middle between @low and @high.
 *
 * A round looks at the host. Below @low it takes from guests above their entitlement, in
 * proportion, as much as is missing up to the middle; above @high it gives back what is too much;
 * in between nothing moves (hysteresis). What earlier targets will still bring or cost is counted.
 * No guest moves faster than @rate. A guest under pressure of its own is raised to its entitlement
 * at once, as far as the host stays above those three quarters, and is taken for needing all it
 * has for a while, longer each time.
 *
 * What cannot be had. A guest that does not follow its target, or whose statistics are old, keeps
 * what it has: no balloon takes memory from a guest against its will. Its maximum, and the others'
 * floors, are what the operator has against it.
 */
#ifndef RINGSIDE_BALLOON_POLICY_H
#define RINGSIDE_BALLOON_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define BAL_LEAST_BYTES         (64ull << 20) /* no policy asks a guest to live on less */
#define BAL_DEFAULT_INTERVAL_MS 2000 /* between two rounds: as often as the kernel renews PSI */

enum bal_mode { BAL_MANUAL, BAL_AUTO, BAL_DRY_RUN, BAL_MODES };

/* The knobs; bal_policy_default() has the manual page's values. */
struct bal_policy {
	uint32_t low_permille; /* of the host's memory available: below it, reclaim */
	uint32_t high_permille; /* above it, give back; > low */
	uint32_t host_pressure_permille; /* PSI "some" avg10 of memory: above it, reclaim too */
	uint64_t rate_bytes_per_s; /* a guest's target moves no faster, but for a retreat */
	uint32_t guest_low_permille; /* less of its memory available: the guest is under pressure */
	uint32_t guest_swap_bytes_per_s; /* or one that swaps in faster */
	uint32_t guest_faults_per_s; /* or has more major faults */
	uint64_t stale_stats_ms; /* older statistics count as none */
	uint64_t respond_ms; /* a target not approached for so long: the guest does not respond */
	uint64_t rest_ms; /* after a retreat; doubled, to 16 times, with each that follows soon */
};

/* The host, now. */
struct bal_host {
	uint64_t total_bytes;
	uint64_t available_bytes; /* MemAvailable */
	uint32_t pressure_permille; /* PSI; 0 where the kernel has none */
};

/* A guest, now. What it did not say is UINT64_MAX. */
struct bal_guest {
	bool connected; /* its driver is there and has a balloon */
	bool inhibited; /* no discards: taking memory from it would gain nothing */
	uint64_t memory_bytes; /* all it could have */
	uint64_t min_bytes, max_bytes; /* BAL_LEAST_BYTES <= min <= max <= memory, if it can be */
	unsigned shares;
	uint64_t target_bytes; /* as last set */
	uint64_t actual_bytes; /* as it follows */
	uint64_t stats_ns; /* when it said what follows, on the clock of the rounds; 0: never */
	uint64_t available_bytes; /* tag AVAIL, or FREE where there is none */
	uint64_t swap_in_bytes; /* running totals, as the guest counts: */
	uint64_t major_faults;
	uint64_t oom_kills;
};

/* A guest's part in something that is divided; see policy.c. */
struct bal_part {
	uint64_t weight;
	uint64_t least, most;
	uint64_t got;
};

/* What the policy remembers of a guest between rounds. Zero at first; the caller keeps it. */
struct bal_memo {
	uint64_t last_ns; /* of the last round; 0: none, or the guest was absent */
	uint64_t stats_ns; /* the statistics seen last, and what they said: */
	uint64_t swap_in_bytes, major_faults, oom_kills;
	uint64_t need_bytes; /* what the guest uses and some air */
	uint64_t had_bytes; /* actual in the round before */
	uint64_t nearest_bytes, moved_ns; /* actual when it last came nearer to its target */
	bool stuck; /* it does not follow */
	uint64_t rest_until_ns;
	uint32_t retreats; /* in a row; or, of a stuck guest, the times it was asked in vain */
	/* Of this round only: */
	uint64_t target_bytes, floor_bytes, ceiling_bytes, entitled_bytes;
	uint64_t step_bytes; /* it moves by no more */
	bool blind, pressed;
	struct bal_part part;
};

/* Why a target is what it is; named in the log, by balloon.get and by a dry run. */
enum bal_reason {
	BAL_KEEP, /* the host has neither too little nor too much */
	BAL_RECLAIM, /* the host is short */
	BAL_RETURN, /* the host has plenty */
	BAL_RETREAT, /* the guest is under pressure */
	BAL_REST, /* it was, lately */
	BAL_UNRESPONSIVE, /* it does not follow */
	BAL_BLIND, /* no fresh statistics: it is not squeezed further */
	BAL_BOUND, /* at its floor or its maximum, or the host has nothing to give */
	BAL_ABSENT, /* no driver, or inhibited */
	BAL_REASONS
};

const char *bal_reason_name(enum bal_reason reason);
const char *bal_mode_name(enum bal_mode mode);

struct bal_verdict {
	uint64_t target_bytes;
	enum bal_reason reason;
};

/* bal_policy_default - what the manual page says. */
struct bal_policy bal_policy_default(void);

/*
 * bal_policy_round - one round at @now_ns (monotonic) over @num guests: fills @verdicts and brings
 * @memos up to date. The same input gives the same output. O(num) for a fixed number of passes.
 */
void bal_policy_round(const struct bal_policy *policy, uint64_t now_ns, const struct bal_host *host,
		      const struct bal_guest *guests, struct bal_memo *memos, unsigned num,
		      struct bal_verdict *verdicts);

#endif
