/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_queues.c - a ring is the queue that the driver means, whoever numbered the queues; where
 * nobody can know, it is not taken for the one that discards. Tests balloon/queues.
 */
#include <linux/virtio_balloon.h>

#include "balloon/queues.h"
#include "tests/unit/support.h"
#include "vhost/base/util.h"

#define S (1u << VIRTIO_BALLOON_F_STATS_VQ)
#define H (1u << VIRTIO_BALLOON_F_FREE_PAGE_HINT)
#define R (1u << VIRTIO_BALLOON_F_REPORTING)

/* The rings that are started, and what each is, from the third on. */
struct numbering {
	uint64_t features;
	enum bal_role roles[3]; /* of rings 2, 3, 4; BAL_NO_ROLE: it is not started */
};

#define NONE BAL_NO_ROLE

/* Specification: every queue has a number, whether it exists or not. */
static const struct numbering by_specification[] = {
	{0, {NONE, NONE, NONE}},
	{S, {BAL_STATS, NONE, NONE}},
	{H, {NONE, BAL_HINT, NONE}},
	{R, {NONE, NONE, BAL_REPORTING}},
	{S | H, {BAL_STATS, BAL_HINT, NONE}},
	{S | R, {BAL_STATS, NONE, BAL_REPORTING}},
	{H | R, {NONE, BAL_HINT, BAL_REPORTING}},
	{S | H | R, {BAL_STATS, BAL_HINT, BAL_REPORTING}},
};

/* Linux: those that were negotiated are numbered. */
static const struct numbering by_negotiated[] = {
	{0, {NONE, NONE, NONE}},
	{S, {BAL_STATS, NONE, NONE}},
	{H, {BAL_HINT, NONE, NONE}},
	{R, {BAL_REPORTING, NONE, NONE}},
	{S | H, {BAL_STATS, BAL_HINT, NONE}},
	{S | R, {BAL_STATS, BAL_REPORTING, NONE}},
	{H | R, {BAL_HINT, BAL_REPORTING, NONE}},
	{S | H | R, {BAL_STATS, BAL_HINT, BAL_REPORTING}},
};

/* QEMU without hints: statistics and reporting are numbered. */
static const struct numbering by_offered[] = {
	{S, {BAL_STATS, NONE, NONE}},
	{R, {NONE, BAL_REPORTING, NONE}},
	{S | R, {BAL_STATS, BAL_REPORTING, NONE}},
};

static unsigned started_in(const struct numbering *numbering)
{
	unsigned started = 1u << BAL_INFLATE | 1u << BAL_DEFLATE;

	for (unsigned i = 0; i < 3; i++)
		if (numbering->roles[i] != NONE)
			started |= 1u << (2 + i);
	return started;
}

static void check(const struct numbering *numbering)
{
	unsigned started = started_in(numbering);
	/* Bits that mean something else change nothing. */
	uint64_t features = numbering->features | 1ull << VIRTIO_BALLOON_F_MUST_TELL_HOST |
			    1ull << VIRTIO_BALLOON_F_PAGE_POISON | 1ull << 32;

	ck_assert_int_eq(bal_role_of(0, features, started), BAL_INFLATE);
	ck_assert_int_eq(bal_role_of(1, features, started), BAL_DEFLATE);
	for (unsigned i = 0; i < 3; i++)
		if (numbering->roles[i] != NONE)
			ck_assert_int_eq(bal_role_of(2 + i, features, started),
					 numbering->roles[i]);
}

START_TEST(numbered_as_the_specification_does)
{
	check(&by_specification[_i]);
}
END_TEST

START_TEST(numbered_as_linux_does)
{
	check(&by_negotiated[_i]);
}
END_TEST

START_TEST(numbered_as_qemu_does)
{
	check(&by_offered[_i]);
}
END_TEST

/* With hints and reports, ring 3 alone is either. */
START_TEST(in_doubt_nothing_is_discarded)
{
	ck_assert_int_eq(bal_role_of(3, H | R, 1u << 3), BAL_HINT);
	ck_assert_int_eq(bal_role_of(3, H | R, 1u << 3 | 3), BAL_HINT);
	ck_assert_int_eq(bal_role_of(3, H | R, 1u << 3 | 1u << 2), BAL_REPORTING);
	ck_assert_int_eq(bal_role_of(3, H | R, 1u << 3 | 1u << 4), BAL_HINT);
}
END_TEST

/* Rings that no numbering explains are not served: one of them would discard what it must not. */
START_TEST(rings_that_cannot_be_are_nothing)
{
	ck_assert_int_eq(bal_role_of(2, R, 1u << 2 | 1u << 3), NONE);
	ck_assert_int_eq(bal_role_of(3, R, 1u << 2 | 1u << 3), NONE);
	ck_assert_int_eq(bal_role_of(4, R, 1u << 2 | 1u << 3 | 1u << 4), NONE);
	ck_assert_int_eq(bal_role_of(3, S | R, 1u << 2 | 1u << 3 | 1u << 4), NONE);
	ck_assert_int_eq(bal_role_of(2, 0, 1u << 2), NONE);
	ck_assert_int_eq(bal_role_of(3, S, 1u << 3), NONE);
	ck_assert_int_eq(bal_role_of(0, 0, 0x1f), BAL_INFLATE);
	ck_assert_int_eq(bal_role_of(1, 0, 0x1f), BAL_DEFLATE);
}
END_TEST

/* Whatever is started: without the feature there is no such queue. */
START_TEST(never_a_queue_that_was_not_negotiated)
{
	static const uint64_t feature_of[] = {[BAL_STATS] = S, [BAL_HINT] = H, [BAL_REPORTING] = R};

	for (uint64_t bits = 0; bits < 64; bits++)
		for (unsigned started = 0; started < 32; started++)
			for (unsigned index = 2; index < 5; index++) {
				enum bal_role role = bal_role_of(index, bits, started);

				ck_assert(role == NONE || bits & feature_of[role]);
			}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_queues");
	TCase *tc = tcase_create("roles");

	tcase_add_loop_test(tc, numbered_as_the_specification_does, 0,
			    ARRAY_SIZE(by_specification));
	tcase_add_loop_test(tc, numbered_as_linux_does, 0, ARRAY_SIZE(by_negotiated));
	tcase_add_loop_test(tc, numbered_as_qemu_does, 0, ARRAY_SIZE(by_offered));
	tcase_add_test(tc, in_doubt_nothing_is_discarded);
	tcase_add_test(tc, rings_that_cannot_be_are_nothing);
	tcase_add_test(tc, never_a_queue_that_was_not_negotiated);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
