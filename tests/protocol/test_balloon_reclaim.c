/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_reclaim.c - pages of a balloon return to the host, those and no others: what the guest's
 * file holds falls by exactly them, and every other page keeps its content. _i: 1 is with packed rings.
 * The front-end against the real daemon.
 */
#include <string.h>
#include <sys/mman.h>

#include "tests/protocol/balloon_rig.h"
#include "tests/protocol/dirty_log.h"

#define MUST_TELL OWN(MUST_TELL_HOST)

static struct balloon guest;

static void start(void)
{
	blkd_start("--free-page-hinting=on");
}

static void stop(void)
{
	balloon_close(&guest);
	blkd_stop();
}

static void guest_comes(int packed, uint64_t without)
{
	struct guest_options opt = {.packed = packed, .without = without, .guard_pages = 3};

	balloon_open(&guest, BLKD_SOCKET, &opt);
}

/* out_and_in - pages that come back are the guest's to use. */
static void out_and_in(const unsigned *pages, unsigned num)
{
	balloon_inflate(&guest, pages, num);
	balloon_settles(&guest);
	balloon_deflate(&guest, pages, num);
	balloon_stays(&guest);
}

/* --- inflate and deflate --- */

START_TEST(contiguous_pages)
{
	unsigned pages[256];

	guest_comes(_i, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = 300 + i;
	out_and_in(pages, ARRAY_SIZE(pages));
	ck_assert_int_eq(balloon_number(0, "counters/inflated_pages"), 256);
	ck_assert_int_eq(balloon_number(0, "counters/deflated_pages"), 256);
	ck_assert_int_eq(balloon_number(0, "reclaimed_bytes"), 256 * PAGE_BYTES);
	/* They were one stretch. */
	ck_assert_int_eq(balloon_number(0, "counters/discard_calls"), 1);
}
END_TEST

START_TEST(pages_in_any_order_are_sorted)
{
	unsigned *pages;

	guest_comes(_i, 0);
	pages = shuffle(GUEST_PAGES, 1);
	out_and_in(pages, GUEST_PAGES);
	ck_assert_int_eq(balloon_number(0, "counters/discard_calls"), 1);
	free(pages);
}
END_TEST

START_TEST(scattered_pages)
{
	unsigned pages[GUEST_PAGES / 4], seed = 7;

	guest_comes(_i, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		seed = seed * 1103515245 + 12345;
		pages[i] = i * 4 + (seed >> 16 & 3);
	}
	out_and_in(pages, ARRAY_SIZE(pages));
}
END_TEST

START_TEST(the_first_and_the_last_page)
{
	unsigned pages[] = {GUEST_PAGES - 1, 0};

	guest_comes(_i, 0);
	out_and_in(pages, 2);
}
END_TEST

START_TEST(chains_of_different_drivers)
{
	unsigned pages[] = {5, 6, 8};

	guest_comes(_i, VU_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	out_and_in(pages, 3);
	balloon_close(&guest);
	guest_comes(_i, VU_BIT(VIRTIO_RING_F_EVENT_IDX));
	out_and_in(pages, 3);
}
END_TEST

/* Cut where it pleases the driver, in the middle of a number too (virtio 1.3, section 2.7.4). */
START_TEST(page_numbers_over_several_descriptors)
{
	static const uint32_t cuts[] = {4, 8, 6, 2, 1, 3, 7, 5, 12};
	struct fe_buf bufs[ARRAY_SIZE(cuts)];
	uint32_t at = 0, *pfns;

	guest_comes(_i, 0);
	pfns = (uint32_t *)(void *)guest.misc.host;
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		bufs[i] = (struct fe_buf){guest.misc.gpa + at, cuts[i]};
		at += cuts[i];
	}
	for (unsigned i = 0; i < at / 4; i++) {
		pfns[i] = htole32(guest.pages[i * 3].pfn);
		balloon_gone(&guest, i * 3, 1, true);
	}
	ck_assert_uint_eq(balloon_chain(&guest, BAL_INFLATE, bufs, ARRAY_SIZE(cuts), 0), 0);
	balloon_settles(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/inflated_pages"), at / 4);
}
END_TEST

START_TEST(many_chains_at_once)
{
	unsigned num = BALLOON_RING / 2;

	guest_comes(_i, 0);
	for (unsigned i = 0; i < num; i++) {
		struct fe_buf buf = {guest.misc.gpa + i * 4, 4};
		uint32_t pfn = htole32(guest.pages[i * 2].pfn);

		memcpy(guest.misc.host + i * 4, &pfn, sizeof(pfn));
		balloon_gone(&guest, i * 2, 1, true);
		balloon_submit(&guest, BAL_INFLATE, &buf, 1, 0);
	}
	for (unsigned i = 0; i < num; i++)
		balloon_wait(&guest, BAL_INFLATE);
	balloon_settles(&guest);
}
END_TEST

/* Such a driver takes pages back before it says so: nothing may be given back after the answer. */
START_TEST(without_must_tell_host_they_are_freed_before_the_answer)
{
	unsigned pages[64];

	guest_comes(_i, MUST_TELL);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t before = balloon_blocks(&guest);

		for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
			pages[i] = round * 8 + i * 2;
		balloon_inflate(&guest, pages, ARRAY_SIZE(pages));
		ck_assert_uint_eq(before - balloon_blocks(&guest), sizeof(pages) / 4 * PAGE_BYTES);
		for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
			balloon_write(&guest, pages[i]);
		balloon_gone(&guest, 0, GUEST_PAGES, false);
		ck_assert_uint_eq(before, balloon_blocks(&guest));
	}
	balloon_stays(&guest);
}
END_TEST

/* What is written after the answer to a deflate stays, whenever the device gets round to discards. */
START_TEST(a_deflate_right_behind_an_inflate_loses_nothing)
{
	unsigned *order, round, seed = 3;

	guest_comes(_i, 0);
	order = shuffle(GUEST_PAGES, 2);
	for (round = 0; round < 300; round++) {
		unsigned num = 1 + seed % 60, first = (seed >> 8) % (GUEST_PAGES - 60);

		balloon_inflate(&guest, order + first, num);
		usleep(seed % 4 ? seed % 3000 : 0);
		balloon_deflate(&guest, order + first, num);
		seed = (seed * 1103515245 + 12345) & 0x7fffffff;
	}
	balloon_stays(&guest);
	free(order);
}
END_TEST

START_TEST(a_page_inflated_twice_comes_back_once)
{
	unsigned twice[] = {9, 9, 10}, once[] = {9};

	guest_comes(_i, 0);
	balloon_inflate(&guest, twice, 3);
	balloon_settles(&guest);
	balloon_deflate(&guest, once, 1);
	balloon_stays(&guest);
	balloon_deflate(&guest, twice, 3);
	balloon_stays(&guest);
}
END_TEST

/* --- where the pages are --- */

START_TEST(two_regions_with_a_hole_between)
{
	struct guest_options opt = {.packed = _i, .regions = 2, .guard_pages = 8};
	uint32_t outside[8], num = 0;
	unsigned *pages;

	balloon_open(&guest, BLKD_SOCKET, &opt);
	pages = shuffle(guest.num_pages, 4);
	out_and_in(pages, guest.num_pages / 2);
	/* On either side of each region: what lies there in the files is not the guest's. */
	for (unsigned i = guest.num_pages; i < guest.num_all && num < 8; i += 4)
		outside[num++] = guest.pages[i].pfn;
	balloon_say(&guest, BAL_INFLATE, outside, num);
	balloon_say(&guest, BAL_DEFLATE, outside, num);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/skipped/unmapped"), num);
	free(pages);
}
END_TEST

START_TEST(dropping_our_own_mapping_would_free_nothing)
{
	unsigned pages[128];
	uint64_t before;

	guest_comes(_i, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = i;
	before = balloon_blocks(&guest);
	ck_assert_int_eq(
		madvise(guest.pages[0].host, sizeof(pages) / 4 * PAGE_BYTES, MADV_DONTNEED), 0);
	ck_assert_uint_eq(balloon_blocks(&guest), before);
	balloon_inflate(&guest, pages, ARRAY_SIZE(pages));
	balloon_settles(&guest);
	ck_assert_uint_eq(balloon_blocks(&guest), before - sizeof(pages) / 4 * PAGE_BYTES);
}
END_TEST

/* --- free page reporting, and hinting --- */

START_TEST(reported_pages_are_freed_before_the_answer)
{
	struct fe_buf bufs[8];
	uint64_t before;

	guest_comes(_i, 0);
	before = balloon_blocks(&guest);
	for (unsigned i = 0; i < ARRAY_SIZE(bufs);
	     i++) { /* four that touch, and four that do not */
		unsigned first = i * 32 + (i < 4 ? 0 : 16 * i);

		bufs[i] = (struct fe_buf){(uint64_t)guest.pages[first].pfn * PAGE_BYTES,
					  32 * PAGE_BYTES};
		balloon_gone(&guest, first, 32, true);
	}
	ck_assert_uint_eq(balloon_chain(&guest, BAL_REPORTING, bufs, 0, ARRAY_SIZE(bufs)), 0);
	ck_assert_uint_eq(before - balloon_blocks(&guest), 8 * 32 * PAGE_BYTES);
	balloon_settles(&guest);
	ck_assert_int_eq(balloon_number(0, "reported_bytes"), 8 * 32 * PAGE_BYTES);
	/* They are the guest's again. */
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		balloon_write(&guest, i);
	balloon_gone(&guest, 0, GUEST_PAGES, false);
	balloon_stays(&guest);
}
END_TEST

START_TEST(a_report_of_many_buffers)
{
	struct fe_buf bufs[96];
	unsigned *order;

	guest_comes(_i, 0);
	order = shuffle(ARRAY_SIZE(bufs), 6);
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++) {
		unsigned first = order[i] * 10;

		bufs[i] = (struct fe_buf){(uint64_t)guest.pages[first].pfn * PAGE_BYTES,
					  3 * PAGE_BYTES};
		balloon_gone(&guest, first, 3, true);
	}
	ck_assert_uint_eq(balloon_chain(&guest, BAL_REPORTING, bufs, 0, ARRAY_SIZE(bufs)), 0);
	balloon_settles(&guest);
	free(order);
}
END_TEST

START_TEST(a_report_of_what_is_no_page_frees_the_pages_in_it)
{
	struct fe_buf buf;

	guest_comes(_i, 0);
	buf = (struct fe_buf){(uint64_t)guest.pages[10].pfn * PAGE_BYTES + 100, 4 * PAGE_BYTES};
	balloon_gone(&guest, 11, 3, true);
	ck_assert_uint_eq(balloon_chain(&guest, BAL_REPORTING, &buf, 0, 1), 0);
	balloon_stays(&guest);
}
END_TEST

/* The guest counts on the poison it wrote into its free pages. */
START_TEST(poisoned_pages_are_not_freed)
{
	guest_comes(_i, 0);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaaaaaaaa), 0);
	balloon_report(&guest, 0, 256);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "reported_bytes"), 0);
	ck_assert_int_gt(balloon_number(0, "counters/skipped/poison"), 0);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0), 0);
	balloon_report(&guest, 0, 256);
	balloon_gone(&guest, 0, 256, true);
	balloon_settles(&guest);
}
END_TEST

