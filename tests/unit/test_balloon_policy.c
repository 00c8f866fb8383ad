/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_policy.c - what the balloon policy asks of guests, one rule at a time; what holds
 * whatever host and guests say is in test_balloon_policy_any.c. Tests balloon/policy.
 */
#include "balloon/policy.h"
#include "tests/unit/support.h"
#include "vhost/base/util.h"

#define MIB   (1ull << 20)
#define GIB   (1ull << 30)
#define MS    1000000ull
#define S     1000000000ull
#define N     3
#define START (100 * S)

/* A host of 10 GiB that shall have 1 to 2 GiB available; three guests of 4 GiB, all theirs, half of
 * it in use; rounds each second, with statistics of the moment. */
static struct bal_policy policy;
static struct bal_host host;
static struct bal_guest guests[N];
static struct bal_memo memos[N];
static struct bal_verdict verdicts[N];
static uint64_t now_ns;

static void decide(void)
{
	now_ns += S;
	for (unsigned i = 0; i < N; i++) {
		if (guests[i].stats_ns)
			guests[i].stats_ns = now_ns;
	}
	bal_policy_round(&policy, now_ns, &host, guests, memos, N, verdicts);
	for (unsigned i = 0; i < N; i++)
		guests[i].target_bytes = verdicts[i].target_bytes;
}

/* What the balloons bring, the host has. */
static void follow(unsigned i)
{
	host.available_bytes += guests[i].actual_bytes - guests[i].target_bytes;
	guests[i].available_bytes -= guests[i].actual_bytes - guests[i].target_bytes;
	guests[i].actual_bytes = guests[i].target_bytes;
}

static void decide_and_follow(void)
{
	decide();
	for (unsigned i = 0; i < N; i++)
		follow(i);
}

/* What the three targets are below @then, together. */
static uint64_t asked(const struct bal_guest *then)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < N; i++)
		bytes += then[i].target_bytes - guests[i].target_bytes;
	return bytes;
}

static void setup(void)
{
	policy = bal_policy_default();
	policy.low_permille = 100;
	policy.high_permille = 200;
	policy.rate_bytes_per_s = GIB;
	host = (struct bal_host){.total_bytes = 10 * GIB, .available_bytes = 3 * GIB / 2};
	memset(memos, 0, sizeof(memos));
	for (unsigned i = 0; i < N; i++) {
		guests[i] = (struct bal_guest){
			.connected = true,
			.memory_bytes = 4 * GIB,
			.min_bytes = 512 * MIB,
			.max_bytes = UINT64_MAX,
			.shares = 1000,
			.target_bytes = 4 * GIB,
			.actual_bytes = 4 * GIB,
			.stats_ns = START,
			.available_bytes = 2 * GIB,
			.swap_in_bytes = 1000,
			.major_faults = 1000,
			.oom_kills = 0,
		};
	}
	now_ns = START;
	decide();
}

START_TEST(the_defaults_are_in_order)
{
	struct bal_policy defaults = bal_policy_default();

	ck_assert_uint_gt(defaults.low_permille, 0);
	ck_assert_uint_gt(defaults.high_permille, defaults.low_permille);
	ck_assert_uint_lt(defaults.high_permille, 1000);
	ck_assert_uint_gt(defaults.rate_bytes_per_s, 0);
}
END_TEST

START_TEST(every_reason_and_mode_has_a_name)
{
	for (unsigned i = 0; i < BAL_REASONS; i++)
		ck_assert_uint_gt(strlen(bal_reason_name(i)), 0);
	for (unsigned i = 0; i < BAL_MODES; i++)
		ck_assert_uint_gt(strlen(bal_mode_name(i)), 0);
}
END_TEST

START_TEST(between_low_and_high_nothing_moves)
{
	static const uint64_t available[] = {GIB, 3 * GIB / 2, 2 * GIB};

	for (unsigned i = 0; i < ARRAY_SIZE(available); i++) {
		host.available_bytes = available[i];
		decide();
		for (unsigned j = 0; j < N; j++) {
			ck_assert_uint_eq(guests[j].target_bytes, 4 * GIB);
			ck_assert_int_eq(verdicts[j].reason, BAL_KEEP);
		}
	}
}
END_TEST

