/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_memory.c - hostile inputs 5 to 9 and 21: memory tables and slots that lie, shrink,
 * overlap, wrap, or go away under a request.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/protocol/rig.h"

static struct vu_msg table(unsigned regions, unsigned fds)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + 32 * regions);

	msg.payload.mem.num_regions = regions;
	for (unsigned i = 0; i < regions; i++) {
		msg.payload.mem.regions[i % VU_MAX_TABLE_SLOTS] = (struct vu_region){
			.gpa = 0x100000ull * (i + 1),
			.uva = 0x100000ull * (i + 1),
			.size = 4096,
		};
	}
	for (unsigned i = 0; i < fds; i++)
		msg.fds[i] = rig.mem.regions[0].fd;
	msg.num_fds = fds;
	return msg;
}

static struct vu_msg slot(struct vu_region region, int fd)
{
	struct vu_msg msg = request(VU_ADD_MEM_REG, sizeof(msg.payload.region));

	msg.payload.region.region = region;
	msg.fds[0] = fd;
	msg.num_fds = 1;
	return msg;
}

/* refused_both_ways - as a table of one and as a slot; the table before stays whole. */
static void refused_both_ways(struct vu_region region, int fd)
{
	struct vu_msg msg = table(1, 1);

	msg.payload.mem.regions[0] = region;
	msg.fds[0] = fd;
	refused(msg);
	rig_echo(0);
	refused(slot(region, fd));
	rig_echo(0);
}

START_TEST(h05_region_counts)
{
	struct vu_msg msg;

	rig_ready(1);
	refused(table(0, 0));
	refused(table(0, 1));
	refused(table(2, 1));
	refused(table(1, 2));
	refused(table(1, 0));
	msg = table(33, 32);
	refused(msg);
	msg = table(1, 1);
	msg.payload.mem.num_regions = 0xffffffff;
	refused(msg);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h05_a_count_that_does_not_fit_the_payload_closes)
{
	struct vu_msg msg = table(3, 2);

	rig_ready(1);
	msg.payload.mem.num_regions = 2;
	closes(msg);
	rig_survived();
}
END_TEST

START_TEST(h06_offsets_that_overflow)
{
	static const struct vu_region bad[] = {
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = 0},
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = UINT64_MAX},
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = 4096, .mmap_offset = UINT64_MAX},
		{.gpa = 1ull << 40,
		 .uva = 1ull << 40,
		 .size = 4096,
		 .mmap_offset = UINT64_MAX - 4095},
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = 4096, .mmap_offset = 1ull << 63},
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = UINT64_MAX - 100},
		{.gpa = 1ull << 40, .uva = 1ull << 40, .size = 1ull << 63},
	};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		refused_both_ways(bad[i], rig.mem.regions[0].fd);
	rig_survived();
}
END_TEST

START_TEST(h07_regions_that_overlap)
{
	struct vu_region here = fe_memory_describe(&rig.mem, 0);
	struct vu_region near = here;
	struct vu_msg msg;

	rig_ready(1);
	/* In a table, by guest address and by user address. */
	msg = table(3, 3);
	msg.payload.mem.regions[2].gpa = msg.payload.mem.regions[0].gpa + 4095;
	refused(msg);
	msg = table(3, 3);
	msg.payload.mem.regions[2].uva = msg.payload.mem.regions[1].uva - 1;
	refused(msg);
	/* With a slot that is there. */
	near.size = 4096;
	near.gpa = here.gpa + here.size - 1;
	near.uva = here.uva + here.size;
	refused(slot(near, rig.mem.regions[0].fd));
	near.gpa = here.gpa + here.size;
	near.uva = here.uva - 4095;
	refused(slot(near, rig.mem.regions[0].fd));
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h07_regions_that_wrap)
{
	rig_ready(1);
	refused_both_ways((struct vu_region){.gpa = UINT64_MAX - 100, .uva = 4096, .size = 4096},
			  rig.mem.regions[0].fd);
	refused_both_ways((struct vu_region){.gpa = 4096, .uva = UINT64_MAX - 100, .size = 4096},
			  rig.mem.regions[0].fd);
	rig_survived();
}
END_TEST

START_TEST(h08_an_fd_shorter_than_its_region)
{
	rig_ready(1);
	refused_both_ways((struct vu_region){.gpa = 4096, .uva = 4096, .size = RIG_MEM_BYTES + 1},
			  rig.mem.regions[0].fd);
	refused_both_ways((struct vu_region){.gpa = 4096,
					     .uva = 4096,
					     .size = 8192,
					     .mmap_offset = RIG_MEM_BYTES - 4096},
			  rig.mem.regions[0].fd);
	rig_survived();
}
END_TEST

/*
 * Memory that can be shrunk, as a front-end that means no good would have it. The ring is laid
 * out in sealed memory of ours; the back-end is shown another file in its place.
 */
static int shrinkable;
static int sealed;