/* Poison is for what the guest will find in its free pages, not for its balloon. */
START_TEST(pages_of_the_balloon_have_no_poison)
{
	unsigned pages[] = {1, 2, 3};

	guest_comes(_i, 0);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0xaaaaaaaa), 0);
	out_and_in(pages, 3);
}
END_TEST

/* Linux takes hinted pages back without a word. */
START_TEST(hinted_pages_are_never_freed)
{
	uint32_t id = htole32(2);
	struct fe_buf command, hint;

	guest_comes(_i, 0);
	ck_assert(guest.roles & 1u << BAL_HINT);
	command = (struct fe_buf){guest.misc.gpa, 4};
	memcpy(guest.misc.host, &id, sizeof(id));
	hint = (struct fe_buf){(uint64_t)guest.pages[0].pfn * PAGE_BYTES, 512 * PAGE_BYTES};
	balloon_chain(&guest, BAL_HINT, &command, 1, 0);
	balloon_chain(&guest, BAL_HINT, &hint, 0, 1);
	balloon_chain(&guest, BAL_HINT, &command, 1, 0);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "hinted_bytes"), 512 * PAGE_BYTES);
}
END_TEST

/* --- when nothing may be freed --- */

/* both_ways - pages inflated and pages reported. */
static void both_ways(unsigned first)
{
	uint32_t pfns[] = {guest.pages[first].pfn, guest.pages[first + 1].pfn};

	balloon_say(&guest, BAL_INFLATE, pfns, 2);
	balloon_report(&guest, first + 2, 64);
}