START_TEST(a_short_host_takes_what_is_missing_up_to_the_middle)
{
	struct bal_guest then[N];

	memcpy(then, guests, sizeof(then));
	host.available_bytes = GIB - 1;
	decide();
	ck_assert_uint_le(asked(then), GIB / 2 + 1);
	ck_assert_uint_ge(asked(then), GIB / 2 - N * 4096);
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(verdicts[i].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(what_earlier_targets_will_bring_is_not_asked_for_again)
{
	struct bal_guest then[N];

	host.available_bytes = GIB - 1;
	decide();
	memcpy(then, guests, sizeof(then));
	decide();
	ck_assert_uint_le(asked(then), 3 * 4096);
}
END_TEST

START_TEST(alike_guests_give_alike)
{
	host.available_bytes = GIB / 2;
	decide();
	ck_assert_uint_eq(guests[0].target_bytes, guests[1].target_bytes);
	ck_assert_uint_eq(guests[0].target_bytes, guests[2].target_bytes);
}
END_TEST

START_TEST(a_guest_with_fewer_shares_gives_more)
{
	guests[0].shares = 500;
	host.available_bytes = GIB / 2;
	decide();
	ck_assert_uint_lt(guests[0].target_bytes, guests[1].target_bytes);
}
END_TEST

START_TEST(an_idle_guest_gives_before_a_busy_one)
{
	guests[0].available_bytes = 3 * GIB;
	guests[1].available_bytes = guests[2].available_bytes = GIB / 2;
	host.available_bytes = GIB / 2;
	decide();
	ck_assert_uint_lt(guests[0].target_bytes, 4 * GIB);
	ck_assert_uint_gt(guests[1].target_bytes, guests[0].target_bytes + 512 * MIB);
}
END_TEST

START_TEST(what_guests_need_is_left_to_them_while_the_host_has_three_quarters_of_low)
{
	for (unsigned i = 0; i < N; i++)
		guests[i].available_bytes = 320 * MIB; /* above guest_low, and no air to spare */
	host.available_bytes = 800 * MIB;
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(guests[i].target_bytes, 4 * GIB);
	host.available_bytes = 600 * MIB;
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_lt(guests[i].target_bytes, 4 * GIB);
}
END_TEST

START_TEST(no_guest_is_asked_below_its_floor)
{
	guests[0].min_bytes = 3 * GIB;
	guests[1].min_bytes = 0;
	host.available_bytes = 0;
	for (unsigned i = 0; i < 100; i++)
		decide();
	ck_assert_uint_ge(guests[0].target_bytes, 3 * GIB);
	ck_assert_uint_ge(guests[1].target_bytes, BAL_LEAST_BYTES);
	ck_assert_uint_ge(guests[2].target_bytes, 512 * MIB);
}
END_TEST

START_TEST(at_its_floor_a_guest_is_bound)
{
	guests[0].min_bytes = guests[0].target_bytes;
	host.available_bytes = GIB / 2;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_BOUND);
}
END_TEST

START_TEST(a_maximum_below_the_target_is_kept_at_once)
{
	guests[0].max_bytes = GIB;
	decide();
	ck_assert_uint_eq(guests[0].target_bytes, GIB);
}
END_TEST

START_TEST(no_guest_moves_faster_than_the_rate)
{
	policy.rate_bytes_per_s = 10 * MIB;
	host.available_bytes = 0;
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(guests[i].target_bytes, 4 * GIB - 10 * MIB);
	now_ns += 2 * S; /* a round of three seconds */
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(guests[i].target_bytes, 4 * GIB - 40 * MIB);
}
END_TEST

START_TEST(after_a_long_pause_a_guest_moves_no_further_than_in_a_minute)
{
	policy.rate_bytes_per_s = MIB;
	host.available_bytes = 0;
	now_ns += 3600 * S;
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(guests[i].target_bytes, 4 * GIB - 60 * MIB);
}
END_TEST

START_TEST(in_its_first_round_a_guest_only_is_looked_at)
{
	memset(&memos[1], 0, sizeof(memos[1]));
	host.available_bytes = 0;
	decide();
	ck_assert_uint_lt(guests[0].target_bytes, 4 * GIB);
	ck_assert_uint_eq(guests[1].target_bytes, 4 * GIB);
}
END_TEST

/* All guests 1 GiB below their maximum, and there since the round before. */
static void squeeze(void)
{
	for (unsigned i = 0; i < N; i++) {
		guests[i].target_bytes = guests[i].actual_bytes = 3 * GIB;
		memos[i].had_bytes = 3 * GIB;
		guests[i].available_bytes = GIB;
	}
}

START_TEST(plenty_is_given_back_down_to_the_middle)
{
	struct bal_guest then[N];

	squeeze();
	memcpy(then, guests, sizeof(then));
	host.available_bytes = 2 * GIB + 4096;
	decide();
	ck_assert_uint_le(-asked(then), GIB / 2 + 4096);
	ck_assert_uint_ge(-asked(then), GIB / 2 - N * 4096);
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(verdicts[i].reason, BAL_RETURN);
}
END_TEST

START_TEST(what_guests_have_not_taken_yet_is_not_given_twice)
{
	struct bal_guest then[N];

	squeeze();
	host.available_bytes = 2 * GIB + 4096;
	decide();
	memcpy(then, guests, sizeof(then));
	decide();
	ck_assert_uint_eq(asked(then), 0);
}
END_TEST

START_TEST(the_guest_furthest_below_its_entitlement_gets_most_back)
{
	squeeze();
	guests[0].target_bytes = guests[0].actual_bytes = 2 * GIB;
	host.available_bytes = 2 * GIB + 4096;
	decide();
	ck_assert_uint_gt(guests[0].target_bytes - 2 * GIB, guests[1].target_bytes - 3 * GIB);
}
END_TEST

START_TEST(giving_back_keeps_the_rate_and_the_maximum)
{
	squeeze();
	policy.rate_bytes_per_s = 10 * MIB;
	guests[0].max_bytes = 3 * GIB + 3 * MIB;
	host.available_bytes = 9 * GIB;
	decide();
	ck_assert_uint_eq(guests[0].target_bytes, 3 * GIB + 3 * MIB);
	ck_assert_uint_eq(guests[1].target_bytes, 3 * GIB + 10 * MIB);
}
END_TEST

START_TEST(pressure_on_the_host_takes_up_to_high_and_no_further)
{
	struct bal_guest then[N];

	memcpy(then, guests, sizeof(then));
	host.pressure_permille = policy.host_pressure_permille + 1;
	decide();
	ck_assert_uint_le(asked(then), GIB / 2);
	ck_assert_uint_ge(asked(then), GIB / 2 - N * 4096);
	for (unsigned i = 0; i < N; i++)
		follow(i);
	memcpy(then, guests, sizeof(then));
	host.available_bytes = 3 * GIB;
	decide();
	ck_assert_uint_eq(asked(then), 0);
}
END_TEST

/* Guest 0, squeezed, now lacks memory; the others are idle. */
static void press(void)
{
	guests[0].available_bytes = guests[0].actual_bytes / 100;
}

START_TEST(a_guest_short_of_memory_gets_some_at_once)
{
	squeeze();
	press();
	policy.rate_bytes_per_s = 1;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
	ck_assert_uint_ge(guests[0].target_bytes, 3 * GIB + 3 * GIB / 8);
	ck_assert_uint_eq(guests[1].target_bytes, 3 * GIB);
}
END_TEST

/* rises - guest 0's total grows by what is permitted, a second and then two at once, and then by more. */
static void rises(uint64_t *total, uint64_t permitted)
{
	squeeze();
	decide();
	*total += permitted;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_KEEP);
	*total += 2 * permitted;
	now_ns += S;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_KEEP);
	*total += permitted + 1;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
}

