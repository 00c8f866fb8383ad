/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_stats.c - the guest's statistics: asked for in time, read whatever their order, and the
 * driver's buffer, which the device keeps meanwhile, is never lost. _i: 1 is with packed rings.
 * The front-end against the real daemon.
 */
#include <string.h>
#include <time.h>

#include "balloon/stats.h"
#include "tests/protocol/balloon_rig.h"

struct stat_entry {
	uint16_t tag;
	uint64_t value;
};

static struct balloon guest;
static struct fe_inflight region = {.fd = -1};

static void stop(void)
{
	fe_inflight_free(&region);
	balloon_close(&guest);
	blkd_stop();
}

static void start(int packed, const char *options)
{
	struct guest_options opt = {.packed = packed};

	blkd_start(options);
	balloon_open(&guest, BLKD_SOCKET, &opt);
}

static int64_t received(void)
{
	return balloon_number(0, "counters/stats_received");
}

static void put_bytes(const void *bytes, uint32_t num)
{
	struct fe_buf buf = {guest.misc.gpa, num};

	memcpy(guest.misc.host, bytes, num);
	balloon_submit(&guest, BAL_STATS, &buf, 1, 0);
}

static uint32_t encode(uint8_t *to, const struct stat_entry *entries, unsigned num)
{
	for (unsigned i = 0; i < num; i++) {
		uint16_t tag = htole16(entries[i].tag);
		uint64_t value = htole64(entries[i].value);

		memcpy(to + i * 10, &tag, 2);
		memcpy(to + i * 10 + 2, &value, 8);
	}
	return num * 10;
}

static void put(const struct stat_entry *entries, unsigned num)
{
	uint8_t bytes[400];

	put_bytes(bytes, encode(bytes, entries, num));
}

static void put_free(uint64_t value)
{
	put(&(struct stat_entry){BAL_STAT_FREE, value}, 1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* not_asked - the device keeps the buffer for @ms. */
static void not_asked(int ms)
{
	ck_assert_int_eq(fe_ring_wait(&guest.ring[BAL_STATS], ms), -ETIMEDOUT);
}

/* --- what the guest says --- */

START_TEST(every_tag_is_read_in_any_order)
{
	struct stat_entry entries[BAL_STATS_TAGS];

	start(_i, "--stats-interval=0");
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		entries[i] = (struct stat_entry){(uint16_t)(BAL_STATS_TAGS - 1 - i), 1000 - i};
	put(entries, BAL_STATS_TAGS);
	wait_for(received() == 1);
	ck_assert_int_eq(balloon_number(0, "stats/values/swap_in_bytes"), 985);
	ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 989);
	ck_assert_int_eq(balloon_number(0, "stats/values/available_bytes"), 991);
	ck_assert_int_eq(balloon_number(0, "stats/values/direct_reclaims"), 1000);
	ck_assert_int_eq(balloon_number(0, "stats/interval_s"), 0);
}
END_TEST

START_TEST(unknown_tags_mean_nothing_and_the_last_of_a_tag_counts)
{
	const struct stat_entry entries[] = {
		{BAL_STATS_TAGS, 1}, {BAL_STAT_FREE, 2}, {0xffff, 3},
		{BAL_STAT_FREE, 4},  {0x8000, 5},
	};

	start(_i, "--stats-interval=0");
	put(entries, ARRAY_SIZE(entries));
	wait_for(received() == 1);
	ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 4);
	ck_assert_int_eq(balloon_number(0, "stats/values/total_bytes"), -1);
}
END_TEST

START_TEST(entries_over_several_descriptors_and_one_cut_off)
{
	const struct stat_entry entries[] = {{BAL_STAT_TOTAL, 77}, {BAL_STAT_FREE, 78}};
	uint32_t gpa_at = 0;
	const uint32_t cuts[] = {1, 3, 7, 4, 9};
	struct fe_buf bufs[ARRAY_SIZE(cuts)];

	start(_i, "--stats-interval=0");
	encode(guest.misc.host, entries, 2);
	memset(guest.misc.host + 20, 0, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		bufs[i] = (struct fe_buf){guest.misc.gpa + gpa_at, cuts[i]};
		gpa_at += cuts[i];
	}
	balloon_submit(&guest, BAL_STATS, bufs, ARRAY_SIZE(cuts), 0);
	wait_for(received() == 1);
	ck_assert_int_eq(balloon_number(0, "stats/values/total_bytes"), 77);
	ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 78);
	ck_assert_int_eq(balloon_number(0, "stats/values/swap_in_bytes"), -1);
}
END_TEST

/* What makes no sense changes nothing, and the buffer is kept all the same. */
START_TEST(a_buffer_without_an_entry_is_counted)
{
	start(_i, "--stats-interval=0");
	put_free(5);
	wait_for(received() == 1);
	put_bytes("123456789", 9);
	wait_for(balloon_number(0, "counters/stats_bad") == 1);
	balloon_wait(&guest, BAL_STATS); /* the first one came back for it */
	not_asked(50);
	ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 5);
	ck_assert_int_eq(received(), 1);
}
END_TEST

START_TEST(the_age_grows)
{
	int64_t age;

	start(_i, "--stats-interval=0");
	ck_assert_int_eq(balloon_number(0, "stats/age_ms"), -1);
	put_free(5);
	wait_for(received() == 1);
	age = balloon_number(0, "stats/age_ms");
	ck_assert(age >= 0 && age < 2000);
	usleep(100000);
	ck_assert_int_ge(balloon_number(0, "stats/age_ms"), age + 100);
}
END_TEST

/* --- when it is asked --- */

