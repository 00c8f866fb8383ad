/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_messages.c - hostile inputs 16 to 27 as the real daemon meets them, in its sandbox
 * and with a queue at work: logs, in-flight regions, configuration, states, channels, fds; each in
 * short, since test_hostile_*.c has every number there is. _i: 1 is with a packed ring.
 * Run for ringside-blk and for ringside-balloon. The front-end against the real daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "tests/protocol/blk_hostile_wire.h"

START_TEST(h16_logs_that_overflow_or_are_short)
{
	struct vu_msg msg = request(VU_SET_LOG_BASE, sizeof(msg.payload.log));
	uint64_t features;
	uint8_t *log;
	int fd;

	start();
	fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 8192), 0);
	msg = with_fd(msg, fd);
	msg.payload.log.mmap_size = 4096;
	msg.payload.log.mmap_offset = UINT64_MAX - 100;
	closes(_i, msg);
	msg.payload.log.mmap_size = UINT64_MAX;
	msg.payload.log.mmap_offset = 4096;
	closes(_i, msg);
	/* A page of log is for 128 MiB; guest memory lies beyond. */
	guest(_i);
	ck_assert_int_eq(fe_set_log_base(&disk.fe, fd, 4096, 0), 0);
	features = disk.fe.features;
	ck_assert_int_eq(fe_set_features(&disk.fe, features | VU_BIT(VU_F_LOG_ALL)), 0);
	served();
	log = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(log, MAP_FAILED);
	for (unsigned i = 0; i < 8192; i++)
		ck_assert_uint_eq(log[i], 0);
	munmap(log, 8192);
	close(fd);
	survived();
}
END_TEST

START_TEST(h17_get_inflight_fd_in_a_loop)
{
	struct held with;
	unsigned i;

	start();
	guest(_i);
	served();
	with = held_by(blkd_pid());
	for (i = 0; i < 100; i++) {
		struct fe_inflight region;

		ck_assert_int_eq(fe_get_inflight(&disk.fe, 1, DISK_RING_SIZE, &region), 0);
		fe_inflight_free(&region);
		ck_assert_int_eq(fe_get_inflight(&disk.fe, 65535, 65535, &region), -EREMOTEIO);
	}
	held_back(blkd_pid(), with);
	served();
	survived();
}
END_TEST