START_TEST(a_guest_that_swaps_in_gets_memory)
{
	rises(&guests[0].swap_in_bytes, policy.guest_swap_bytes_per_s);
}
END_TEST

START_TEST(a_guest_with_many_major_faults_gets_memory)
{
	rises(&guests[0].major_faults, policy.guest_faults_per_s);
}
END_TEST

START_TEST(a_guest_that_killed_for_memory_gets_some)
{
	squeeze();
	decide();
	guests[0].oom_kills++;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
}
END_TEST

START_TEST(totals_that_start_anew_or_were_never_told_are_no_pressure)
{
	squeeze();
	decide();
	guests[0].swap_in_bytes = guests[0].major_faults = 0;
	guests[1].swap_in_bytes = guests[1].major_faults = guests[1].oom_kills = UINT64_MAX;
	decide();
	guests[1].swap_in_bytes = guests[1].major_faults = guests[1].oom_kills = 1ull << 60;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_KEEP);
	ck_assert_int_eq(verdicts[1].reason, BAL_KEEP);
}
END_TEST

START_TEST(the_same_statistics_are_pressure_once)
{
	uint64_t target;

	squeeze();
	press();
	decide();
	target = guests[0].target_bytes;
	guests[0].stats_ns = 0; /* none new */
	now_ns += S;
	decide();
	ck_assert_uint_eq(guests[0].target_bytes, target);
	ck_assert_int_eq(verdicts[0].reason, BAL_REST);
}
END_TEST

