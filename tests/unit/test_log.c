/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_log.c - one line is one write, in one form, at the levels asked for; floods are limited; an
 * operator's error ends the program with the right status. Tests base/log.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/support.h"
#include "vhost/base/log.h"

static int stderr_reader;

/* stderr becomes a datagram socket, on which each write(2) arrives by itself. */
static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
	close(pair[1]);
	stderr_reader = pair[0];
	ck_assert_int_eq(log_set_level("info"), 0);
}

/* next_write - what the next write(2) to stderr wrote, "" when there was none. */
static const char *next_write(void)
{
	static char text[8192];
	ssize_t n = recv(stderr_reader, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

START_TEST(a_line_is_one_write)
{
	log_warn("blk0/q2", "avail index %u -> %u, size %u", 7, 9000, 256);
	ck_assert_str_eq(next_write(), "warn blk0/q2: avail index 7 -> 9000, size 256\n");
	log_error("x", "%s", "");
	ck_assert_str_eq(next_write(), "error x: \n");
	log_info("x", "plain");
	ck_assert_str_eq(next_write(), "info x: plain\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(levels)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (int level = 0; level < 4; level++) {
		ck_assert_int_eq(log_set_level(names[level]), 0);
		for (int l = LOG_ERROR; l <= LOG_DEBUG; l++) {
			ck_assert(log_enabled(l) == (l <= level));
			log_line(l, "x", "y");
			ck_assert((next_write()[0] != '\0') == (l <= level));
		}
	}
	log_debug("x", "y");
	ck_assert_str_eq(next_write(), "debug x: y\n");
	ck_assert_int_eq(log_set_level("loud"), -EINVAL);
	ck_assert_int_eq(log_set_level(""), -EINVAL);
	ck_assert(log_enabled(LOG_DEBUG));
}
END_TEST

START_TEST(a_line_stays_one_line)
{
	log_info("a\nb", "%s", "one\nerror x: forged\r\t\x1b[2J\x7f end");
	ck_assert_str_eq(next_write(), "info a?b: one?error x: forged???[2J? end\n");
	log_info("x", "%s", "f\xc3\xbcr"); /* UTF-8 stays */
	ck_assert_str_eq(next_write(), "info x: f\xc3\xbcr\n");
}
END_TEST

/* _i bytes of message around the size of the line buffer. */
START_TEST(a_long_line_is_cut_and_says_so)
{
	char message[2048];
	const char *text;
	size_t len;

	memset(message, 'm', sizeof(message));
	message[_i] = '\0';
	log_info("x", "%s", message);
	text = next_write();
	len = strlen(text);
	ck_assert_uint_le(len, 1024);
	ck_assert_int_eq(text[len - 1], '\n');
	if (len - strlen("info x: \n") == (size_t)_i)
		ck_assert_int_eq(text[len - 2], 'm');
	else
		ck_assert_int_eq(strcmp(text + len - 5, "m...\n"), 0);

	log_info(message, "%s", "object is as long");
	text = next_write();
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(errno_survives)
{
	errno = ENOSPC;
	log_info("x", "y");
	ck_assert_int_eq(errno, ENOSPC);
	close(STDERR_FILENO);
	log_info("x", "nobody listens");
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(a_flood_is_limited_and_counted)
{
	struct log_limit limit = {0};
	unsigned lines = 0;

	for (unsigned i = 0; i < 1000; i++)
		log_warn_limited(&limit, "x", "%u", i);
	while (next_write()[0])
		lines++;
	ck_assert_uint_eq(lines, 5);
	ck_assert_uint_eq(limit.suppressed, 995);

	/* As if ten seconds had passed. */
	limit.window_start_ns -= 10000000000ull;
	log_warn_limited(&limit, "x", "again");
	ck_assert_str_eq(next_write(), "warn x: 995 more such lines left out\n");
	ck_assert_str_eq(next_write(), "warn x: again\n");
	ck_assert_str_eq(next_write(), "");

	limit.window_start_ns -= 10000000000ull;
	log_warn_limited(&limit, "x", "none left out");
	ck_assert_str_eq(next_write(), "warn x: none left out\n");
}
END_TEST

/* exit_status_of - of a child that runs @fn. */
static int exit_status_of(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		fn();
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void die_fatal(void)
{
	log_set_level("error");
	fatal("--blk-file=%s: no such file", "/x");
}

static void die_usage(void)
{
	usage_error("--threads=%s: 1 to 64", "many");
}

START_TEST(an_operators_error_ends_the_program)
{
	log_init("ringside-test");
	ck_assert_int_eq(exit_status_of(die_fatal), 1);
	ck_assert_str_eq(next_write(), "ringside-test: --blk-file=/x: no such file\n");
	ck_assert_int_eq(exit_status_of(die_usage), 2);
	ck_assert_str_eq(next_write(), "ringside-test: --threads=many: 1 to 64\n");
	ck_assert_str_eq(next_write(), "ringside-test: try ringside-test --help\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_line_is_one_write);
	tcase_add_test(tc, levels);
	tcase_add_test(tc, a_line_stays_one_line);
	tcase_add_loop_test(tc, a_long_line_is_cut_and_says_so, 1000, 1030);
	tcase_add_test(tc, errno_survives);
	tcase_add_test(tc, a_flood_is_limited_and_counted);
	tcase_add_test(tc, an_operators_error_ends_the_program);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
