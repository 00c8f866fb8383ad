/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_state.c - what is saved comes back, nothing else is taken, and a state file has one
 * owner. Tests balloon/state.
 */
#include <errno.h>
#include <fcntl.h>

#include "balloon/options.h"
#include "balloon/state.h"
#include "tests/unit/support.h"

#define NOW   1000000000000ull
#define LATER 5000000000000ull

static struct bal_state state;
static uint8_t data[BAL_STATE_BYTES];
static char path[] = "/tmp/ringside-balloon-state-XXXXXX";

static void setup(void)
{
	state = (struct bal_state){
		.target_bytes = 0x123456789000,
		.actual_pages = 77,
		.poison_val = 0xaaaaaaaa,
		.stats = {.there = true,
			  .taken_ns = NOW - 3000,
			  .present = 1u << BAL_STAT_FREE | 1u << BAL_STAT_DIRECT_RECLAIMS},
	};
	state.stats.values[BAL_STAT_FREE] = 42;
	state.stats.values[BAL_STAT_DIRECT_RECLAIMS] = UINT64_MAX - 1;
	ck_assert_int_eq(bal_state_encode(&state, NOW, data, sizeof(data)), BAL_STATE_BYTES);
}

static void same(const struct bal_state *got)
{
	ck_assert_uint_eq(got->target_bytes, state.target_bytes);
	ck_assert_uint_eq(got->actual_pages, state.actual_pages);
	ck_assert_uint_eq(got->poison_val, state.poison_val);
	ck_assert_uint_eq(got->stats.there, state.stats.there);
	ck_assert_uint_eq(got->stats.present, state.stats.present);
	ck_assert_mem_eq(got->stats.values, state.stats.values, sizeof(state.stats.values));
}

START_TEST(what_is_saved_comes_back)
{
	struct bal_state got;

	ck_assert_int_eq(bal_state_decode(&got, LATER, data, sizeof(data)), 0);
	same(&got);
	ck_assert_uint_eq(got.stats.taken_ns, LATER - 3000); /* the age is what counts */

	state = (struct bal_state){.target_bytes = BAL_ALL_MEMORY};
	bal_state_encode(&state, NOW, data, sizeof(data));
	ck_assert_int_eq(bal_state_decode(&got, LATER, data, sizeof(data)), 0);
	same(&got);
}
END_TEST

/* The clock of another machine, or of the same after a start, may be behind. */
START_TEST(older_than_the_clock_is_as_old_as_can_be)
{
	struct bal_state got;

	ck_assert_int_eq(bal_state_decode(&got, 2999, data, sizeof(data)), 0);
	ck_assert_uint_eq(got.stats.taken_ns, 0);
}
END_TEST

START_TEST(too_little_room_is_said)
{
	ck_assert_int_eq(bal_state_encode(&state, NOW, data, sizeof(data) - 1), -ENOBUFS);
}
END_TEST

START_TEST(every_other_length_is_refused)
{
	uint8_t more[BAL_STATE_BYTES + 1] = {0};
	struct bal_state got = state;

	memcpy(more, data, sizeof(data));
	for (size_t n = 0; n <= sizeof(more); n++)
		if (n != BAL_STATE_BYTES)
			ck_assert_int_eq(bal_state_decode(&got, NOW, more, n), -EBADMSG);
	same(&got);
}
END_TEST

/* A bit turned in magic, version, length, or a field that has rules of its own. */
START_TEST(every_field_is_checked)
{
	static const struct {
		size_t at;
		uint8_t turn;
	} bad[] = {
		{0, 1},       {7, 0x80}, {8, 1},  {11, 1}, /* magic, version */
		{12, 1},      {15, 1},   {32, 2}, {35, 1}, /* length, there */
		{32, 1}, /* not there, and yet present */
		{38, 1}, /* present: a tag that is not known */
		{36, 1 << 4}, /* a value that is not present */
		{48, 1}, /* likewise */
	};
	struct bal_state got = state;

	data[bad[_i].at] ^= bad[_i].turn;
	state.target_bytes = got.target_bytes = 0;
	ck_assert_int_eq(bal_state_decode(&got, NOW, data, sizeof(data)), -EBADMSG);
	same(&got);
}
END_TEST

/* --- the file --- */

static void file_setup(void)
{
	int fd;

	setup();
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	unlink(path);
}

static void file_teardown(void)
{
	unlink(path);
}

START_TEST(the_file_gives_back_what_was_stored)
{
	struct bal_state got;
	struct stat st;
	int fd = bal_state_open(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bal_state_load(fd, &got, NOW), -ENODATA);
	ck_assert_int_eq(bal_state_store(fd, &state, NOW), 0);
	ck_assert_int_eq(bal_state_store(fd, &state, NOW), 0);
	close(fd);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, BAL_STATE_BYTES);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);

	fd = bal_state_open(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bal_state_load(fd, &got, NOW), 0);
	same(&got);
	close(fd);
}
END_TEST

START_TEST(two_do_not_share_a_file)
{
	int fd = bal_state_open(path);
	int again;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bal_state_open(path), -EAGAIN);
	close(fd);
	again = bal_state_open(path);
	ck_assert_int_ge(again, 0);
	close(again);
}
END_TEST

START_TEST(another_file_is_refused)
{
	struct bal_state got = state;
	int fd = bal_state_open(path);

	ck_assert_int_eq(bal_state_store(fd, &state, NOW), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, BAL_STATE_BYTES), 1); /* longer */
	ck_assert_int_eq(bal_state_load(fd, &got, NOW), -EBADMSG);
	ck_assert_int_eq(ftruncate(fd, BAL_STATE_BYTES - 1), 0);
	ck_assert_int_eq(bal_state_load(fd, &got, NOW), -EBADMSG);
	same(&got);
	close(fd);
	ck_assert_int_eq(bal_state_open("/tmp"), -EISDIR);
	ck_assert_int_eq(bal_state_open("/dev/null"), -EINVAL);
	ck_assert_int_eq(bal_state_open("/nowhere/file"), -ENOENT);
}
END_TEST

/* One write: nothing of it, or all. */
START_TEST(a_full_disk_is_said)
{
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bal_state_store(fd, &state, NOW), -ENOSPC);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_state");
	TCase *form = tcase_create("form");
	TCase *file = tcase_create("file");

	tcase_add_checked_fixture(form, setup, NULL);
	tcase_add_test(form, what_is_saved_comes_back);
	tcase_add_test(form, older_than_the_clock_is_as_old_as_can_be);
	tcase_add_test(form, too_little_room_is_said);
	tcase_add_test(form, every_other_length_is_refused);
	tcase_add_loop_test(form, every_field_is_checked, 0, 12);
	suite_add_tcase(suite, form);
	tcase_add_checked_fixture(file, file_setup, file_teardown);
	tcase_add_test(file, the_file_gives_back_what_was_stored);
	tcase_add_test(file, two_do_not_share_a_file);
	tcase_add_test(file, another_file_is_refused);
	tcase_add_test(file, a_full_disk_is_said);
	suite_add_tcase(suite, file);
	return run_suite(suite);
}
