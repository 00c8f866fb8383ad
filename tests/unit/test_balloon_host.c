/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_host.c - the host's memory and pressure are read from what /proc says, and from nothing
 * that only looks like it. Tests balloon/host.
 */
#include "balloon/host.h"

#include <errno.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"

static struct bal_host host;

START_TEST(memory_is_read_from_meminfo)
{
	ck_assert_int_eq(bal_host_parse_meminfo("MemTotal:       24684092 kB\n"
						"MemFree:        22609364 kB\n"
						"MemAvailable:   23142632 kB\n"
						"Buffers:            2040 kB\n",
						&host),
			 0);
	ck_assert_uint_eq(host.total_bytes, 24684092ull * 1024);
	ck_assert_uint_eq(host.available_bytes, 23142632ull * 1024);
}
END_TEST

START_TEST(another_meminfo_is_refused_and_changes_nothing)
{
	static const char *const texts[] = {
		"",
		"\n\n",
		"MemTotal:",
		"MemTotal: 10 kB\n",
		"MemAvailable: 10 kB\n",
		"MemTotal: 10 kB\nMemAvailable: 5",
		"MemTotal: 10 kB\nMemAvailable: 5 kB",
		"MemTotal: 10 kB\nMemAvailable: 5 MB\n",
		"MemTotal: 10 kB\nMemAvailable: -5 kB\n",
		"MemTotal: 10 kB\nMemAvailable: 11 kB\n",
		"MemTotal: 0 kB\nMemAvailable: 0 kB\n",
		"MemTotal: ten kB\nMemAvailable: 5 kB\n",
		"xMemTotal: 10 kB\nMemAvailable: 5 kB\n",
		"MemTotal: 18014398509481984 kB\nMemAvailable: 5 kB\n",
		"MemTotal: 99999999999999999999999 kB\nMemAvailable: 5 kB\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		host = (struct bal_host){1, 2, 3};
		ck_assert_msg(bal_host_parse_meminfo(texts[i], &host) == -EBADMSG, "%s", texts[i]);
		ck_assert_uint_eq(host.total_bytes, 1);
		ck_assert_uint_eq(host.available_bytes, 2);
	}
}
END_TEST

START_TEST(pressure_is_the_share_of_ten_seconds_in_which_something_waited)
{
	ck_assert_int_eq(
		bal_host_parse_pressure("some avg10=12.34 avg60=1.00 avg300=0.10 total=123456\n"
					"full avg10=98.00 avg60=0.00 avg300=0.00 total=0\n",
					&host),
		0);
	ck_assert_uint_eq(host.pressure_permille, 123);
	ck_assert_int_eq(bal_host_parse_pressure("some avg10=100.00 avg60=1.00\n", &host), 0);
	ck_assert_uint_eq(host.pressure_permille, 1000);
	ck_assert_int_eq(bal_host_parse_pressure("some avg10=0.00 avg60=1.00\n", &host), 0);
	ck_assert_uint_eq(host.pressure_permille, 0);
}
END_TEST

START_TEST(another_pressure_is_refused_and_changes_nothing)
{
	static const char *const texts[] = {
		"",
		"full avg10=1.00 avg60=0.00 avg300=0.00 total=0\n",
		"some avg60=1.00\n",
		"some avg10=",
		"some avg10=1",
		"some avg10=1.",
		"some avg10=1.x0\n",
		"some avg10=-1.00\n",
		"some avg10=101.00\n",
		"some avg10=99999999999999999999.00\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		host.pressure_permille = 7;
		ck_assert_msg(bal_host_parse_pressure(texts[i], &host) == -EBADMSG, "%s", texts[i]);
		ck_assert_uint_eq(host.pressure_permille, 7);
	}
}
END_TEST

START_TEST(this_host_can_be_read_again_and_again)
{
	struct bal_host_files files;
	unsigned fds = open_fds();

	ck_assert_int_eq(bal_host_open(&files), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(bal_host_read(&files, &host), 0);
		ck_assert_uint_gt(host.total_bytes, 0);
		ck_assert_uint_gt(host.available_bytes, 0);
		ck_assert_uint_le(host.pressure_permille, 1000);
	}
	bal_host_close(&files);
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

START_TEST(a_kernel_without_pressure_has_none)
{
	struct bal_host_files files;

	ck_assert_int_eq(bal_host_open(&files), 0);
	close_fd(&files.pressure_fd);
	ck_assert_int_eq(bal_host_read(&files, &host), 0);
	ck_assert_uint_eq(host.pressure_permille, 0);
	bal_host_close(&files);
}
END_TEST

START_TEST(a_file_that_is_gone_is_an_error)
{
	struct bal_host_files files = {.meminfo_fd = -1, .pressure_fd = -1};

	ck_assert_int_eq(bal_host_read(&files, &host), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_host");
	TCase *tc = tcase_create("proc");

	tcase_add_test(tc, memory_is_read_from_meminfo);
	tcase_add_test(tc, another_meminfo_is_refused_and_changes_nothing);
	tcase_add_test(tc, pressure_is_the_share_of_ten_seconds_in_which_something_waited);
	tcase_add_test(tc, another_pressure_is_refused_and_changes_nothing);
	tcase_add_test(tc, this_host_can_be_read_again_and_again);
	tcase_add_test(tc, a_kernel_without_pressure_has_none);
	tcase_add_test(tc, a_file_that_is_gone_is_an_error);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