static void show_shrinkable(void)
{
	shrinkable = memfd_create("shrinks", MFD_CLOEXEC);
	sealed = dup(rig.mem.regions[0].fd);
	ck_assert_int_eq(ftruncate(shrinkable, RIG_MEM_BYTES), 0);
	ck_assert_int_ge(dup2(shrinkable, rig.mem.regions[0].fd), 0);
}

static void show_sealed(void)
{
	ck_assert_int_ge(dup2(sealed, rig.mem.regions[0].fd), 0);
	close_fd(&sealed);
	close_fd(&shrinkable);
}

/* The queue's thread reads a ring that is not there any more. */
START_TEST(h08_memory_truncated_under_a_running_ring)
{
	show_shrinkable();
	rig_ready(1);
	ck_assert_int_eq(ftruncate(shrinkable, 0), 0);
	fe_ring_notify(&rig.ring[0]);
	rig_closed(); /* that connection ends */
	show_sealed();
	rig_survived();
}
END_TEST

/* The control thread starts a ring whose memory is gone. */
START_TEST(h08_memory_truncated_before_a_ring_starts)
{
	show_shrinkable();
	rig_ready(0);
	ck_assert_int_eq(ftruncate(shrinkable, 0), 0);
	fe_ring_start(&rig.fe, 0, &rig.ring[0]); /* however far it comes */
	rig_closed();
	show_sealed();
	rig_survived();
}
END_TEST

/* Other devices go on, and so does the process: more than once. */
START_TEST(h08_truncated_memory_stops_no_other_session)
{
	struct fe other;

	rig_connect_fe(&other, &rig.daemon.echo[1]);
	for (unsigned round = 0; round < 3; round++) {
		show_shrinkable();
		rig_ready(1);
		ck_assert_int_eq(ftruncate(shrinkable, 0), 0);
		fe_ring_notify(&rig.ring[0]);
		rig_closed();
		ck_assert_int_eq(fe_sync(&other), 0);
		rig_hangup();
		show_sealed();
	}
	fe_close(&other);
	rig_survived();
}
END_TEST

START_TEST(h09_fds_that_cannot_be_mapped)
{
	struct vu_region region = {.gpa = 4096, .uva = 4096, .size = 4096};
	int pipes[2];
	int files[] = {open("/tmp", O_RDONLY | O_DIRECTORY), open("/dev/null", O_RDWR),
		       open("/proc/self/exe", O_RDONLY), rig.ring[0].kick_fd};

	ck_assert_int_eq(pipe(pipes), 0);
	rig_ready(1);
	refused_both_ways(region, pipes[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		refused_both_ways(region, files[i]);
	for (unsigned i = 0; i < 3; i++)
		close(files[i]);
	close(pipes[0]);
	close(pipes[1]);
	rig_survived();
}
END_TEST

/* The last of several cannot be mapped: the table before stays, what was mapped is undone. */
START_TEST(h09_one_bad_region_of_several_changes_nothing)
{
	struct vu_msg msg = table(4, 4);
	struct held with;

	rig_ready(1);
	with = held_now();
	msg.fds[3] = rig.ring[0].kick_fd;
	for (unsigned i = 0; i < 50; i++)
		refused(msg);
	ck_assert_uint_eq(held_now().maps, with.maps);
	ck_assert_uint_eq(held_now().fds, with.fds);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h21_a_region_removed_with_a_request_in_flight_is_drained_first)
{
	struct vu_msg msg = request(VU_REM_MEM_REG, sizeof(msg.payload.region));
	struct held with;

	rig_ready(1);
	rig_echo(0);
	with = held_now();
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
	msg.payload.region.region = fe_memory_describe(&rig.mem, 0);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	usleep(50000);
	ck_assert_uint_eq(held_now().maps, with.maps); /* still there: a request is in it */
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_REM_MEM_REG, 8, 0), 0);
	ck_assert_uint_eq(held_now().maps, with.maps - 1);
	rig_answer(0);
	rig_survived();
}
END_TEST

static TCase *in_format(const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h05_region_counts);
	tcase_add_test(tc, h05_a_count_that_does_not_fit_the_payload_closes);
	tcase_add_test(tc, h06_offsets_that_overflow);
	tcase_add_test(tc, h07_regions_that_overlap);
	tcase_add_test(tc, h07_regions_that_wrap);
	tcase_add_test(tc, h08_an_fd_shorter_than_its_region);
	tcase_add_test(tc, h08_memory_truncated_under_a_running_ring);
	tcase_add_test(tc, h08_memory_truncated_before_a_ring_starts);
	tcase_add_test(tc, h08_truncated_memory_stops_no_other_session);
	tcase_add_test(tc, h09_fds_that_cannot_be_mapped);
	tcase_add_test(tc, h09_one_bad_region_of_several_changes_nothing);
	tcase_add_test(tc, h21_a_region_removed_with_a_request_in_flight_is_drained_first);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("hostile_memory");

	suite_add_tcase(suite, in_format("split", rig_default));
	suite_add_tcase(suite, in_format("packed", rig_packed));
	return run_suite(suite);
}