START_TEST(after_a_retreat_the_others_are_asked_first)
{
	squeeze();
	press();
	decide_and_follow();
	guests[0].available_bytes = 2 * GIB; /* all is well again */
	host.available_bytes = GIB - 1;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_REST);
	ck_assert_int_eq(verdicts[1].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(a_guest_that_retreats_again_and_again_rests_longer)
{
	uint64_t rest_ns = policy.rest_ms * MS, before = 0;

	for (unsigned i = 0; i < 7; i++) {
		squeeze();
		press();
		decide();
		ck_assert_uint_ge(memos[0].rest_until_ns - now_ns, before);
		ck_assert_uint_eq(memos[0].rest_until_ns - now_ns, rest_ns << (i < 4 ? i : 4));
		before = memos[0].rest_until_ns - now_ns;
		now_ns = memos[0].rest_until_ns;
	}
	now_ns += 100 * rest_ns; /* long ago: it counts no more */
	squeeze();
	press();
	decide();
	ck_assert_uint_eq(memos[0].rest_until_ns - now_ns, rest_ns);
}
END_TEST

START_TEST(a_retreat_leaves_the_host_three_quarters_of_low)
{
	for (unsigned i = 0; i < N; i++) {
		guests[i].target_bytes = guests[i].actual_bytes = 2 * GIB;
		guests[i].available_bytes = MIB;
	}
	host.available_bytes = (768 + 188) * MIB;
	decide();
	ck_assert_uint_le(guests[0].target_bytes + guests[1].target_bytes + guests[2].target_bytes,
			  6 * GIB + 188 * MIB);
	decide(); /* and not again while it is under way */
	ck_assert_uint_le(guests[0].target_bytes + guests[1].target_bytes + guests[2].target_bytes,
			  6 * GIB + 188 * MIB);
}
END_TEST

START_TEST(a_liar_gets_no_more_than_its_share_of_what_others_need)
{
	/* Three times 4 GiB cannot be had; the others need 3 GiB each, guest 0 claims everything. */
	for (unsigned i = 0; i < N; i++) {
		guests[i].target_bytes = guests[i].actual_bytes = 3 * GIB;
		guests[i].available_bytes = 330 * MIB;
	}
	host.available_bytes = 856 * MIB;
	for (unsigned i = 0; i < 1000; i++) {
		guests[0].available_bytes = 0;
		guests[0].swap_in_bytes += GIB;
		decide_and_follow();
		ck_assert_uint_ge(host.available_bytes, 768 * MIB);
	}
	ck_assert_uint_le(guests[0].target_bytes, 3 * GIB + 150 * MIB);
	ck_assert_uint_ge(guests[1].available_bytes, 300 * MIB);
}
END_TEST

START_TEST(a_guest_that_does_not_follow_is_not_asked_for_more)
{
	host.available_bytes = 0;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RECLAIM);
	follow(1);
	follow(2);
	host.available_bytes -= MIB;
	now_ns += policy.respond_ms * MS;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	ck_assert_uint_eq(guests[0].target_bytes, 4 * GIB);
	ck_assert_int_eq(verdicts[1].reason, BAL_RECLAIM); /* what it did not bring, they do */
}
END_TEST

