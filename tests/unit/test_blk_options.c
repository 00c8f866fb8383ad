/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_options.c - the command line of ringside-blk: what is taken, and that every mistake
 * ends with a line that names it. Tests blk/options.
 */
#include <sys/wait.h>

#include "blk/options.h"
#include "tests/unit/support.h"
#include "vhost/base/log.h"
#include "vhost/base/util.h"

#define MAX_ARGS 12

static struct blk_options opt;

/* split - a command line as a shell would, but without quotes. */
static int split(const char *line, char *copy, size_t copy_bytes, char **argv)
{
	int argc = 0;
	char *word, *rest = copy;

	snprintf(copy, copy_bytes, "ringside-blk %s", line);
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		if (*word)
			argv[argc++] = word;
	argv[argc] = NULL;
	return argc;
}

static void parse(const char *line)
{
	static char copy[512];
	char *argv[MAX_ARGS + 1];
	int argc = split(line, copy, sizeof(copy), argv);

	optind = 0;
	blk_options_parse(&opt, argc, argv);
}

/* parse_in_child - with what it wrote to @stream (1 or 2) in @text. Return: its exit status. */
static int parse_in_child(const char *line, int stream, char *text, size_t text_bytes)
{
	int pipe_fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(pipe_fds[1], stream);
		parse(line);
		_exit(99); /* it was taken */
	}
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], text + used, text_bytes - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(pipe_fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void setup(void)
{
	log_init("ringside-blk");
}

START_TEST(defaults)
{
	parse("--socket-path=/s --blk-file=/f");
	ck_assert_uint_eq(opt.num_disks, 1);
	ck_assert_str_eq(opt.disks[0].socket.path, "/s");
	ck_assert_str_eq(opt.disks[0].image.file, "/f");
	ck_assert_int_eq(opt.disks[0].socket.fd, -1);
	ck_assert_str_eq(opt.disks[0].serial, "");
	ck_assert_uint_eq(opt.disks[0].num_queues, 64);
	ck_assert_uint_eq(opt.disks[0].image.lock_wait_s, 30);
	ck_assert_int_eq(opt.disks[0].image.direct, BLK_DIRECT_AUTO);
	ck_assert(opt.disks[0].writeback);
	ck_assert(!opt.disks[0].socket.client);
	ck_assert(!opt.disks[0].image.read_only);
	ck_assert_uint_eq(opt.num_threads, 1);
	ck_assert_uint_eq(opt.poll_us, 50);
	ck_assert(!opt.busy_poll);
	ck_assert_int_eq(CPU_COUNT(&opt.cpus), 0);
	ck_assert_ptr_null(opt.daemon.control_path);
	ck_assert(opt.daemon.sandbox);
}
END_TEST

START_TEST(one_disk)
{
	parse("--fd=7 --blk-file=ram:1G --read-only --serial=twenty-bytes-is-full --num-queues=256 "
	      "--cache=writethrough --direct=off");
	ck_assert_uint_eq(opt.num_disks, 1);
	ck_assert_int_eq(opt.disks[0].socket.fd, 7);
	ck_assert_ptr_null(opt.disks[0].socket.path);
	ck_assert(opt.disks[0].image.read_only);
	ck_assert_str_eq(opt.disks[0].serial, "twenty-bytes-is-full");
	ck_assert_uint_eq(opt.disks[0].num_queues, 256);
	ck_assert(!opt.disks[0].writeback);
	ck_assert_int_eq(opt.disks[0].image.direct, BLK_DIRECT_OFF);
	ck_assert(!opt.disks[0].in_order);
}
END_TEST

START_TEST(all_disks)
{
	parse("--socket-path=/s --client --blk-file=/f --threads=64 --cpus=1,3-4 --poll-us=0 "
	      "--busy-poll --lock-wait=0 --control-path=/c --log-level=debug --no-sandbox");
	ck_assert(opt.disks[0].socket.client);
	ck_assert_uint_eq(opt.num_threads, 64);
	ck_assert_int_eq(CPU_COUNT(&opt.cpus), 3);
	ck_assert(CPU_ISSET(4, &opt.cpus));
	ck_assert_uint_eq(opt.poll_us, 0);
	ck_assert(opt.busy_poll);
	ck_assert_uint_eq(opt.disks[0].image.lock_wait_s, 0);
	ck_assert_str_eq(opt.daemon.control_path, "/c");
	ck_assert(!opt.daemon.sandbox);
}
END_TEST

START_TEST(several_disks)
{
	parse("--disk=socket=/a,file=/x,,y,read-only,serial=A --lock-wait=9 "
	      "--disk=fd=5,file=null:1G,num-queues=2,cache=writethrough,direct=on,in-order "
	      "--disk=socket=/b,client=on,file=/z,read-only=off");
	ck_assert_uint_eq(opt.num_disks, 3);
	ck_assert_str_eq(opt.disks[0].image.file, "/x,y"); /* a doubled comma stands for one */
	ck_assert(opt.disks[0].image.read_only);
	ck_assert_str_eq(opt.disks[0].serial, "A");
	ck_assert_int_eq(opt.disks[1].socket.fd, 5);
	ck_assert_uint_eq(opt.disks[1].num_queues, 2);
	ck_assert(!opt.disks[1].writeback);
	ck_assert_int_eq(opt.disks[1].image.direct, BLK_DIRECT_ON);
	ck_assert(opt.disks[1].in_order);
	ck_assert(opt.disks[2].socket.client);
	ck_assert(!opt.disks[2].image.read_only);
	ck_assert_uint_eq(opt.disks[2].image.lock_wait_s, 9); /* wherever it stands */
	ck_assert_uint_eq(opt.disks[2].num_queues, 64);
}
END_TEST

START_TEST(single_form_beside_disks)
{
	parse("--socket-path=/a --blk-file=/x --disk=socket=/b,file=/y");
	ck_assert_uint_eq(opt.num_disks, 2);
}
END_TEST

START_TEST(disks_that_may_be_alike)
{
	parse("--disk=socket=/a,file=ram:1M --disk=socket=/b,file=ram:1M "
	      "--disk=socket=/c,file=null:1M --disk=socket=/d,file=null:1M "
	      "--disk=socket=/e,file=/f,read-only --disk=socket=/g,file=/f");
	ck_assert_uint_eq(opt.num_disks, 6);
}
END_TEST

#define DISK "--socket-path=/s --blk-file=/f "

/* Values: exit 1, one line. */
static const struct {
	const char *line;
	const char *named; /* what the line must name */
} bad_values[] = {
	{DISK "--num-queues=0", "--num-queues=0: must be a whole number from 1 to 256"},
	{DISK "--num-queues=257", "--num-queues=257:"},
	{DISK "--num-queues=", "--num-queues=:"},
	{DISK "--num-queues=4x", "--num-queues=4x:"},
	{DISK "--num-queues=-1", "--num-queues=-1:"},
	{DISK "--num-queues=0x10", "--num-queues=0x10:"},
	{DISK "--num-queues=99999999999999999999", "--num-queues=99999999999999999999:"},
	{DISK "--threads=0", "--threads=0: must be a whole number from 1 to 64"},
	{DISK "--threads=65", "--threads=65:"},
	{DISK "--threads=two", "--threads=two:"},
	{DISK "--poll-us=-1", "--poll-us=-1:"},
	{DISK "--poll-us=1000001", "--poll-us=1000001:"},
	{DISK "--poll-us=1.5", "--poll-us=1.5:"},
	{DISK "--lock-wait=3601", "--lock-wait=3601:"},
	{DISK "--lock-wait=forever", "--lock-wait=forever:"},
	{DISK "--cpus=", "--cpus=: must be a list of CPU numbers"},
	{DISK "--cpus=1-", "--cpus=1-:"},
	{DISK "--cpus=a", "--cpus=a:"},
	{DISK "--cpus=99999", "--cpus=99999:"},
	{DISK "--cache=none", "--cache=none: must be writeback or writethrough"},
	{DISK "--direct=maybe", "--direct=maybe: must be on or off"},
	{DISK "--log-level=loud", "--log-level=loud: must be error, warn, info or debug"},
	{DISK "--serial=one-byte-more-than-20", "--serial=one-byte-more-than-20: longer than 20"},
	{"--fd=-1 --blk-file=/f", "--fd=-1:"},
	{"--fd=x --blk-file=/f", "--fd=x:"},
	{"--fd= --blk-file=/f", "--fd=:"},
	{"--socket-path= --blk-file=/f", "--socket-path=: the path is empty"},
	{"--socket-path=/s --blk-file=", "--blk-file=: the name is empty"},
	{"--disk=socket=/a,file=/f --disk=socket=/b,file=/f", "/f: named for two disks"},
	{"--disk=socket=/a,file=/f,num-queues=0", "--disk num-queues=0:"},
	{"--disk=socket=/a,file=/f,read-only=perhaps", "--disk read-only=perhaps:"},
	{"--disk=socket=/a,file=/f --disk=socket=/a,file=/g", "/a: named for two disks"},
	{DISK "--disk=socket=/s,file=/g", "/s: named for two disks"},
};

START_TEST(bad_value)
{
	char text[1024];

	ck_assert_int_eq(parse_in_child(bad_values[_i].line, 2, text, sizeof(text)), 1);
	ck_assert_msg(strstr(text, bad_values[_i].named), "said: %s", text);
	ck_assert_msg(!strncmp(text, "ringside-blk: ", 14), "said: %s", text);
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}
END_TEST

/* Usage: exit 2, and a line that leads to --help. */
static const struct {
	const char *line;
	const char *named;
} bad_usage[] = {
	{"", "--blk-file is missing"},
	{"--socket-path=/s", "--blk-file is missing"},
	{"--blk-file=/f", "--socket-path is missing"},
	{"--socket-path=/s --fd=3 --blk-file=/f", "--socket-path and fd exclude each other"},
	{"--fd=3 --client --blk-file=/f", "client needs --socket-path"},
	{DISK "more", "'more' is not an option"},
	{DISK "--no-such", "--no-such"},
	{DISK "-x", "x"},
	{"--socket-path", "--socket-path"},
	{DISK "--busy-poll=1", "--busy-poll"},
	{"--disk=socket=/a", "--disk file is missing"},
	{"--disk=file=/f", "--disk socket is missing"},
	{"--disk=socket=/a,file=/f,size=1G", "--disk has no key 'size'"},
	{"--disk=socket=/a,file", "--disk file needs a value"},
	{"--disk=", "--disk file is missing"},
};

START_TEST(bad_command_line)
{
	char text[1024];

	ck_assert_int_eq(parse_in_child(bad_usage[_i].line, 2, text, sizeof(text)), 2);
	ck_assert_msg(strstr(text, bad_usage[_i].named), "said: %s", text);
	ck_assert_msg(strstr(text, "ringside-blk --help"), "said: %s", text);
}
END_TEST

START_TEST(too_many_disks)
{
	char *argv[BLK_MAX_DISKS + 3] = {"ringside-blk"};
	static char text[BLK_MAX_DISKS + 1][64];
	int i, status;
	pid_t pid;

	for (i = 0; i < BLK_MAX_DISKS + 1; i++) {
		snprintf(text[i], sizeof(text[i]), "--disk=socket=/s%d,file=/f%d", i, i);
		argv[i + 1] = text[i];
	}
	pid = fork();
	if (!pid) {
		blk_options_parse(&opt, BLK_MAX_DISKS + 2, argv);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	argv[BLK_MAX_DISKS + 1] = NULL;
	for (i = 0; i < BLK_MAX_DISKS; i++)
		snprintf(text[i], sizeof(text[i]), "--disk=socket=/s%d,file=/f%d", i, i);
	blk_options_parse(&opt, BLK_MAX_DISKS + 1, argv);
	ck_assert_uint_eq(opt.num_disks, BLK_MAX_DISKS);
}
END_TEST

START_TEST(answers)
{
	static const struct {
		const char *line;
		const char *said;
	} cases[] = {
		{"--help", "usage: ringside-blk"},
		{"--version", "ringside-blk " RINGSIDE_VERSION "\n"},
		{"--print-capabilities", "\"type\": \"block\""},
	};
	char text[8192];

	ck_assert_int_eq(parse_in_child(cases[_i].line, 1, text, sizeof(text)), 0);
	ck_assert_msg(strstr(text, cases[_i].said), "said: %s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_options");
	TCase *taken = tcase_create("taken"), *refused = tcase_create("refused");

	tcase_add_checked_fixture(taken, setup, NULL);
	tcase_add_test(taken, defaults);
	tcase_add_test(taken, one_disk);
	tcase_add_test(taken, all_disks);
	tcase_add_test(taken, several_disks);
	tcase_add_test(taken, single_form_beside_disks);
	tcase_add_test(taken, disks_that_may_be_alike);
	tcase_add_loop_test(taken, answers, 0, 3);
	suite_add_tcase(suite, taken);
	tcase_add_checked_fixture(refused, setup, NULL);
	tcase_add_loop_test(refused, bad_value, 0, (int)ARRAY_SIZE(bad_values));
	tcase_add_loop_test(refused, bad_command_line, 0, (int)ARRAY_SIZE(bad_usage));
	tcase_add_test(refused, too_many_disks);
	suite_add_tcase(suite, refused);
	return run_suite(suite);
}
