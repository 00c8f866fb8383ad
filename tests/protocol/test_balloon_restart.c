/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_restart.c - what a balloon is asked for and has, over front-ends and daemons that come
 * and go, clean or killed; several guests in one process; and queues, however they are numbered.
 * The front-end against the real daemon.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "balloon/state.h"
#include "tests/protocol/balloon_rig.h"

#define MIB          (1ull << 20)
#define MEMORY_MIB   256u /* of each guest here */
#define SPARE_MIB    (MEMORY_MIB - (WORK_PAGES + GUEST_PAGES) * PAGE_BYTES / (1u << 20))
#define NUM_PAGES_AT 0
#define STATE_FILE   "balloon.state"
#define WITH_STATE   "--state-file=" STATE_FILE
#define TWO          "--vm=name=a,socket=a.sock --vm=name=b,socket=b.sock"

static struct balloon guest, other;

static void lay_out(struct balloon *b, bool packed)
{
	struct guest_options opt = {.packed = packed, .spare_mib = SPARE_MIB};

	balloon_lay_out(b, &opt);
}

/* arrive - up to where rings start. */
static void arrive(struct balloon *b, const char *socket)
{
	balloon_connect(b, socket);
	balloon_share(b);
}

/* arrive_to_run - rings included. */
static void arrive_to_run(struct balloon *b, const char *socket)
{
	arrive(b, socket);
	balloon_start_rings(b);
}

/* served - a daemon, and a guest whose rings run. */
static void served(const char *options, bool packed)
{
	blkd_start(options);
	lay_out(&guest, packed);
	arrive_to_run(&guest, BLKD_SOCKET);
}

static void stop(void)
{
	balloon_close(&guest);
	if (other.pages)
		balloon_close(&other);
	blkd_stop();
}

static unsigned pages_asked(struct balloon *b)
{
	return balloon_word(b, NUM_PAGES_AT);
}

/* inflated_to - the driver's balloon has that many pages: so it says. */
static void inflated_to(struct balloon *b, uint32_t pages)
{
	ck_assert_int_eq(balloon_set_word(b, CONFIG_ACTUAL, pages), 0);
}

static uint32_t pages_of(unsigned mib)
{
	return (uint32_t)(mib * MIB / PAGE_BYTES);
}

/* --- target --- */

START_TEST(the_driver_is_told_of_a_target)
{
	blkd_start("");
	lay_out(&guest, _i);
	arrive(&guest, BLKD_SOCKET);
	ck_assert_int_eq(fe_open_channel(&guest.fe, NULL, NULL), 0);
	balloon_start_rings(&guest);
	ck_assert_int_eq(balloon_number(0, "memory_bytes"), MEMORY_MIB * MIB);
	ck_assert_uint_eq(pages_asked(&guest), 0);
	ck_assert(balloon_ask("balloon.set target=100M"));
	ck_assert_int_eq(fe_channel_serve(&guest.fe, 5000), 1);
	ck_assert_uint_eq(guest.fe.config_changes, 1);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
	inflated_to(&guest, pages_of(MEMORY_MIB - 100));
	ck_assert_int_eq(balloon_number(0, "actual_bytes"), 100 * MIB);
	ck_assert_int_eq(balloon_number(0, "balloon_bytes"), (MEMORY_MIB - 100) * MIB);
	ck_assert(balloon_ask("balloon.set target=all"));
	ck_assert_int_eq(fe_channel_serve(&guest.fe, 5000), 1);
	ck_assert_uint_eq(pages_asked(&guest), 0);
	/* The same again is no change. */
	ck_assert(balloon_ask("balloon.set target=all"));
	ck_assert_int_eq(fe_channel_serve(&guest.fe, 50), 0);
}
END_TEST

START_TEST(a_target_waits_for_the_guest)
{
	blkd_start("--target=128M");
	lay_out(&guest, _i);
	balloon_connect(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(pages_asked(&guest), 0); /* of no memory yet */
	balloon_share(&guest);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 128));
	balloon_drop(&guest);
	ck_assert(balloon_ask("balloon.set target=96M"));
	arrive(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 96));
}
END_TEST

START_TEST(a_target_stays_between_its_bounds)
{
	blkd_start("--min=100M --max=200M");
	lay_out(&guest, _i);
	arrive(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 200));
	ck_assert(!balloon_ask("balloon.set target=99M"));
	ck_assert(!balloon_ask("balloon.set target=201M"));
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 200));
	ck_assert(balloon_ask("balloon.set target=100M"));
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
}
END_TEST

