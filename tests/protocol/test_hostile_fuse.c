/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_fuse.c - hostile input 9: memory whose file is served by a process (FUSE), which
 * never gives a page. Skipped where no such file can be made.
 */
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>

#include "tests/protocol/fuse_file.h"
#include "tests/protocol/rig.h"

#define SKIPPED 77

static struct fuse_file file;

static void setup(bool packed)
{
	ck_assert_int_eq(fuse_file_open(&file, 1ull << FUSE_READ), 0);
	rig_setup(&(struct echo_options){.packed = packed});
}

static void setup_split(void)
{
	setup(false);
}

static void setup_packed(void)
{
	setup(true);
}

static void teardown(void)
{
	rig_teardown();
	close_fd(&file.fd);
	fuse_file_end(&file);
}

static struct vu_msg with_file(struct vu_msg msg)
{
	msg.fds[0] = file.fd;
	msg.num_fds = 1;
	return msg;
}

START_TEST(h09_guest_memory_of_a_process)
{
	struct vu_region region = {.gpa = 4096, .uva = 4096, .size = FUSE_FILE_BYTES};
	struct vu_msg table = request(VU_SET_MEM_TABLE, 8 + 32);
	struct vu_msg slot = request(VU_ADD_MEM_REG, sizeof(slot.payload.region));

	table.payload.mem.num_regions = 1;
	table.payload.mem.regions[0] = slot.payload.region.region = region;
	rig_ready(1);
	refused(with_file(table));
	rig_echo(0);
	refused(with_file(slot));
	rig_echo(0);
	rig_others_go_on();
	rig_survived();
}
END_TEST

START_TEST(h09_an_inflight_region_of_a_process)
{
	struct vu_msg msg = request(VU_SET_INFLIGHT_FD, 24);

	msg.payload.inflight = (struct vu_inflight){.mmap_size = 65536,
						    .num_queues = 1,
						    .queue_size = RIG_RING_SIZE};
	rig_ready(1);
	refused(with_file(msg));
	rig_echo(0);
	rig_survived();
}
END_TEST

/* Its answer is a reply of its own, and a refusal the end. */
START_TEST(h09_a_log_of_a_process)
{
	struct vu_msg msg = request(VU_SET_LOG_BASE, sizeof(msg.payload.log));

	msg.payload.log = (struct vu_log){.mmap_size = FUSE_FILE_BYTES};
	rig_ready(1);
	msg = with_file(msg);
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	rig_closed();
	rig_survived();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h09_guest_memory_of_a_process);
	tcase_add_test(tc, h09_an_inflight_region_of_a_process);
	tcase_add_test(tc, h09_a_log_of_a_process);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("hostile_fuse");

	if (!fuse_file_possible())
		return SKIPPED;
	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	return run_suite(suite);
}