START_TEST(h18_regions_of_impossible_sizes)
{
	static const struct vu_inflight bad[] = {
		{.mmap_size = 4096, .num_queues = 0, .queue_size = DISK_RING_SIZE},
		{.mmap_size = 4096, .num_queues = 65535, .queue_size = DISK_RING_SIZE},
		{.mmap_size = 64, .num_queues = 1, .queue_size = DISK_RING_SIZE},
		{.mmap_size = UINT64_MAX,
		 .mmap_offset = 4096,
		 .num_queues = 1,
		 .queue_size = DISK_RING_SIZE},
	};
	struct vu_msg msg = request(VU_SET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	unsigned i;
	int fd;

	start();
	guest(_i);
	fd = memfd_create("inflight", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	msg = with_fd(msg, fd);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		msg.payload.inflight = bad[i];
		refused(msg);
	}
	close(fd);
	survived();
}
END_TEST

/* What the daemon before left undone, if it is to be believed: anything. */
START_TEST(h19_a_region_of_noise)
{
	unsigned round, i;

	start();
	for (round = 0; round < 20; round++) {
		struct fe_inflight region;
		uint8_t *bytes;

		guest(_i);
		ck_assert_int_eq(fe_ring_stop(&disk.fe, 0, &disk.ring), 0);
		ck_assert_int_eq(fe_get_inflight(&disk.fe, 1, DISK_RING_SIZE, &region), 0);
		bytes = region.map;
		/* Half of the rounds leave the header as it should be. */
		for (i = round & 1 ? 32 : 8; i < region.mmap_size; i++)
			bytes[i] = (uint8_t)(rand() >> 8 & (round & 2 ? 0x01 : 0xff));
		ck_assert_int_eq(fe_set_inflight(&disk.fe, &region), 0);
		good_request();
		stage();
		ck_assert_int_eq(fe_ring_start(&disk.fe, 0, &disk.ring), 0);
		go();
		meanwhile();
		fe_inflight_free(&region);
		leave();
	}
	end(_i);
}
END_TEST

START_TEST(h20_config_outside_the_space_or_read_only)
{
	struct vu_msg get = request(VU_GET_CONFIG, VU_CONFIG_HEADER_BYTES + 4);
	uint64_t capacity = 1;
	uint8_t byte;

	start();
	guest(_i);
	get.payload.config.offset = UINT32_MAX - 3;
	get.payload.config.size = 4;
	ck_assert_int_eq(fe_query(&disk.fe, &get, VU_CONFIG_HEADER_BYTES + 4, 0), -EREMOTEIO);
	ck_assert_int_eq(fe_set_config(&disk.fe, 0, sizeof(capacity), 0, &capacity), -EREMOTEIO);
	ck_assert_int_eq(fe_set_config(&disk.fe, 250, 4, 0, "abc"), -EREMOTEIO);
	ck_assert_int_eq(fe_get_config(&disk.fe, 0, 1, &byte), 0);
	served();
	survived();
}
END_TEST

/* Every request was answered in memory that was still there. */
START_TEST(h21_a_region_removed_with_requests_in_flight)
{
	struct vu_msg msg = request(VU_REM_MEM_REG, sizeof(msg.payload.region));
	unsigned i, round;

	start();
	for (round = 0; round < 10; round++) {
		guest(_i);
		for (i = 0; i < DISK_SLOTS; i++) {
			struct fe_buf data = disk_buf(&disk, i * 65536, 65536);

			disk_submit(&disk, i, VIRTIO_BLK_T_IN, 0, &data, 1, true);
		}
		msg.payload.region.region = disk_region(&disk);
		accepted(msg);
		ck_assert_uint_eq(held_by(blkd_pid()).maps, maps_without_guest());
		accepted(slot(DISK_GPA, DISK_MEM_BYTES, (uintptr_t)disk.ram, DISK_GUARD_BYTES,
			      disk.mem.regions[0].fd));
		for (i = 0; i < DISK_SLOTS; i++)
			ck_assert_uint_eq(disk_wait(&disk, i), VIRTIO_BLK_S_OK);
		leave();
	}
	end(_i);
}
END_TEST

START_TEST(h22_states_and_statuses)
{
	uint8_t garbage[512];
	int pipes[2];
	struct vu_msg msg = request(VU_SET_DEVICE_STATE_FD, sizeof(msg.payload.device_state));
	struct vu_msg status = request(VU_SET_STATUS, sizeof(status.payload.u64));

	start();
	guest(_i);
	status.payload.u64 = 256;
	refused(status);
	/* The ring runs. */
	ck_assert_int_eq(fe_save_state(&disk.fe, garbage, sizeof(garbage)), -EREMOTEIO);
	served();
	ck_assert_int_eq(fe_ring_stop(&disk.fe, 0, &disk.ring), 0);
	memset(garbage, 0xee, sizeof(garbage));
	ck_assert_int_eq(fe_load_state(&disk.fe, garbage, sizeof(garbage)), -EREMOTEIO);
	/* A pipe that is never closed: nobody waits for it. */
	ck_assert_int_eq(pipe(pipes), 0);
	msg.payload.device_state.direction = 1;
	msg = with_fd(msg, pipes[0]);
	ck_assert_int_eq(fe_query(&disk.fe, &msg, sizeof(uint64_t), 0), 0);
	meanwhile();
	ck_assert_int_eq(fe_sync(&disk.fe), 0);
	close(pipes[0]);
	survived();
	close(pipes[1]);
}
END_TEST

/* Told of changes again and again, and never listens. */
START_TEST(h23_a_channel_never_drained)
{
	json_t *result;
	unsigned i;

	if (disk_is_balloon)
		return; /* one of so little memory has nothing to tell: see balloon_hostile */
	start();
	guest(_i);
	ck_assert_int_eq(fe_open_channel(&disk.fe, NULL, NULL), 0);
	for (i = 1; i <= 50; i++) {
		ck_assert_int_eq(truncate("a.img", IMAGE_BYTES + i * 4096), 0);
		result = blkd_call("resize disk=blk0");
		ck_assert_ptr_nonnull(result);
		json_decref(result);
	}
	served();
	survived();
}
END_TEST

START_TEST(h24_disconnect_after_every_byte)
{
	struct vu_msg msg = state(VU_SET_VRING_NUM, 0, DISK_RING_SIZE);
	struct fe fe;
	size_t len;

	start();
	for (len = 1; len <= sizeof(msg.hdr) + msg.hdr.size; len++) {
		uint8_t bytes[64];

		memcpy(bytes, &msg.hdr, sizeof(msg.hdr));
		memcpy(bytes + sizeof(msg.hdr), &msg.payload, msg.hdr.size);
		ck_assert_int_eq(fe_connect(&fe, "a.sock"), 0);
		ck_assert_int_eq(fe_send_bytes(&fe, bytes, len, NULL, 0), 0);
		fe_close(&fe);
	}
	end(_i);
}
END_TEST

/* Files, pipes and sockets as each of the ring's three fds. */
START_TEST(h25_fds_that_are_not_eventfds)
{
	static const uint32_t numbers[] = {VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR};
	int pipes[2], file = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	unsigned i;

	ck_assert_int_eq(pipe(pipes), 0);
	start();
	guest(_i);
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		refused(with_fd(request(numbers[i], 8), file));
		refused(with_fd(request(numbers[i], 8), pipes[0]));
		refused(with_fd(request(numbers[i], 8), pipes[1]));
		refused(with_fd(request(numbers[i], 8), disk.mem.regions[0].fd));
	}
	survived();
}
END_TEST

