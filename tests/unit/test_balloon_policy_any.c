/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_policy_any.c - what holds of the balloon policy whatever host and guests say: random
 * rounds, most of them with numbers no honest guest would send; and where it comes to rest when guests
 * are honest. Tests balloon/policy.
 */
#include "balloon/policy.h"
#include "tests/unit/support.h"
#include "vhost/base/util.h"

#define MIB    (1ull << 20)
#define GIB    (1ull << 30)
#define S      1000000000ull
#define MAX    12
#define ROUNDS 20000

static struct bal_policy policy;
static struct bal_host host;
static struct bal_guest guests[MAX];
static struct bal_memo memos[MAX];
static struct bal_verdict verdicts[MAX];
static unsigned num;
static uint64_t now_ns, last_ns;
static uint64_t state;

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t end)
{
	return next() % end;
}

/* Sizes of guests and hosts, mostly; else anything, or an end of the scale. */
static uint64_t any_bytes(void)
{
	switch (below(10)) {
	case 0:
		return next();
	case 1:
		return UINT64_MAX - below(2);
	case 2:
		return below(2);
	default:
		return below(64 * GIB);
	}
}

static void any_policy(void)
{
	policy = bal_policy_default();
	policy.low_permille = below(500);
	policy.high_permille = below(1000);
	policy.rate_bytes_per_s = below(2) ? any_bytes() : below(GIB);
	if (below(4))
		return;
	policy.guest_low_permille = below(2000);
	policy.stale_stats_ms = any_bytes();
	policy.respond_ms = any_bytes();
	policy.rest_ms = any_bytes();
}

static void any_input(void)
{
	host.total_bytes = any_bytes();
	host.available_bytes = any_bytes();
	host.pressure_permille = below(4) ? 0 : below(1001);
	last_ns = now_ns;
	now_ns += below(20) ? below(5 * S) : below(3600 * S);
	for (unsigned i = 0; i < num; i++) {
		struct bal_guest *guest = &guests[i];

		guest->connected = below(20) != 0;
		guest->inhibited = below(20) == 0;
		guest->memory_bytes = any_bytes();
		guest->min_bytes = any_bytes();
		guest->max_bytes = any_bytes();
		guest->shares = below(5) ? 1 + below(10000) : (unsigned)next();
		guest->target_bytes = below(2) ? any_bytes() : verdicts[i].target_bytes;
		guest->actual_bytes = below(2) ? any_bytes() : guest->target_bytes;
		guest->stats_ns = below(4) ? now_ns : any_bytes();
		guest->available_bytes = any_bytes();
		guest->swap_in_bytes = any_bytes();
		guest->major_faults = any_bytes();
		guest->oom_kills = any_bytes();
	}
}

static uint64_t ceiling_of(const struct bal_guest *guest)
{
	return min_of(guest->max_bytes, guest->memory_bytes);
}

static uint64_t floor_of(const struct bal_guest *guest)
{
	uint64_t least = max_of(guest->min_bytes, (uint64_t)BAL_LEAST_BYTES);
	uint64_t most = ceiling_of(guest);

	return min_of(least, most);
}

static void round_of_any(void)
{
	any_input();
	bal_policy_round(&policy, now_ns, &host, guests, memos, num, verdicts);
}

static void start(uint64_t seed)
{
	state = seed;
	num = 1 + below(MAX);
	now_ns = S + below(1000 * S);
	memset(memos, 0, sizeof(memos));
	memset(verdicts, 0, sizeof(verdicts));
	any_policy();
}

START_TEST(no_target_leaves_its_bounds)
{
	for (uint64_t seed = 0; seed < ROUNDS / 20; seed++) {
		start(seed);
		for (unsigned i = 0; i < 20; i++) {
			round_of_any();
			for (unsigned j = 0; j < num; j++) {
				const struct bal_guest *guest = &guests[j];
				uint64_t target = verdicts[j].target_bytes;

				ck_assert_uint_lt(verdicts[j].reason, BAL_REASONS);
				if (!guest->connected || guest->inhibited) {
					ck_assert_uint_eq(target, guest->target_bytes);
					continue;
				}
				ck_assert_uint_ge(target, floor_of(guest));
				ck_assert_uint_le(target, ceiling_of(guest));
			}
		}
	}
}
END_TEST

