/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_options.c - the command line of ringside-balloon: what is taken. What is refused, and
 * how, is in protocol/test_balloon_operator. Tests balloon/options.
 */
#include <getopt.h>

#include "balloon/options.h"
#include "tests/unit/support.h"
#include "vhost/base/log.h"

#define MAX_ARGS 12
#define MIB      (1ull << 20)

static struct bal_options opt;

static void parse(const char *line)
{
	static char copy[512];
	char *argv[MAX_ARGS + 1], *word, *rest = copy;
	int argc = 0;

	snprintf(copy, sizeof(copy), "ringside-balloon %s", line);
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		argv[argc++] = word;
	argv[argc] = NULL;
	optind = 0;
	bal_options_parse(&opt, argc, argv);
}

static void setup(void)
{
	log_init("ringside-balloon");
}

START_TEST(defaults)
{
	const struct bal_vm_options *vm = &opt.vms[0];

	parse("--socket-path=/s");
	ck_assert_uint_eq(opt.num_vms, 1);
	ck_assert_str_eq(vm->name, "balloon0");
	ck_assert_str_eq(vm->socket.path, "/s");
	ck_assert(!vm->has_target);
	ck_assert_uint_eq(vm->target_bytes, BAL_ALL_MEMORY);
	ck_assert_uint_eq(vm->min_bytes, 0);
	ck_assert_uint_eq(vm->max_bytes, BAL_ALL_MEMORY);
	ck_assert_uint_eq(vm->shares, 1000);
	ck_assert_uint_eq(vm->stats_interval_s, 10);
	ck_assert(vm->deflate_on_oom && vm->reporting && !vm->hinting);
	ck_assert_ptr_null(vm->state_file);
	ck_assert_int_eq(opt.mode, BAL_MANUAL);
	ck_assert_uint_eq(opt.interval_ms, 2000);
	ck_assert_uint_eq(opt.policy.low_permille, 100);
	ck_assert_uint_eq(opt.policy.high_permille, 200);
	ck_assert(opt.daemon.sandbox);
}
END_TEST

START_TEST(one_guest)
{
	const struct bal_vm_options *vm = &opt.vms[0];

	parse("--fd=7 --target=512M --min=256M --max=1G --shares=10000 --stats-interval=0 "
	      "--deflate-on-oom=off --free-page-reporting=off --free-page-hinting=on "
	      "--state-file=/f");
	ck_assert_int_eq(vm->socket.fd, 7);
	ck_assert(vm->has_target);
	ck_assert_uint_eq(vm->target_bytes, 512 * MIB);
	ck_assert_uint_eq(vm->min_bytes, 256 * MIB);
	ck_assert_uint_eq(vm->max_bytes, 1024 * MIB);
	ck_assert_uint_eq(vm->shares, 10000);
	ck_assert_uint_eq(vm->stats_interval_s, 0);
	ck_assert(!vm->deflate_on_oom && !vm->reporting && vm->hinting);
	ck_assert_str_eq(vm->state_file, "/f");
}
END_TEST

START_TEST(all_is_a_target)
{
	parse("--socket-path=/s --target=all --max=1G");
	ck_assert(opt.vms[0].has_target);
	ck_assert_uint_eq(opt.vms[0].target_bytes, BAL_ALL_MEMORY);
}
END_TEST

START_TEST(several_guests_and_a_policy)
{
	parse("--vm=name=a,socket=/a,client,min=64M --vm=name=b,fd=3,shares=1,target=1G "
	      "--policy=dry-run --host-low=5 --host-high=50 --host-pressure=20 --rate=1M "
	      "--interval=60 --control-path=/c --no-sandbox");
	ck_assert_uint_eq(opt.num_vms, 2);
	ck_assert_str_eq(opt.vms[0].name, "a");
	ck_assert(opt.vms[0].socket.client);
	ck_assert_uint_eq(opt.vms[0].min_bytes, 64 * MIB);
	ck_assert_int_eq(opt.vms[1].socket.fd, 3);
	ck_assert_uint_eq(opt.vms[1].shares, 1);
	ck_assert_uint_eq(opt.vms[1].target_bytes, 1024 * MIB);
	ck_assert_int_eq(opt.mode, BAL_DRY_RUN);
	ck_assert_uint_eq(opt.policy.low_permille, 50);
	ck_assert_uint_eq(opt.policy.high_permille, 500);
	ck_assert_uint_eq(opt.policy.host_pressure_permille, 200);
	ck_assert_uint_eq(opt.policy.rate_bytes_per_s, MIB);
	ck_assert_uint_eq(opt.interval_ms, 60000);
	ck_assert_str_eq(opt.daemon.control_path, "/c");
	ck_assert(!opt.daemon.sandbox);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_options");
	TCase *tcase = tcase_create("options");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, one_guest);
	tcase_add_test(tcase, all_is_a_target);
	tcase_add_test(tcase, several_guests_and_a_policy);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