START_TEST(a_guest_that_does_not_follow_is_asked_again_after_a_rest)
{
	host.available_bytes = GIB - 1;
	decide();
	now_ns += policy.respond_ms * MS;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	now_ns += policy.rest_ms * MS;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(a_guest_that_moves_again_is_asked_again)
{
	host.available_bytes = GIB - 1;
	decide();
	now_ns += policy.respond_ms * MS;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	guests[0].actual_bytes -= 10 * MIB;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(a_trickle_is_no_following)
{
	host.available_bytes = GIB - 1;
	decide();
	for (unsigned i = 0; i < 12; i++) {
		guests[0].actual_bytes -= 4096;
		decide();
	}
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	ck_assert_uint_gt(guests[0].target_bytes, 4 * GIB - MIB);
}
END_TEST

START_TEST(a_slow_guest_that_follows_is_given_time)
{
	host.available_bytes = GIB - 1;
	decide();
	for (unsigned i = 0; i < 40; i++) {
		guests[0].actual_bytes -= (guests[0].actual_bytes - guests[0].target_bytes) / 16;
		decide();
		ck_assert_int_ne(verdicts[0].reason, BAL_UNRESPONSIVE);
	}
}
END_TEST

START_TEST(what_a_retreat_gets_is_not_given_to_others_as_well)
{
	struct bal_guest then[N];

	squeeze();
	press();
	memcpy(then, guests, sizeof(then));
	host.available_bytes = 2 * GIB + 4096;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
	ck_assert_uint_le(-asked(then), GIB / 2 + 4096);
}
END_TEST

START_TEST(what_a_retreat_gets_is_asked_of_the_others_at_once)
{
	struct bal_guest then[N];

	squeeze();
	press();
	memcpy(then, guests, sizeof(then));
	host.available_bytes = GIB - 1;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
	ck_assert_uint_ge(asked(then), GIB / 2 - N * 4096);
}
END_TEST

START_TEST(what_is_left_of_the_host_is_for_those_under_pressure)
{
	squeeze();
	press();
	guests[1].available_bytes = 3 * GIB / 100 * 6; /* it could do with some, too */
	guests[2].available_bytes = 2 * GIB;
	host.available_bytes = (768 + 188) * MIB;
	decide();
	ck_assert_uint_ge(guests[0].target_bytes, 3 * GIB + 188 * MIB - 4096);
}
END_TEST

START_TEST(a_guest_is_not_moved_for_a_trifle)
{
	host.available_bytes = 800 * MIB;
	for (unsigned i = 0; i < N; i++)
		guests[i].available_bytes = 4 * GIB / 10 + 10 * MIB; /* 10 MiB more than it needs */
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(guests[i].target_bytes, 4 * GIB);
	for (unsigned i = 0; i < N; i++)
		guests[i].available_bytes += 30 * MIB;
	decide();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_lt(guests[i].target_bytes, 4 * GIB);
}
END_TEST

START_TEST(a_guest_that_is_sent_the_other_way_has_its_time)
{
	squeeze();
	host.available_bytes = GIB - 1;
	decide();
	now_ns += policy.respond_ms * MS - 2 * S;
	press();
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
	now_ns += 2 * S;
	guests[0].available_bytes = GIB;
	decide();
	ck_assert_int_ne(verdicts[0].reason, BAL_UNRESPONSIVE);
}
END_TEST

START_TEST(a_guest_that_could_not_follow_gets_memory)
{
	squeeze();
	host.available_bytes = GIB - 1;
	decide();
	now_ns += policy.respond_ms * MS;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_UNRESPONSIVE);
	press();
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETREAT);
	ck_assert_uint_gt(guests[0].target_bytes, guests[0].actual_bytes);
}
END_TEST