/* What a verdict moves the target by, but for the guest's bounds. */
static uint64_t move_of(unsigned i)
{
	uint64_t least = floor_of(&guests[i]), most = ceiling_of(&guests[i]);
	uint64_t before = min_of(guests[i].target_bytes, most);
	uint64_t after = verdicts[i].target_bytes;

	before = max_of(before, least);
	return after > before ? after - before : before - after;
}

START_TEST(no_guest_but_one_in_retreat_moves_faster_than_the_rate)
{
	unsigned moves = 0;

	for (uint64_t seed = 0; seed < ROUNDS / 20; seed++) {
		start(seed);
		policy.rate_bytes_per_s = below(GIB);
		for (unsigned i = 0; i < 20; i++) {
			round_of_any();
			for (unsigned j = 0; j < num; j++) {
				uint64_t ns = now_ns - last_ns;
				__uint128_t most = policy.rate_bytes_per_s;

				most = most * (ns < 60 * S ? ns : 60 * S) / S;
				if (verdicts[j].reason != BAL_RECLAIM &&
				    verdicts[j].reason != BAL_RETURN)
					continue;
				moves++;
				/* One that did not follow has its target back besides. */
				if (guests[j].actual_bytes == guests[j].target_bytes)
					ck_assert(move_of(j) <= most);
			}
		}
	}
	ck_assert_uint_gt(moves, ROUNDS / 10);
}
END_TEST

START_TEST(only_named_reasons_move_a_target)
{
	for (uint64_t seed = 0; seed < ROUNDS / 20; seed++) {
		start(seed);
		for (unsigned i = 0; i < 20; i++) {
			round_of_any();
			for (unsigned j = 0; j < num; j++) {
				if (verdicts[j].reason == BAL_KEEP ||
				    verdicts[j].reason == BAL_BLIND)
					ck_assert_uint_eq(move_of(j), 0);
			}
		}
	}
}
END_TEST

START_TEST(no_more_is_taken_than_the_host_lacks)
{
	unsigned rounds = 0;

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t taken = 0, raised = 0, high;

		start(seed);
		policy.rate_bytes_per_s = 100 * GIB;
		for (unsigned i = 0; i < 2; i++) {
			any_input();
			host.total_bytes = 16 * GIB + below(500 * GIB);
			host.available_bytes = below(host.total_bytes);
			for (unsigned j = 0; j < num; j++) {
				guests[j].memory_bytes = GIB + below(64 * GIB);
				guests[j].target_bytes = guests[j].actual_bytes =
					guests[j].memory_bytes;
				guests[j].max_bytes = UINT64_MAX;
			}
			bal_policy_round(&policy, now_ns, &host, guests, memos, num, verdicts);
		}
		for (unsigned j = 0; j < num; j++) {
			if (verdicts[j].reason == BAL_RECLAIM)
				taken += move_of(j);
			if (verdicts[j].reason == BAL_RETREAT)
				raised += move_of(j);
		}
		high = host.total_bytes / 1000 * max_of(policy.low_permille, policy.high_permille) +
		       MIB;
		if (taken) {
			rounds++;
			ck_assert_uint_lt(host.available_bytes, high);
			ck_assert_uint_le(taken, high - host.available_bytes + raised);
		}
	}
	ck_assert_uint_gt(rounds, ROUNDS / 20);
}
END_TEST