/* --- front-ends and daemons that go --- */

START_TEST(all_of_it_outlives_a_disconnection)
{
	served("", _i);
	ck_assert(balloon_ask("balloon.set target=100M"));
	inflated_to(&guest, 1234);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaa), 0);
	/* The driver has used its rings, so that it is no new one. */
	balloon_say(&guest, BAL_INFLATE, &(uint32_t){UINT32_MAX}, 1);
	balloon_stop_rings(&guest);
	balloon_drop(&guest);
	arrive_to_run(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_ACTUAL), 1234);
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_POISON), 0xaa);
}
END_TEST

START_TEST(a_new_driver_has_an_empty_balloon)
{
	served("", _i);
	ck_assert(balloon_ask("balloon.set target=100M"));
	inflated_to(&guest, 1234);
	balloon_close(&guest);
	lay_out(&guest, _i);
	arrive_to_run(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_ACTUAL), 0);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
}
END_TEST

START_TEST(a_reset_empties_the_balloon_and_keeps_the_target)
{
	served("", _i);
	ck_assert(balloon_ask("balloon.set target=100M"));
	inflated_to(&guest, 1234);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaa), 0);
	ck_assert_int_eq(fe_reset_device(&guest.fe), 0);
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_ACTUAL), 0);
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_POISON), 0);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
}
END_TEST

/* again - another daemon, the one before it stopped or killed. */
static void again(const char *options, bool killed)
{
	if (killed)
		blkd_kill();
	else
		blkd_stop();
	balloon_drop(&guest);
	blkd_start(options);
}

/* A front-end restores what the driver wrote before its rings start: the guest is asked to keep what it
 * has, not to let its balloon go. _i: 1 is killed. */
START_TEST(a_new_daemon_asks_for_what_the_guest_has)
{
	served("", false);
	ck_assert(balloon_ask("balloon.set target=100M"));
	inflated_to(&guest, pages_of(MEMORY_MIB - 100));
	again("", _i);
	arrive(&guest, BLKD_SOCKET);
	inflated_to(&guest, pages_of(MEMORY_MIB - 100));
	balloon_start_rings(&guest);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
	ck_assert_int_eq(balloon_number(0, "target_bytes"), 100 * MIB);
	/* From here on the driver says how far it is, not what is wanted. */
	inflated_to(&guest, pages_of(7));
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
}
END_TEST

/* The driver told its poison to the process before, and nobody repeats it: nothing that is reported goes
 * until it is known again. The whole space, as QEMU writes it, is only what it read from us. */
START_TEST(a_new_daemon_does_not_know_the_poison)
{
	const unsigned pages[] = {1, 2};
	uint8_t whole[16] = {0};

	blkd_start("");
	lay_out(&guest, _i);
	arrive(&guest, BLKD_SOCKET);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaa), 0);
	balloon_start_rings(&guest);
	balloon_inflate(&guest, pages, 2);
	balloon_settles(&guest);
	again("", false);
	arrive_to_run(&guest, BLKD_SOCKET);
	balloon_report(&guest, 100, 16);
	balloon_stays(&guest);
	ck_assert_int_eq(fe_set_config(&guest.fe, 0, sizeof(whole), 0, whole), 0);
	balloon_report(&guest, 100, 16);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/skipped/poison"), 32);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0), 0);
	balloon_gone(&guest, 100, 16, true);
	balloon_report(&guest, 100, 16);
	balloon_settles(&guest);
}
END_TEST

START_TEST(a_target_given_is_not_taken_from_the_guest)
{
	blkd_start("--target=128M");
	lay_out(&guest, false);
	arrive(&guest, BLKD_SOCKET);
	inflated_to(&guest, pages_of(10));
	balloon_start_rings(&guest);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 128));
}
END_TEST

/* stored - the state file says so, at most a second after it was told. */
static bool stored(uint64_t target_bytes, uint32_t actual, uint32_t poison)
{
	int fd = open(STATE_FILE, O_RDONLY | O_CLOEXEC);
	uint8_t bytes[BAL_STATE_BYTES];
	uint64_t target;
	uint32_t words[2];
	ssize_t n = fd < 0 ? 0 : pread(fd, bytes, sizeof(bytes), 0);

	if (fd >= 0)
		close(fd);
	if (n != sizeof(bytes))
		return false;
	memcpy(&target, bytes + 16, sizeof(target));
	memcpy(words, bytes + 24, sizeof(words));
	return le64toh(target) == target_bytes && le32toh(words[0]) == actual &&
	       le32toh(words[1]) == poison;
}