/* It has more than its share of what all lack, and can give none of it. */
START_TEST(a_guest_that_cannot_follow_and_lacks_memory_is_not_asked_again_and_again)
{
	unsigned asked = 0;

	host.available_bytes = 0;
	for (unsigned i = 0; i < 3 * policy.respond_ms / 1000; i++) {
		guests[0].available_bytes = 0;
		decide();
		follow(1);
		follow(2);
		host.available_bytes = 0;
		asked += verdicts[0].reason == BAL_RECLAIM;
	}
	ck_assert_uint_le(asked, policy.respond_ms / 1000);
	ck_assert_uint_eq(guests[0].target_bytes, guests[0].actual_bytes);
}
END_TEST

/* They are asked for at each round, and answered before its balloon has moved. */
START_TEST(statistics_of_the_round_before_make_no_guest_look_emptier)
{
	uint64_t used = GIB;

	policy.rate_bytes_per_s = 256 * MIB;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t available = guests[0].actual_bytes - used;

		host.available_bytes = GIB - 1; /* somebody else has what comes */
		decide();
		for (unsigned j = 0; j < N; j++) {
			guests[j].available_bytes = available;
			guests[j].actual_bytes = guests[j].target_bytes;
		}
		ck_assert_uint_gt(guests[0].target_bytes, used + used / 20);
	}
	ck_assert_uint_lt(guests[0].target_bytes, used + used / 5);
}
END_TEST

START_TEST(a_guest_without_fresh_statistics_is_not_squeezed)
{
	guests[0].stats_ns = 0;
	now_ns += policy.stale_stats_ms * MS;
	host.available_bytes = 0;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_BLIND);
	ck_assert_uint_eq(guests[0].target_bytes, 4 * GIB);
	ck_assert_int_eq(verdicts[1].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(a_guest_that_does_not_tell_what_is_available_is_not_squeezed)
{
	memset(memos, 0, sizeof(memos));
	guests[0].available_bytes = UINT64_MAX;
	host.available_bytes = 0;
	decide();
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_BLIND);
}
END_TEST

START_TEST(a_guest_without_fresh_statistics_may_get_memory_back)
{
	squeeze();
	guests[0].stats_ns = 0;
	now_ns += policy.stale_stats_ms * MS;
	host.available_bytes = 4 * GIB;
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_RETURN);
}
END_TEST

START_TEST(an_absent_or_inhibited_guest_keeps_its_target)
{
	guests[0].connected = false;
	guests[0].target_bytes = UINT64_MAX;
	guests[1].inhibited = true;
	host.available_bytes = 0;
	decide();
	ck_assert_uint_eq(verdicts[0].target_bytes, UINT64_MAX);
	ck_assert_uint_eq(verdicts[1].target_bytes, 4 * GIB);
	ck_assert_int_eq(verdicts[0].reason, BAL_ABSENT);
	ck_assert_int_eq(verdicts[1].reason, BAL_ABSENT);
	ck_assert_int_eq(verdicts[2].reason, BAL_RECLAIM);
}
END_TEST

START_TEST(a_guest_that_was_away_starts_anew)
{
	squeeze();
	decide();
	guests[0].connected = false;
	decide();
	guests[0].connected = true;
	guests[0].swap_in_bytes = 100 * GIB; /* another guest's total */
	decide();
	ck_assert_int_eq(verdicts[0].reason, BAL_KEEP);
}
END_TEST

