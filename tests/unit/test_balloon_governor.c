/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_governor.c - the governor applies what the policy says in auto mode, only tells in a dry
 * run, and sleeps in manual mode. The guests are made up: vm.c is not linked. Tests balloon/governor.
 */
#include "balloon/governor.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define N   2

static struct bal_options options;
static struct bal_vm vms[N];
static struct bal_governor gov;
static struct loop *loop;
static unsigned sets, asks;
static bool is_present;
static const char *inhibited;

int bal_vm_set_target(struct bal_vm *vm, uint64_t bytes)
{
	sets++;
	vm->target_bytes = bytes;
	return 0;
}

uint64_t bal_vm_target(const struct bal_vm *vm)
{
	return vm->target_bytes;
}

uint64_t bal_vm_actual(const struct bal_vm *vm)
{
	return vm->memory_bytes;
}

const char *bal_vm_inhibited(const struct bal_vm *vm)
{
	return vm == &vms[0] ? inhibited : NULL;
}

bool bal_vm_present(const struct bal_vm *vm)
{
	(void)vm;
	return is_present;
}

void bal_vm_ask_stats(struct bal_vm *vm)
{
	asks++;
	vm->stats.taken_ns = clock_ns();
}

/* The host has 10 GiB, and so many KiB of them available. */
static void set_host(uint64_t available_kib)
{
	int fd = test_memfd(0);

	dprintf(fd, "MemTotal: %llu kB\nMemAvailable: %llu kB\n", 10 * GIB >> 10,
		(unsigned long long)available_kib);
	close(gov.files.meminfo_fd);
	gov.files.meminfo_fd = fd;
}

/* Let some rounds go by. */
static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_ms(uint64_t ms)
{
	struct loop_timer end = {0};

	loop_timer_set(loop, &end, ms, stop);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void setup(void)
{
	ck_assert_int_eq(loop_create(&loop), 0);
	memset(&options, 0, sizeof(options));
	options.num_vms = N;
	options.mode = BAL_MANUAL;
	options.policy = bal_policy_default();
	options.policy.rate_bytes_per_s = GIB;
	options.interval_ms = 10;
	for (unsigned i = 0; i < N; i++) {
		snprintf(options.vms[i].name, sizeof(options.vms[i].name), "vm%u", i);
		options.vms[i].max_bytes = BAL_ALL_MEMORY;
		options.vms[i].shares = 1000;
		vms[i] = (struct bal_vm){.opt = &options.vms[i], .memory_bytes = 4 * GIB};
		vms[i].target_bytes = 4 * GIB;
		vms[i].stats.there = true;
		vms[i].stats.taken_ns = clock_ns();
		vms[i].stats.present = 1u << BAL_STAT_AVAILABLE;
		vms[i].stats.values[BAL_STAT_AVAILABLE] = 3 * GIB;
	}
	sets = asks = 0;
	is_present = true;
	inhibited = NULL;
	ck_assert_int_eq(bal_governor_open(&gov, &options, vms, loop), 0);
	set_host(100 << 10);
}

static void teardown(void)
{
	bal_governor_close(&gov);
	loop_destroy(loop);
}

START_TEST(in_manual_mode_it_never_wakes)
{
	ck_assert(!gov.timer.active);
	run_ms(30);
	ck_assert_uint_eq(sets + asks, 0);
	ck_assert_ptr_null(bal_governor_reason(&gov, 0));
	ck_assert_ptr_null(bal_governor_refuses_set(&gov));
}
END_TEST

START_TEST(in_auto_mode_a_short_host_lowers_the_targets)
{
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	run_ms(100);
	ck_assert_uint_gt(sets, N);
	ck_assert_uint_lt(vms[0].target_bytes, 4 * GIB);
	ck_assert_str_eq(bal_governor_reason(&gov, 0), "reclaim");
	ck_assert_ptr_nonnull(bal_governor_refuses_set(&gov));
}
END_TEST

START_TEST(it_asks_for_statistics_whatever_the_interval_of_the_guest)
{
	vms[0].stats_interval_s = 0;
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	run_ms(100);
	ck_assert_uint_ge(asks, 2 * N);
}
END_TEST

START_TEST(a_guest_that_only_tells_what_is_free_is_squeezed_too)
{
	vms[0].stats.present = 1u << BAL_STAT_FREE;
	vms[0].stats.values[BAL_STAT_FREE] = 3 * GIB;
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	run_ms(100);
	ck_assert_uint_lt(vms[0].target_bytes, 4 * GIB);
}
END_TEST

START_TEST(a_dry_run_decides_and_sets_nothing)
{
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_DRY_RUN), 0);
	run_ms(100);
	ck_assert_uint_eq(sets, 0);
	ck_assert_str_eq(bal_governor_reason(&gov, 0), "reclaim");
	ck_assert_ptr_null(bal_governor_refuses_set(&gov));
}
END_TEST

