/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_capture.c - a capture file holds the frames of both directions, what they borrow too, as
 * much of each as was asked for, in order and in whole blocks, whatever is lost between; nothing
 * waits for whoever reads it. Tests net/capture and net/pcapng.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "net/capture.h"
#include "net/pcapng.h"
#include "tests/unit/net_host_rig.h"

#define FILE_BYTES (16u << 20)

static struct net_port port = {.name = "vm1"};
static uint8_t *file;
static size_t file_bytes, at;
static int fd = -1;

static void start(uint32_t snap)
{
	rig_start();
	net_lcores_start();
	fd = memfd_create("capture", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(net_capture_start(&port, rig_loop, dup(fd), snap), 0);
}

static void take(struct rte_mbuf *frame, bool in)
{
	net_lcores[0].now = clock_ticks();
	net_capture_frames(&port, 0, &frame, 1, in);
}

static void on_alarm(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(rig_loop);
}

/* run - the control thread's part for @ms. */
static void run(uint64_t ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(rig_loop, &timer, ms, on_alarm);
	ck_assert_int_eq(loop_run(rig_loop), 0);
}

static uint32_t word(size_t offset)
{
	uint32_t value;

	ck_assert_uint_le(offset + 4, file_bytes);
	memcpy(&value, file + offset, 4);
	return value;
}

/* next_block - its type; @offset becomes where it begins. Its length stands at both ends. */
static uint32_t next_block(size_t *offset)
{
	uint32_t bytes = word(at + 4);

	*offset = at;
	ck_assert_uint_eq(bytes % 4, 0);
	ck_assert_uint_ge(bytes, 12);
	ck_assert_uint_le(at + bytes, file_bytes);
	ck_assert_uint_eq(word(at + bytes - 4), bytes);
	at += bytes;
	return word(*offset);
}

/* read_start - the file, from @from, and the two blocks it begins with. */
static void read_start(int from, uint32_t snap)
{
	size_t block;
	ssize_t n;

	file = malloc(FILE_BYTES);
	ck_assert_ptr_nonnull(file);
	lseek(from, 0, SEEK_SET);
	while ((n = read(from, file + file_bytes, FILE_BYTES - file_bytes)) > 0)
		file_bytes += (size_t)n;
	ck_assert_uint_eq(next_block(&block), 0x0a0d0d0a);
	ck_assert_uint_eq(word(block + 8), 0x1a2b3c4d);
	ck_assert_uint_eq(word(block + 12), 1);
	ck_assert_uint_eq(next_block(&block), 1);
	ck_assert_uint_eq(word(block + 8), 1); /* Ethernet */
	ck_assert_uint_eq(word(block + 12), snap);
	ck_assert_uint_eq(word(block + 16), 3u << 16 | 2); /* its name */
	ck_assert_mem_eq(file + block + 20, "vm1", 3);
}

/* expect - the next block is a frame of @bytes, of which there are @captured. */
static void expect(uint32_t bytes, uint32_t captured, bool in, uint8_t seed)
{
	uint32_t right = 0;
	size_t block, options;

	ck_assert_uint_eq(next_block(&block), PCAPNG_PACKET);
	ck_assert_uint_eq(word(block + 8), 0);
	ck_assert_uint_eq(word(block + 20), captured);
	ck_assert_uint_eq(word(block + 24), bytes);
	while (right < captured && file[block + 28 + right] == (uint8_t)(right * 7 + seed))
		right++;
	ck_assert_uint_eq(right, captured);
	options = block + 28 + (captured + 3) / 4 * 4;
	ck_assert_uint_eq(word(options), 4u << 16 | 2);
	ck_assert_uint_eq(word(options + 4), in ? 1 : 2);
	ck_assert_uint_eq(word(options + 8), 0);
}

/* expect_end - and so many were counted. */
static void expect_end(uint64_t received, uint64_t dropped)
{
	uint64_t value;
	size_t block;

	ck_assert_uint_eq(next_block(&block), 5);
	memcpy(&value, file + block + 24, 8);
	ck_assert_uint_eq(value, received);
	memcpy(&value, file + block + 36, 8);
	ck_assert_uint_eq(value, dropped);
	ck_assert_uint_eq(at, file_bytes);
}

static void finish(void)
{
	run(100); /* lcores let go of it */
	ck_assert_ptr_null(port.capture);
	net_lcores_stop();
	free(file);
	close(fd);
}

static const uint32_t sizes[] = {14, 60, 61, 62, 63, 1514, 9014, 65535};

START_TEST(both_directions_are_there_in_order)
{
	static uint8_t borrowed[3000];
	struct iovec iovs[2] = {{borrowed, 1000}, {borrowed + 1000, 2000}};
	uint32_t snap = _i ? 1000 : 0;
	struct rte_mbuf *frame;
	struct timespec before;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &before);
	start(snap);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		frame = rig_frame(sizes[i], 2048, (uint8_t)i);
		take(frame, i % 2);
		rte_pktmbuf_free(frame);
	}
	/* One whose payload is still the guest's. */
	frame = rig_frame(256, 256, 9);
	for (uint32_t i = 0; i < sizeof(borrowed); i++)
		borrowed[i] = (uint8_t)((256 + i) * 7 + 9);
	net_meta(frame)->rest = iovs;
	net_meta(frame)->num_rest = 2;
	net_meta(frame)->rest_bytes = sizeof(borrowed);
	take(frame, true);
	net_frame_reset(frame);
	rte_pktmbuf_free(frame);
	ck_assert_int_eq(net_capture_stop(&port), 0);

	read_start(fd, snap);
	ns = (uint64_t)word(at + 12) << 32 | word(at + 16);
	ck_assert_uint_ge(ns / 1000000000, (uint64_t)before.tv_sec);
	ck_assert_uint_lt(ns / 1000000000, (uint64_t)before.tv_sec + 20);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		expect(sizes[i], snap ? min_of(snap, sizes[i]) : sizes[i], i % 2, (uint8_t)i);
	expect(3256, snap ? snap : 3256, true, 9);
	expect_end(ARRAY_SIZE(sizes) + 1, 0);
	finish();
}
END_TEST

