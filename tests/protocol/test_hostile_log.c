/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_log.c - hostile input 16: dirty logs that overflow, cannot be mapped, end too early or
 * go away under a write; for split and packed rings.
 */
#include <fcntl.h>
#include <string.h>

#include "tests/protocol/dirty_log.h"
#include "tests/protocol/rig.h"

#define LOG_BYTES ((RIG_GPA + RIG_MEM_BYTES) / LOG_PAGE / 8)

static bool packed;

static void setup_split(void)
{
	packed = false;
	rig_setup(NULL);
}

static void setup_packed(void)
{
	packed = true;
	rig_setup(&(struct echo_options){.packed = true});
}

static struct vu_msg log_base(uint64_t offset, uint64_t bytes, int fd)
{
	struct vu_msg msg = request(VU_SET_LOG_BASE, sizeof(msg.payload.log));

	msg.payload.log = (struct vu_log){.mmap_size = bytes, .mmap_offset = offset};
	msg.fds[0] = fd;
	msg.num_fds = fd >= 0;
	return msg;
}

static void set_ring_log(uint64_t log_gpa)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	addr.flags = VU_VRING_F_LOG;
	addr.log_gpa = log_gpa;
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
}

static uint64_t used_gpa(void)
{
	const void *used = packed ? (void *)rig.ring[0].device_event : (void *)rig.ring[0].used;

	return RIG_GPA + (uint64_t)((const uint8_t *)used - rig.mem.regions[0].host);
}

/* logging - a ring that runs and logs all that is written. */
static void logging(const struct dirty_log *log)
{
	rig_ready(1); /* LOG_ALL included */
	ck_assert_int_eq(dirty_log_use(&rig.fe, log), 0);
	set_ring_log(used_gpa());
	rig_echo(0);
}

/* It has a reply of its own and none for an error, so the connection ends. */
START_TEST(h16_logs_that_cannot_be)
{
	struct dirty_log log;
	uint64_t end;

	dirty_log_make(&log, 0, LOG_BYTES);
	rig.before = held_now();
	end = log.file_bytes;
	{
		const struct vu_log bad[] = {
			{.mmap_size = 0},
			{.mmap_size = 0, .mmap_offset = end},
			{.mmap_size = end + 1},
			{.mmap_size = end, .mmap_offset = 1},
			{.mmap_size = 1, .mmap_offset = end},
			{.mmap_size = 4096, .mmap_offset = UINT64_MAX - 100},
			{.mmap_size = UINT64_MAX, .mmap_offset = 4096},
			{.mmap_size = UINT64_MAX},
			{.mmap_size = 1ull << 61},
			{.mmap_size = (1ull << 61) + 1},
			{.mmap_size = 1ull << 63, .mmap_offset = 1ull << 63},
		};

		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
			rig_ready(1);
			rig_echo(0);
			closes(log_base(bad[i].mmap_offset, bad[i].mmap_size, log.fd));
			rig_survived();
		}
	}
	ck_assert(dirty_log_fenced(&log));
	dirty_log_free(&log);
}
END_TEST

START_TEST(h16_fds_that_are_no_log)
{
	int pipes[2];
	int files[6] = {open("/tmp", O_RDONLY | O_DIRECTORY),
			open("/dev/null", O_RDWR),
			open("/proc/self/exe", O_RDONLY),
			rig.ring[0].kick_fd,
			-1,
			-1};

	ck_assert_int_eq(pipe(pipes), 0);
	files[4] = pipes[0];
	rig.before = held_now();
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) { /* the last: none at all */
		rig_ready(1);
		rig_echo(0);
		closes(log_base(0, 4096, files[i]));
		rig_survived();
	}
	for (unsigned i = 0; i < 3; i++)
		close(files[i]);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(h16_messages_without_the_feature)
{
	struct dirty_log log;
	struct vu_msg msg;

	dirty_log_make(&log, 0, LOG_BYTES);
	rig.before = held_now();
	for (unsigned i = 0; i < 2; i++) {
		rig_connect();
		ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES,
					      ALL_FEATURES & ~VU_BIT(VU_PF_LOG_SHMFD)),
				 0);
		msg = i ? request(VU_SET_LOG_FD, 0) : log_base(0, LOG_BYTES, log.fd);
		msg.fds[0] = log.fd;
		msg.num_fds = 1;
		closes(msg);
		rig_survived();
	}
	dirty_log_free(&log);
}
END_TEST

START_TEST(h16_log_fds_that_are_no_eventfd)
{
	struct vu_msg msg = request(VU_SET_LOG_FD, 0);
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	rig.before = held_now();
	rig_ready(1);
	refused(msg);
	msg.num_fds = 1;
	msg.fds[0] = pipes[1];
	refused(msg);
	msg.fds[0] = rig.mem.regions[0].fd;
	refused(msg);
	rig_echo(0);
	rig_survived();
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(h16_ring_flags_that_are_unknown)
{
	static const uint32_t bad[] = {2, 3, 0x80000000, 0x80000001, UINT32_MAX};
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		msg.payload.addr = fe_ring_wire_addr(&rig.ring[0], 0);
		msg.payload.addr.flags = bad[i];
		refused(msg);
		rig_echo(0);
	}
	rig_survived();
}
END_TEST