START_TEST(a_state_file_outlives_the_daemon)
{
	served(WITH_STATE, false);
	ck_assert(balloon_ask("balloon.set target=100M"));
	inflated_to(&guest, 1234);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaa), 0);
	balloon_say(&guest, BAL_INFLATE, &(uint32_t){UINT32_MAX}, 1);
	if (_i)
		wait_for(stored(100 * MIB, 1234, 0xaa));
	again(WITH_STATE, _i);
	ck_assert(stored(100 * MIB, 1234, 0xaa));
	ck_assert_int_eq(balloon_number(0, "target_bytes"), 100 * MIB);
	arrive_to_run(&guest, BLKD_SOCKET);
	ck_assert_uint_eq(pages_asked(&guest), pages_of(MEMORY_MIB - 100));
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_ACTUAL), 1234);
	ck_assert_uint_eq(balloon_word(&guest, CONFIG_POISON), 0xaa);
}
END_TEST

/* --- migration --- */

START_TEST(a_device_state_is_carried_over)
{
	uint8_t state[BAL_STATE_BYTES];

	blkd_start(TWO);
	lay_out(&guest, _i);
	arrive_to_run(&guest, "a.sock");
	ck_assert(balloon_ask("balloon.set vm=a target=100M"));
	inflated_to(&guest, 1234);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaa), 0);
	/* Not while rings run. */
	ck_assert_int_eq(fe_save_state(&guest.fe, state, sizeof(state)), -EREMOTEIO);
	balloon_stop_rings(&guest);
	ck_assert_int_eq(fe_save_state(&guest.fe, state, sizeof(state)), BAL_STATE_BYTES);
	lay_out(&other, _i);
	arrive(&other, "b.sock");
	ck_assert_uint_eq(pages_asked(&other), 0);
	ck_assert_int_eq(fe_load_state(&other.fe, state, sizeof(state)), 0);
	balloon_start_rings(&other);
	ck_assert_uint_eq(pages_asked(&other), pages_of(MEMORY_MIB - 100));
	ck_assert_uint_eq(balloon_word(&other, CONFIG_ACTUAL), 1234);
	ck_assert_uint_eq(balloon_word(&other, CONFIG_POISON), 0xaa);
	ck_assert_int_eq(balloon_number(1, "target_bytes"), 100 * MIB);
}
END_TEST

/* --- several guests --- */

START_TEST(guests_go_on_when_one_dies)
{
	struct balloon more[4];
	char socket[16];

	blkd_start("--vm=name=v0,socket=v0 --vm=name=v1,socket=v1,max=200M "
		   "--vm=name=v2,socket=v2,target=128M --vm=name=v3,socket=v3 "
		   "--vm=name=a,socket=a.sock");
	lay_out(&guest, false);
	arrive_to_run(&guest, "a.sock");
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		snprintf(socket, sizeof(socket), "v%u", i);
		lay_out(&more[i], i & 1);
		arrive_to_run(&more[i], socket);
	}
	ck_assert(!balloon_ask("balloon.set target=100M")); /* of which? */
	ck_assert(!balloon_ask("balloon.set vm=v9 target=100M"));
	ck_assert(balloon_ask("balloon.set vm=v3 target=100M"));
	ck_assert_uint_eq(pages_asked(&more[0]), 0);
	ck_assert_uint_eq(pages_asked(&more[1]), pages_of(MEMORY_MIB - 200));
	ck_assert_uint_eq(pages_asked(&more[2]), pages_of(MEMORY_MIB - 128));
	ck_assert_uint_eq(pages_asked(&more[3]), pages_of(MEMORY_MIB - 100));
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		unsigned pages[] = {i, 100 + i};

		balloon_close(&more[i]); /* in the middle of whatever it does */
		balloon_inflate(&guest, pages, 2);
		balloon_settles(&guest);
		ck_assert_int_eq(balloon_number(4, "memory_bytes"), MEMORY_MIB * MIB);
		wait_for(balloon_number(i, "memory_bytes") == 0);
	}
}
END_TEST

/* Each guest's pages are its own, whatever the others do at the same time. */
START_TEST(guests_do_not_mix)
{
	unsigned *order = shuffle(GUEST_PAGES, 5);

	blkd_start(TWO);
	balloon_open(&guest, "a.sock", &(struct guest_options){.packed = true});
	balloon_open(&other, "b.sock", NULL);
	for (unsigned i = 0; i < 20; i++) {
		balloon_inflate(&guest, order + i * 20, 20);
		balloon_inflate(&other, order + i * 40, 20);
	}
	balloon_settles(&guest);
	balloon_settles(&other);
	balloon_deflate(&guest, order, 400);
	balloon_settles(&other);
	balloon_settles(&guest);
	free(order);
}
END_TEST