START_TEST(what_finds_no_room_is_counted)
{
	struct rte_mbuf *frame;
	struct net_capture_counts counts;

	start(0);
	frame = rig_frame(60001, 2048, 3);
	for (unsigned i = 0; i < 200; i++)
		take(frame, true);
	rte_pktmbuf_free(frame);
	ck_assert(net_capture_counts(&port, &counts));
	ck_assert_uint_eq(counts.frames + counts.lost, 200);
	ck_assert_uint_gt(counts.frames, 50);
	ck_assert_uint_gt(counts.lost, 50);
	ck_assert_int_eq(net_capture_stop(&port), 0);
	ck_assert(!net_capture_counts(&port, &counts) && counts.frames == 0);

	read_start(fd, 0);
	ck_assert_uint_gt(file_bytes, 3u << 20);
	while (word(at) == PCAPNG_PACKET)
		expect(60001, 60001, true, 3);
	finish();
}
END_TEST

START_TEST(the_ring_goes_round)
{
	unsigned n = 0;

	start(0);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 100; i++, n++) {
			struct rte_mbuf *frame = rig_frame(5000 + n, 2048, (uint8_t)n);

			take(frame, false);
			rte_pktmbuf_free(frame);
		}
		run(30);
	}
	ck_assert_int_eq(net_capture_stop(&port), 0);
	read_start(fd, 0);
	ck_assert_uint_gt(file_bytes, 6u << 20);
	for (unsigned i = 0; i < n; i++)
		expect(5000 + i, 5000 + i, false, (uint8_t)i);
	expect_end(n, 0);
	finish();
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_holds_nothing_up)
{
	char taken[30000];
	struct rte_mbuf *frame;
	size_t kept = 0;
	int ends[2];
	ssize_t n;

	rig_start();
	net_lcores_start();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	fd = memfd_create("capture", MFD_CLOEXEC);
	ck_assert_int_eq(net_capture_start(&port, rig_loop, ends[1], 0), 0);
	frame = rig_frame(10000, 2048, 3);
	for (unsigned i = 0; i < 100; i++)
		take(frame, true);
	rte_pktmbuf_free(frame);
	run(60); /* would never end */
	/* Read in bites, so that blocks are torn. */
	for (unsigned i = 0; kept < 950000; i++) { /* the rest fits the pipe */
		n = read(ends[0], taken, sizeof(taken) - i);
		if (n > 0)
			ck_assert_int_eq(write(fd, taken, (size_t)n), n);
		kept += n > 0 ? (size_t)n : 0;
		run(25);
	}
	ck_assert_int_eq(net_capture_stop(&port), 0);
	while ((n = read(ends[0], taken, sizeof(taken))) > 0)
		ck_assert_int_eq(write(fd, taken, (size_t)n), n);
	read_start(fd, 0);
	for (unsigned i = 0; i < 100; i++)
		expect(10000, 10000, true, 3);
	expect_end(100, 0);
	close(ends[0]);
	finish();
}
END_TEST

START_TEST(what_goes_wrong_is_said)
{
	struct rte_mbuf *frame;
	int ends[2], other;

	rig_start();
	net_lcores_start();
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(net_capture_stop(&port), -ENOENT);
	other = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(net_capture_start(&port, rig_loop, other, 0), -ENOSPC);
	ck_assert_int_eq(fcntl(other, F_GETFD), -1);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(net_capture_start(&port, rig_loop, ends[1], 0), 0);
	other = dup(ends[0]);
	ck_assert_int_eq(net_capture_start(&port, rig_loop, other, 0), -EBUSY);
	ck_assert_int_eq(fcntl(other, F_GETFD), -1);
	close(ends[0]);
	frame = rig_frame(60, 60, 0);
	take(frame, true);
	run(60);
	take(frame, true);
	rte_pktmbuf_free(frame);
	ck_assert_int_eq(net_capture_stop(&port), -EPIPE);
	ck_assert_int_eq(fcntl(ends[1], F_GETFD), -1);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_capture");
	TCase *tcase = tcase_create("capture");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, both_directions_are_there_in_order, 0, 2);
	tcase_add_test(tcase, what_finds_no_room_is_counted);
	tcase_add_test(tcase, the_ring_goes_round);
	tcase_add_test(tcase, a_pipe_that_nobody_reads_holds_nothing_up);
	tcase_add_test(tcase, what_goes_wrong_is_said);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