/* A call that would block whoever writes to it: neither this disk nor the other waits for it. */
START_TEST(h25_a_call_eventfd_that_blocks)
{
	uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct fe_used chain = {0};
	unsigned i, ms;

	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	start();
	guest(_i);
	accepted(with_fd(request(VU_SET_VRING_CALL, 8), fd));
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	for (i = 0; i < 20; i++) {
		good_request();
		stage();
		fe_ring_interrupts_on(&disk.ring);
		go();
		for (ms = 0; ms < 5000 && !fe_ring_poll(&disk.ring, &chain, 1); ms++)
			usleep(1000);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_OK);
		meanwhile();
	}
	close(fd);
	survived();
}
END_TEST

START_TEST(h26_messages_of_features_that_were_not_negotiated)
{
	start();
	closes(_i, request(VU_POSTCOPY_LISTEN, 0));
	closes(_i, request(VU_SEND_RARP, 8));
	closes(_i, request(VU_CREATE_CRYPTO_SESSION, 1024));
	end(_i);
}
END_TEST

/* No IOMMU: whatever it says. */
START_TEST(h27_iotlb)
{
	struct vu_msg msg = request(VU_IOTLB_MSG, sizeof(msg.payload.iotlb));
	unsigned type;

	start();
	for (type = 0; type < 7; type++) {
		msg.payload.iotlb.iova = type & 1 ? UINT64_MAX : DISK_GPA;
		msg.payload.iotlb.size = type & 2 ? UINT64_MAX : 4096;
		msg.payload.iotlb.type = (uint8_t)type;
		closes(_i, msg);
	}
	end(_i);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("blk_hostile_messages");
	TCase *tcase = tcase_create("hostile messages");
	const TTest *const tests[] = {
		h16_logs_that_overflow_or_are_short,
		h17_get_inflight_fd_in_a_loop,
		h18_regions_of_impossible_sizes,
		h19_a_region_of_noise,
		h20_config_outside_the_space_or_read_only,
		h21_a_region_removed_with_requests_in_flight,
		h22_states_and_statuses,
		h23_a_channel_never_drained,
		h24_disconnect_after_every_byte,
		h25_fds_that_are_not_eventfds,
		h25_a_call_eventfd_that_blocks,
		h26_messages_of_features_that_were_not_negotiated,
		h27_iotlb,
	};
	unsigned i;

	choose_daemon(argc, argv);
	tcase_set_timeout(tcase, 60);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		add_hostile_test(tcase, tests[i], i);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