START_TEST(an_inhibited_guest_keeps_its_pages)
{
	json_t *by;

	guest_comes(_i, 0);
	ck_assert(balloon_ask("balloon.inhibit on=true"));
	both_ways(0);
	balloon_stays(&guest);
	by = balloon_get(0, "inhibited");
	ck_assert_str_eq(json_string_value(by), "operator");
	json_decref(by);
	ck_assert(balloon_ask("balloon.inhibit on=false"));
	by = balloon_get(0, "inhibited");
	ck_assert(json_is_null(by));
	json_decref(by);
	both_ways(200);
	balloon_gone(&guest, 200, 66, true);
	balloon_gone(&guest, 0, 2, true); /* still in the balloon */
	balloon_settles(&guest);
}
END_TEST

/* What comes out of the balloon while nothing may be freed is not freed later. */
START_TEST(what_is_deflated_while_inhibited_stays)
{
	unsigned pages[] = {0, 1, 2, 3};

	guest_comes(_i, 0);
	ck_assert(balloon_ask("balloon.inhibit on=true"));
	balloon_say(&guest, BAL_INFLATE, (uint32_t[]){guest.pages[1].pfn}, 1);
	balloon_deflate(&guest, pages, 4);
	ck_assert(balloon_ask("balloon.inhibit on=false"));
	balloon_stays(&guest);
}
END_TEST