/* Lines on stderr that hold @text, of what happens in @ms. */
static unsigned lines_in(uint64_t ms, const char *text)
{
	char log[8192] = "";
	int saved = dup(2), fd = test_memfd(0);
	unsigned lines = 0;
	ssize_t len;

	dup2(fd, 2);
	run_ms(ms);
	dup2(saved, 2);
	close(saved);
	len = pread(fd, log, sizeof(log) - 1, 0);
	close(fd);
	ck_assert_int_ge(len, 0);
	for (const char *at = log; (at = strstr(at, text)); at++)
		lines++;
	return lines;
}

START_TEST(a_dry_run_tells_a_verdict_once)
{
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_DRY_RUN), 0);
	ck_assert_uint_eq(lines_in(100, "dry-run: vm0 4096 -> "), 1);
	set_host(1500 << 10);
	ck_assert_uint_eq(lines_in(100, "dry-run: vm0 stays (keep)"), 1);
}
END_TEST

START_TEST(a_host_that_cannot_be_read_moves_nothing_and_is_told_once)
{
	static const char garbage[] = "no such thing\n";

	ck_assert_int_eq(ftruncate(gov.files.meminfo_fd, 0), 0);
	ck_assert_int_eq(pwrite(gov.files.meminfo_fd, garbage, sizeof(garbage), 0),
			 sizeof(garbage));
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	ck_assert_uint_eq(lines_in(100, "cannot be read"), 1);
	ck_assert_uint_eq(sets, 0);
	set_host(100 << 10);
	run_ms(100);
	ck_assert_uint_gt(sets, 0);
}
END_TEST

START_TEST(inhibited_and_absent_guests_keep_their_targets)
{
	inhibited = "migration";
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	run_ms(100);
	ck_assert_uint_eq(vms[0].target_bytes, 4 * GIB);
	ck_assert_str_eq(bal_governor_reason(&gov, 0), "absent");
	ck_assert_uint_lt(vms[1].target_bytes, 4 * GIB);
	is_present = false;
	sets = 0;
	run_ms(50);
	ck_assert_uint_eq(sets, 0);
}
END_TEST

START_TEST(back_in_manual_mode_targets_stay_and_it_sleeps)
{
	uint64_t target;

	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), 0);
	run_ms(50);
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_MANUAL), 0);
	target = vms[0].target_bytes;
	sets = asks = 0;
	run_ms(50);
	ck_assert_uint_eq(sets + asks, 0);
	ck_assert_uint_eq(vms[0].target_bytes, target);
	ck_assert_ptr_null(bal_governor_reason(&gov, 0));
}
END_TEST

START_TEST(without_meminfo_there_is_only_manual)
{
	close(gov.files.meminfo_fd);
	gov.files.meminfo_fd = -EACCES;
	ck_assert_int_eq(bal_governor_set_mode(&gov, BAL_AUTO), -EACCES);
	ck_assert_int_eq(gov.mode, BAL_MANUAL);
	ck_assert(!gov.timer.active);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_governor");
	TCase *tc = tcase_create("modes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, in_manual_mode_it_never_wakes);
	tcase_add_test(tc, in_auto_mode_a_short_host_lowers_the_targets);
	tcase_add_test(tc, it_asks_for_statistics_whatever_the_interval_of_the_guest);
	tcase_add_test(tc, a_guest_that_only_tells_what_is_free_is_squeezed_too);
	tcase_add_test(tc, a_dry_run_decides_and_sets_nothing);
	tcase_add_test(tc, a_dry_run_tells_a_verdict_once);
	tcase_add_test(tc, a_host_that_cannot_be_read_moves_nothing_and_is_told_once);
	tcase_add_test(tc, inhibited_and_absent_guests_keep_their_targets);
	tcase_add_test(tc, back_in_manual_mode_targets_stay_and_it_sleeps);
	tcase_add_test(tc, without_meminfo_there_is_only_manual);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