/* Guest memory begins at RIG_GPA: its pages are beyond the first of these, and around the others'
 * ends. Bytes before and behind the log are watched. */
START_TEST(h16_a_log_shorter_than_guest_memory)
{
	const uint64_t first = RIG_GPA / LOG_PAGE / 8;
	const struct {
		uint64_t offset, bytes;
	} logs[] = {{64, 1}, {0, 4096}, {4096 + 8, first}, {8192 - 1, first + 1}, {100, first + 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(logs); i++) {
		struct dirty_log log;

		dirty_log_make(&log, logs[i].offset, logs[i].bytes);
		logging(&log);
		for (unsigned k = 0; k < 100; k++)
			rig_echo(0);
		rig_hangup();
		ck_assert(dirty_log_fenced(&log));
		if (logs[i].bytes <= first)
			ck_assert_uint_eq(dirty_log_count(&log), 0);
		dirty_log_free(&log);
		fe_ring_reset(&rig.ring[0]);
	}
	rig_survived();
}
END_TEST

/* The address of the ring in the log is only ever a place in the log. */
START_TEST(h16_log_addresses_of_rings_that_lie_anywhere)
{
	static const uint64_t addresses[] = {0,
					     1,
					     4095,
					     LOG_BYTES * 8 * LOG_PAGE - 1,
					     UINT64_MAX,
					     UINT64_MAX - 3,
					     UINT64_MAX - 4,
					     UINT64_MAX - 600,
					     1ull << 63,
					     UINT64_MAX / 2};
	struct dirty_log log;

	dirty_log_make(&log, 40, LOG_BYTES);
	rig.before = held_now();
	logging(&log);
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		set_ring_log(addresses[i]);
		for (unsigned k = 0; k < 70; k++)
			rig_echo(0);
	}
	ck_assert(dirty_log_fenced(&log));
	rig_survived();
	dirty_log_free(&log);
}
END_TEST

START_TEST(h16_the_same_log_many_times)
{
	struct dirty_log log;
	struct held with;

	dirty_log_make(&log, 0, LOG_BYTES);
	rig.before = held_now();
	logging(&log);
	with = held_now();
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(dirty_log_use(&rig.fe, &log), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_eq(held_now().fds, with.fds);
	ck_assert_uint_eq(held_now().maps, with.maps);
	rig_survived();
	dirty_log_free(&log);
}
END_TEST

/* truncated - the log's file is gone; whoever writes to it next goes on, the session does not. */
static void truncated(struct dirty_log *log)
{
	struct fe other;

	rig_connect_fe(&other, &rig.daemon.echo[1]);
	logging(log);
	munmap(log->map, log->file_bytes);
	ck_assert_int_eq(ftruncate(log->fd, 0), 0);
	rig_submit(0);
	rig_closed();
	ck_assert_int_eq(fe_sync(&other), 0);
	fe_close(&other);
	close_fd(&log->fd);
}

START_TEST(h16_a_log_truncated_while_requests_run)
{
	struct held before = rig.before;

	for (unsigned i = 0; i < 3; i++) {
		struct dirty_log log;

		dirty_log_make(&log, i * 100, LOG_BYTES);
		truncated(&log);
		rig.before = before;
		rig_survived();
		fe_ring_reset(&rig.ring[0]);
	}
}
END_TEST

/* The log is a bitmap of guest memory, in guest memory. */
START_TEST(h16_a_log_that_is_guest_memory)
{
	const uint64_t used_page = used_gpa() - RIG_GPA;

	rig_ready(1);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t offset = i ? align_down(used_page, 4096) : 0;

		ck_assert_int_eq(fe_set_log_base(&rig.fe, rig.mem.regions[0].fd, 65536, offset + i),
				 0);
		set_ring_log(i * 4096);
		rig_submit(0);
		usleep(20000);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
	}
	rig_survived();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h16_logs_that_cannot_be);
	tcase_add_test(tc, h16_fds_that_are_no_log);
	tcase_add_test(tc, h16_messages_without_the_feature);
	tcase_add_test(tc, h16_log_fds_that_are_no_eventfd);
	tcase_add_test(tc, h16_ring_flags_that_are_unknown);
	tcase_add_test(tc, h16_a_log_shorter_than_guest_memory);
	tcase_add_test(tc, h16_log_addresses_of_rings_that_lie_anywhere);
	tcase_add_test(tc, h16_the_same_log_many_times);
	tcase_add_test(tc, h16_a_log_truncated_while_requests_run);
	tcase_add_test(tc, h16_a_log_that_is_guest_memory);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("hostile_log");

	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	return run_suite(suite);
}