START_TEST(the_same_input_gives_the_same_output)
{
	static struct bal_memo copies[MAX];
	static struct bal_verdict others[MAX];

	for (uint64_t seed = 0; seed < ROUNDS / 20; seed++) {
		start(seed);
		for (unsigned i = 0; i < 20; i++) {
			any_input();
			memcpy(copies, memos, sizeof(copies));
			bal_policy_round(&policy, now_ns, &host, guests, memos, num, verdicts);
			bal_policy_round(&policy, now_ns, &host, guests, copies, num, others);
			ck_assert_mem_eq(copies, memos, sizeof(copies[0]) * num);
			for (unsigned j = 0; j < num; j++) {
				ck_assert_uint_eq(verdicts[j].target_bytes, others[j].target_bytes);
				ck_assert_int_eq(verdicts[j].reason, others[j].reason);
			}
		}
	}
}
END_TEST

/* An honest world: guests follow, use what they use, and the host has the rest. */
static uint64_t used[MAX];

static void honest_start(uint64_t seed)
{
	uint64_t all = 0;

	start(seed);
	policy = bal_policy_default();
	for (unsigned i = 0; i < num; i++) {
		guests[i] = (struct bal_guest){.connected = true, .max_bytes = UINT64_MAX};
		guests[i].memory_bytes = GIB + below(32 * GIB);
		guests[i].target_bytes = guests[i].actual_bytes =
			guests[i].memory_bytes / 2 + below(guests[i].memory_bytes / 2);
		guests[i].shares = 1 + below(10000);
		used[i] = guests[i].actual_bytes / 10 * below(10);
		all += guests[i].actual_bytes;
	}
	host = (struct bal_host){0};
	host.total_bytes = all + all / 5;
	host.available_bytes = below(host.total_bytes / 5);
}

static void honest_round(void)
{
	now_ns += 2 * S;
	for (unsigned i = 0; i < num; i++) {
		struct bal_guest *guest = &guests[i];

		guest->stats_ns = now_ns;
		guest->available_bytes =
			guest->actual_bytes > used[i] ? guest->actual_bytes - used[i] : 0;
	}
	bal_policy_round(&policy, now_ns, &host, guests, memos, num, verdicts);
	for (unsigned i = 0; i < num; i++) {
		host.available_bytes += guests[i].actual_bytes - verdicts[i].target_bytes;
		guests[i].target_bytes = guests[i].actual_bytes = verdicts[i].target_bytes;
	}
}

START_TEST(honest_guests_come_to_rest)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		uint64_t targets[MAX];

		honest_start(seed);
		for (unsigned i = 0; i < 600; i++)
			honest_round();
		for (unsigned j = 0; j < num; j++)
			targets[j] = guests[j].target_bytes;
		for (unsigned i = 0; i < 300; i++)
			honest_round();
		for (unsigned j = 0; j < num; j++)
			ck_assert_uint_eq(guests[j].target_bytes, targets[j]);
		ck_assert_uint_ge(host.available_bytes,
				  host.total_bytes / 2000 * policy.low_permille);
	}
}
END_TEST

START_TEST(nothing_swings_while_nothing_changes)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		int way[MAX] = {0};
		unsigned turns = 0;

		honest_start(seed);
		for (unsigned i = 0; i < 1000; i++) {
			uint64_t before[MAX];

			for (unsigned j = 0; j < num; j++)
				before[j] = guests[j].target_bytes;
			honest_round();
			for (unsigned j = 0; j < num; j++) {
				int now = (guests[j].target_bytes > before[j]) -
					  (guests[j].target_bytes < before[j]);

				turns += now && way[j] && now != way[j];
				if (now)
					way[j] = now;
			}
		}
		ck_assert_uint_le(turns, num); /* a guest may pay for another's retreat, once */
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_policy_any");
	TCase *tc = tcase_create("properties");

	tcase_add_test(tc, no_target_leaves_its_bounds);
	tcase_add_test(tc, no_guest_but_one_in_retreat_moves_faster_than_the_rate);
	tcase_add_test(tc, only_named_reasons_move_a_target);
	tcase_add_test(tc, no_more_is_taken_than_the_host_lacks);
	tcase_add_test(tc, the_same_input_gives_the_same_output);
	tcase_add_test(tc, honest_guests_come_to_rest);
	tcase_add_test(tc, nothing_swings_while_nothing_changes);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