START_TEST(a_guest_that_migrates_keeps_its_pages)
{
	uint64_t features;
	struct dirty_log log;
	json_t *by;

	guest_comes(_i, 0);
	features = guest.fe.features;
	dirty_log_make(&log, 0, 1 << 20);
	ck_assert_int_eq(dirty_log_use(&guest.fe, &log), 0);
	ck_assert_int_eq(fe_set_features(&guest.fe, features | VU_BIT(VU_F_LOG_ALL)), 0);
	both_ways(0);
	balloon_stays(&guest);
	by = balloon_get(0, "inhibited");
	ck_assert_str_eq(json_string_value(by), "migration");
	json_decref(by);
	ck_assert_int_eq(fe_set_features(&guest.fe, features), 0);
	both_ways(200);
	balloon_gone(&guest, 200, 66,
		     true); /* the queue stopped for the change, and forgot the others */
	balloon_settles(&guest);
	dirty_log_free(&log);
}
END_TEST

/* A guest that starts anew uses all of its memory without a word. */
START_TEST(what_was_noted_is_forgotten_when_the_queue_stops)
{
	uint32_t pfns[GUEST_PAGES];

	guest_comes(_i, 0);
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		pfns[i] = guest.pages[i].pfn;
	for (unsigned round = 0; round < 20; round++) {
		balloon_say(&guest, BAL_INFLATE, pfns, GUEST_PAGES);
		ck_assert_int_eq(fe_ring_stop(&guest.fe, 0, &guest.ring[BAL_INFLATE]), 0);
		for (unsigned i = 0; i < GUEST_PAGES; i++)
			balloon_write(&guest, i);
		usleep(4000);
		ck_assert_int_eq(fe_ring_start(&guest.fe, 0, &guest.ring[BAL_INFLATE]), 0);
	}
	balloon_stays(&guest);
}
END_TEST

/* --- */

START_TEST(a_balloon_at_rest_costs_nothing)
{
	unsigned pages[] = {1, 2, 3};
	uint64_t before;

	guest_comes(_i, 0);
	out_and_in(pages, 3);
	before = blkd_cpu_ns();
	usleep(500000);
	ck_assert_uint_lt(blkd_cpu_ns() - before, 1000000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_reclaim");
	TCase *tcase = tcase_create("all");
	const TTest *const tests[] = {
		contiguous_pages,
		pages_in_any_order_are_sorted,
		scattered_pages,
		the_first_and_the_last_page,
		chains_of_different_drivers,
		page_numbers_over_several_descriptors,
		many_chains_at_once,
		without_must_tell_host_they_are_freed_before_the_answer,
		a_deflate_right_behind_an_inflate_loses_nothing,
		a_page_inflated_twice_comes_back_once,
		two_regions_with_a_hole_between,
		dropping_our_own_mapping_would_free_nothing,
		reported_pages_are_freed_before_the_answer,
		a_report_of_many_buffers,
		a_report_of_what_is_no_page_frees_the_pages_in_it,
		poisoned_pages_are_not_freed,
		pages_of_the_balloon_have_no_poison,
		hinted_pages_are_never_freed,
		an_inhibited_guest_keeps_its_pages,
		what_is_deflated_while_inhibited_stays,
		a_guest_that_migrates_keeps_its_pages,
		what_was_noted_is_forgotten_when_the_queue_stops,
	};

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_set_timeout(tcase, 30);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, 2);
	tcase_add_test(tcase, a_balloon_at_rest_costs_nothing);
	suite_add_tcase(suite, tcase);
	return run_balloon_suite(suite);
}
