/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_hugetlb.c - hostile inputs 16 and 19 on huge pages: a dirty log and an in-flight
 * region whose hugetlbfs file is cut short under a running ring. Skipped where the host gives no
 * huge pages.
 */
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tests/lib/huge_pool.h"
#include "tests/protocol/rig.h"

#define HUGE_BYTES (2ull << 20)
#define NEEDED     2
#define SKIPPED    77

static bool packed;
static int fd;

static void setup(void)
{
	rig_setup(&(struct echo_options){.packed = packed});
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, NEEDED * HUGE_BYTES), 0);
	rig.before = held_now();
}

static void setup_split(void)
{
	packed = false;
	setup();
}

static void setup_packed(void)
{
	packed = true;
	setup();
}

static void teardown(void)
{
	rig_teardown();
	close_fd(&fd);
}

/* cut - the file is gone; whoever writes to it next goes on, the session does not. */
static void cut(void)
{
	rig_echo(0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	rig_submit(0);
	rig_closed();
	rig_hangup();
	ck_assert_int_eq(ftruncate(fd, NEEDED * HUGE_BYTES), 0);
	rig_survived();
}

START_TEST(h16_a_log_truncated_while_requests_run)
{
	rig_ready(1); /* LOG_ALL included */
	ck_assert_int_eq(fe_set_log_base(&rig.fe, fd, HUGE_BYTES, HUGE_BYTES / 2 + 100), 0);
	cut();
}
END_TEST

START_TEST(h19_a_region_truncated_while_requests_run)
{
	struct vu_msg msg = request(VU_SET_INFLIGHT_FD, sizeof(struct vu_inflight));

	rig_ready(0);
	msg.payload.inflight = (struct vu_inflight){
		.mmap_size = 65536,
		.mmap_offset = HUGE_BYTES - 4096,
		.num_queues = 1,
		.queue_size = RIG_RING_SIZE,
	};
	msg.fds[0] = fd;
	msg.num_fds = 1;
	accepted(msg);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	cut();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h16_a_log_truncated_while_requests_run);
	tcase_add_test(tc, h19_a_region_truncated_while_requests_run);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("hostile_hugetlb");
	long before;
	int status;

	if (!huge_pool_raise(NEEDED, &before))
		return SKIPPED;
	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	status = run_suite(suite);
	huge_pool_restore(before);
	return status;
}