START_TEST(the_guest_is_asked_at_intervals)
{
	uint64_t then;

	start(_i, "--stats-interval=1");
	then = now_ms();
	put_free(1);
	ck_assert_uint_eq(balloon_wait(&guest, BAL_STATS), 0);
	ck_assert_uint_ge(now_ms() - then, 990);
	put_free(2);
	wait_for(received() == 2);
}
END_TEST

START_TEST(the_interval_can_be_changed)
{
	start(_i, "--stats-interval=0");
	put_free(1);
	not_asked(100);
	ck_assert(balloon_ask("balloon.stats-interval seconds=1"));
	ck_assert_int_eq(balloon_number(0, "stats/interval_s"), 1);
	balloon_wait(&guest, BAL_STATS);
	put_free(2);
	ck_assert(balloon_ask("balloon.stats-interval seconds=0"));
	not_asked(1100);
	ck_assert(!balloon_ask("balloon.stats-interval seconds=3601"));
	ck_assert(!balloon_ask("balloon.stats-interval seconds=-1"));
}
END_TEST

/* A driver with more than one buffer has all but the last of them back. */
START_TEST(one_buffer_is_kept)
{
	start(_i, "--stats-interval=0");
	for (unsigned i = 0; i < 40; i++) {
		put_free(i);
		if (i)
			balloon_wait(&guest, BAL_STATS);
	}
	wait_for(received() == 40);
	ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 39);
	not_asked(20);
}
END_TEST

/* --- the buffer that the device has, when the ring stops --- */

/* asked_again - the device has the buffer: it comes back when it is asked for. */
static void asked_again(void)
{
	ck_assert(balloon_ask("balloon.stats-interval seconds=1"));
	balloon_wait(&guest, BAL_STATS);
	put_free(4711);
	wait_for(balloon_number(0, "stats/values/free_bytes") == 4711);
}

START_TEST(a_stopped_ring_has_its_buffer_before_its_base)
{
	start(_i, "--stats-interval=0");
	put_free(1);
	wait_for(received() == 1);
	for (unsigned i = 0; i < 5; i++) {
		balloon_stop_rings(&guest); /* where the base is checked */
		balloon_start_rings(&guest);
		wait_for(received() == 2 + i);
	}
	asked_again();
}
END_TEST

START_TEST(the_next_session_takes_it_up)
{
	start(_i, "--stats-interval=0");
	put_free(1);
	wait_for(received() == 1);
	balloon_stop_rings(&guest);
	balloon_drop(&guest);
	balloon_connect(&guest, BLKD_SOCKET);
	balloon_share(&guest);
	balloon_start_rings(&guest);
	wait_for(received() == 2);
	asked_again();
}
END_TEST

static void use_inflight(bool make)
{
	if (make)
		ck_assert_int_eq(fe_get_inflight(&guest.fe, BAL_MAX_QUEUES, BALLOON_RING, &region),
				 0);
	ck_assert_int_eq(fe_set_inflight(&guest.fe, &region), 0);
}

/* killed_and_back - the front-end gives the rings and the region to the next daemon. */
static void killed_and_back(void)
{
	blkd_kill();
	balloon_drop(&guest);
	blkd_start("--stats-interval=0");
	balloon_connect(&guest, BLKD_SOCKET);
	balloon_share(&guest);
	use_inflight(false);
	balloon_start_rings(&guest);
}

START_TEST(a_killed_daemon_loses_no_buffer)
{
	struct guest_options opt = {.packed = _i};

	blkd_start("--stats-interval=0");
	balloon_lay_out(&guest, &opt);
	balloon_connect(&guest, BLKD_SOCKET);
	balloon_share(&guest);
	use_inflight(true);
	balloon_start_rings(&guest);
	put_free(1);
	wait_for(received() == 1);
	for (unsigned i = 0; i < 2; i++) {
		killed_and_back();
		wait_for(received() == 1);
		ck_assert_int_eq(balloon_number(0, "stats/values/free_bytes"), 1);
	}
	asked_again();
	/* And the device can stop the ring with a buffer it owes since then. */
	killed_and_back();
	wait_for(received() == 1);
	ck_assert_int_eq(fe_set_vring_enable(&guest.fe, guest.number[BAL_STATS], false), 0);
	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		uint32_t base;

		if (guest.roles & 1u << role)
			ck_assert_int_eq(fe_get_vring_base(&guest.fe, guest.number[role], &base),
					 0);
	}
}
END_TEST

START_TEST(statistics_outlive_the_session)
{
	start(_i, "--stats-interval=0");
	put_free(9);
	wait_for(received() == 1);
	balloon_drop(&guest);
	wait_for(balloon_number(0, "memory_bytes") == 0);
	balloon_connect(&guest, BLKD_SOCKET);
	ck_assert_int_eq(received(), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_stats");
	TCase *tcase = tcase_create("all");
	const TTest *const tests[] = {
		every_tag_is_read_in_any_order,
		unknown_tags_mean_nothing_and_the_last_of_a_tag_counts,
		entries_over_several_descriptors_and_one_cut_off,
		a_buffer_without_an_entry_is_counted,
		the_age_grows,
		one_buffer_is_kept,
		a_stopped_ring_has_its_buffer_before_its_base,
		the_next_session_takes_it_up,
		a_killed_daemon_loses_no_buffer,
		statistics_outlive_the_session,
	};

	tcase_add_checked_fixture(tcase, NULL, stop);
	tcase_set_timeout(tcase, 30);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, 2);
	tcase_add_test(tcase, the_guest_is_asked_at_intervals);
	tcase_add_test(tcase, the_interval_can_be_changed);
	suite_add_tcase(suite, tcase);
	return run_balloon_suite(suite);
}