/* --- numbers of queues --- */

#define SUBSETS 8u /* of the three optional queues */

/* These two: a queue does what it is for, and nothing else. */
static void stats_work(struct balloon *b)
{
	int64_t before = balloon_number(0, "counters/stats_received");
	struct fe_buf buf = {b->misc.gpa, 10};

	memset(b->misc.host, 0, 10);
	b->misc.host[0] = 4; /* the tag of free memory */
	balloon_submit(b, BAL_STATS, &buf, 1, 0);
	wait_for(balloon_number(0, "counters/stats_received") == before + 1);
}

static void hints_work(struct balloon *b)
{
	int64_t before = balloon_number(0, "hinted_bytes");
	struct fe_buf buf = {(uint64_t)b->pages[0].pfn * PAGE_BYTES, 16 * PAGE_BYTES};

	balloon_chain(b, BAL_HINT, &buf, 0, 1);
	balloon_settles(b);
	ck_assert_int_eq(balloon_number(0, "hinted_bytes"), before + 16 * PAGE_BYTES);
}

static void all_queues_work(struct balloon *b)
{
	unsigned pages[] = {500, 700};

	balloon_inflate(b, pages, 2);
	balloon_settles(b);
	balloon_deflate(b, pages, 2);
	balloon_stays(b);
	if (b->roles & 1u << BAL_STATS)
		stats_work(b);
	if (b->roles & 1u << BAL_HINT)
		hints_work(b);
	if (b->roles & 1u << BAL_REPORTING) {
		balloon_report(b, 64, 16);
		balloon_gone(b, 64, 16, true);
	}
	balloon_settles(b);
}

/* A driver that takes any of the features, and numbers its queues as it was taught. _i: who counts. */
START_TEST(queues_are_known_however_they_are_numbered)
{
	static const uint64_t optional[] = {OWN(STATS_VQ), OWN(FREE_PAGE_HINT), OWN(REPORTING)};

	blkd_start("--free-page-hinting=on --stats-interval=0");
	for (unsigned set = 0; set < SUBSETS; set++) {
		struct guest_options opt = {.numbering = (enum numbering)_i, .pages = 720};

		for (unsigned i = 0; i < ARRAY_SIZE(optional); i++)
			opt.without |= set & 1u << i ? 0 : optional[i];
		balloon_open(&guest, BLKD_SOCKET, &opt);
		all_queues_work(&guest);
		if (set < SUBSETS - 1)
			balloon_close(&guest);
	}
}
END_TEST

/* The same where the daemon offers less, which is what QEMU counts. */
START_TEST(queues_that_are_not_offered_shift_the_others)
{
	blkd_start("--stats-interval=0");
	for (unsigned set = 0; set < 2; set++) {
		struct guest_options opt = {.numbering = (enum numbering)_i, .pages = 720};

		opt.without = set ? OWN(STATS_VQ) : 0;
		balloon_open(&guest, BLKD_SOCKET, &opt);
		all_queues_work(&guest);
		if (!set)
			balloon_close(&guest);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_restart");
	TCase *tcase = tcase_create("all");
	const TTest *const tests[] = {
		the_driver_is_told_of_a_target,
		a_target_waits_for_the_guest,
		a_target_stays_between_its_bounds,
		all_of_it_outlives_a_disconnection,
		a_new_driver_has_an_empty_balloon,
		a_reset_empties_the_balloon_and_keeps_the_target,
		a_new_daemon_asks_for_what_the_guest_has,
		a_new_daemon_does_not_know_the_poison,
		a_state_file_outlives_the_daemon,
		a_device_state_is_carried_over,
	};

	tcase_add_checked_fixture(tcase, NULL, stop);
	tcase_set_timeout(tcase, 30);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, 2);
	tcase_add_test(tcase, a_target_given_is_not_taken_from_the_guest);
	tcase_add_test(tcase, guests_go_on_when_one_dies);
	tcase_add_test(tcase, guests_do_not_mix);
	tcase_add_loop_test(tcase, queues_are_known_however_they_are_numbered, 0, NUMBERINGS);
	tcase_add_loop_test(tcase, queues_that_are_not_offered_shift_the_others, 0, NUMBERINGS);
	suite_add_tcase(suite, tcase);
	return run_balloon_suite(suite);
}
