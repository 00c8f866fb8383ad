/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_world.c - on a made-up host with guests that work, idle, lie and hang, the balloon
 * policy keeps the host out of trouble and leaves guests in peace. A short run of what
 * bench/balloon-policy runs at length. Tests balloon/policy.
 */
#include "bench/balloon_world.h"
#include "tests/unit/support.h"

#define SEEDS 3

/* A host with 60 guests for six hours. */
static struct world_result run(enum world_rule rule, uint64_t seed, unsigned overcommit_percent)
{
	struct world_options options = {
		.seed = seed, .num_vms = 60, .hours = 6, .overcommit_percent = overcommit_percent};
	struct world_result result;

	world_run(&options, rule, &result, NULL, NULL);
	return result;
}

START_TEST(without_a_rule_the_host_runs_out_of_memory)
{
	ck_assert_uint_gt(run(WORLD_NONE, 1, 150).out_of_memory_s, 3600);
}
END_TEST

START_TEST(the_host_keeps_more_than_half_of_low)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		ck_assert_uint_eq(run(WORLD_POLICY, seed, 130).below_half_low_s, 0);
		ck_assert_uint_eq(run(WORLD_POLICY, seed, 150).below_half_low_s, 0);
	}
}
END_TEST

START_TEST(guests_feel_a_tenth_of_what_they_feel_under_a_rule_by_shares)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_result ours = run(WORLD_POLICY, seed, 150);
		struct world_result theirs = run(WORLD_SHARES, seed, 150);

		ck_assert_uint_lt(ours.pressure_s, theirs.pressure_s / 10);
		ck_assert_uint_lt(ours.swapped_bytes, theirs.swapped_bytes / 10);
		ck_assert_uint_lt(ours.changes, theirs.changes);
		ck_assert_uint_lt(ours.turns, theirs.turns / 10);
		ck_assert_uint_eq(ours.kills, 0);
	}
}
END_TEST

START_TEST(a_run_repeats)
{
	struct world_result first = run(WORLD_POLICY, 7, 150), second = run(WORLD_POLICY, 7, 150);

	ck_assert_mem_eq(&first, &second, sizeof(first));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_world");
	TCase *tc = tcase_create("rules");

	tcase_add_test(tc, without_a_rule_the_host_runs_out_of_memory);
	tcase_add_test(tc, the_host_keeps_more_than_half_of_low);
	tcase_add_test(tc, guests_feel_a_tenth_of_what_they_feel_under_a_rule_by_shares);
	tcase_add_test(tc, a_run_repeats);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