START_TEST(no_guests_are_no_problem)
{
	bal_policy_round(&policy, now_ns, &host, NULL, NULL, 0, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_policy");
	TCase *tc = tcase_create("rules");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_defaults_are_in_order);
	tcase_add_test(tc, every_reason_and_mode_has_a_name);
	tcase_add_test(tc, between_low_and_high_nothing_moves);
	tcase_add_test(tc, a_short_host_takes_what_is_missing_up_to_the_middle);
	tcase_add_test(tc, what_earlier_targets_will_bring_is_not_asked_for_again);
	tcase_add_test(tc, alike_guests_give_alike);
	tcase_add_test(tc, a_guest_with_fewer_shares_gives_more);
	tcase_add_test(tc, an_idle_guest_gives_before_a_busy_one);
	tcase_add_test(tc,
		       what_guests_need_is_left_to_them_while_the_host_has_three_quarters_of_low);
	tcase_add_test(tc, no_guest_is_asked_below_its_floor);
	tcase_add_test(tc, at_its_floor_a_guest_is_bound);
	tcase_add_test(tc, a_maximum_below_the_target_is_kept_at_once);
	tcase_add_test(tc, no_guest_moves_faster_than_the_rate);
	tcase_add_test(tc, after_a_long_pause_a_guest_moves_no_further_than_in_a_minute);
	tcase_add_test(tc, in_its_first_round_a_guest_only_is_looked_at);
	tcase_add_test(tc, plenty_is_given_back_down_to_the_middle);
	tcase_add_test(tc, what_guests_have_not_taken_yet_is_not_given_twice);
	tcase_add_test(tc, the_guest_furthest_below_its_entitlement_gets_most_back);
	tcase_add_test(tc, giving_back_keeps_the_rate_and_the_maximum);
	tcase_add_test(tc, pressure_on_the_host_takes_up_to_high_and_no_further);
	tcase_add_test(tc, a_guest_short_of_memory_gets_some_at_once);
	tcase_add_test(tc, a_guest_that_swaps_in_gets_memory);
	tcase_add_test(tc, a_guest_with_many_major_faults_gets_memory);
	tcase_add_test(tc, a_guest_that_killed_for_memory_gets_some);
	tcase_add_test(tc, totals_that_start_anew_or_were_never_told_are_no_pressure);
	tcase_add_test(tc, the_same_statistics_are_pressure_once);
	tcase_add_test(tc, after_a_retreat_the_others_are_asked_first);
	tcase_add_test(tc, a_guest_that_retreats_again_and_again_rests_longer);
	tcase_add_test(tc, a_retreat_leaves_the_host_three_quarters_of_low);
	tcase_add_test(tc, a_liar_gets_no_more_than_its_share_of_what_others_need);
	tcase_add_test(tc, a_guest_that_does_not_follow_is_not_asked_for_more);
	tcase_add_test(tc, a_guest_that_does_not_follow_is_asked_again_after_a_rest);
	tcase_add_test(tc, a_guest_that_moves_again_is_asked_again);
	tcase_add_test(tc, a_trickle_is_no_following);
	tcase_add_test(tc, a_slow_guest_that_follows_is_given_time);
	tcase_add_test(tc, what_a_retreat_gets_is_not_given_to_others_as_well);
	tcase_add_test(tc, what_a_retreat_gets_is_asked_of_the_others_at_once);
	tcase_add_test(tc, what_is_left_of_the_host_is_for_those_under_pressure);
	tcase_add_test(tc, a_guest_is_not_moved_for_a_trifle);
	tcase_add_test(tc, a_guest_that_is_sent_the_other_way_has_its_time);
	tcase_add_test(tc, a_guest_that_could_not_follow_gets_memory);
	tcase_add_test(tc, statistics_of_the_round_before_make_no_guest_look_emptier);
	tcase_add_test(tc,
		       a_guest_that_cannot_follow_and_lacks_memory_is_not_asked_again_and_again);
	tcase_add_test(tc, a_guest_without_fresh_statistics_is_not_squeezed);
	tcase_add_test(tc, a_guest_that_does_not_tell_what_is_available_is_not_squeezed);
	tcase_add_test(tc, a_guest_without_fresh_statistics_may_get_memory_back);
	tcase_add_test(tc, an_absent_or_inhibited_guest_keeps_its_target);
	tcase_add_test(tc, a_guest_that_was_away_starts_anew);
	tcase_add_test(tc, no_guests_are_no_problem);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
