/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_setup.c - hostile inputs 1 to 15 as the real daemon meets them, in its sandbox and
 * with a queue at work: headers, memory, rings; each in short, since test_hostile_*.c has every number
 * there is. _i: 1 is with a packed ring. Run for ringside-blk and for ringside-balloon. The front-end
 * against the real daemon.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/protocol/blk_hostile_wire.h"

START_TEST(h01_sizes)
{
	struct vu_header hdr = {.request = VU_SET_MEM_TABLE, .flags = VU_VERSION};
	static const uint32_t sizes[] = {VU_MAX_PAYLOAD + 1, 0x80000000, UINT32_MAX};
	unsigned i;

	start();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		hdr.size = sizes[i];
		guest(_i);
		ck_assert_int_eq(fe_send_bytes(&disk.fe, &hdr, sizeof(hdr), NULL, 0), 0);
		closed();
		leave();
	}
	closes(_i, request(VU_SET_VRING_ADDR, 39));
	closes(_i, request(VU_SET_FEATURES, 0));
	end(_i);
}
END_TEST

START_TEST(h02_versions_replies_and_unknown_requests)
{
	struct vu_msg version = request(VU_GET_FEATURES, 0), reply = version;

	start();
	version.hdr.flags = 2;
	reply.hdr.flags |= VU_FLAG_REPLY;
	closes(_i, version);
	closes(_i, reply);
	guest(_i);
	refused(request(VU_REQUEST_END, 0));
	refused(request(UINT32_MAX, 100));
	survived();
}
END_TEST

START_TEST(h03_fds_that_nobody_asked_for)
{
	struct vu_msg msg = state(VU_SET_VRING_NUM, 0, DISK_RING_SIZE);
	unsigned i;

	start();
	guest(_i);
	while (msg.num_fds < VU_MAX_FDS)
		msg = with_fd(msg, disk.ring.kick_fd);
	for (i = 0; i < 50; i++)
		refused(msg);
	survived();
}
END_TEST

/* More fds than one message may have: what the kernel cut off is not in anyone's hands. */
START_TEST(h04_more_fds_than_fit)
{
	struct vu_header hdr = {.request = VU_SET_MEM_TABLE, .flags = VU_VERSION};
	int fds[VU_MAX_FDS + 20];
	unsigned i;

	start();
	guest(_i);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = disk.ring.kick_fd;
	ck_assert_int_eq(fe_send_bytes(&disk.fe, &hdr, sizeof(hdr), fds, ARRAY_SIZE(fds)), 0);
	closed();
	survived();
}
END_TEST

static struct vu_msg table(unsigned regions)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + 32 * regions);
	unsigned i;

	msg.payload.mem.num_regions = regions;
	for (i = 0; i < regions && i < VU_MAX_TABLE_SLOTS; i++)
		msg.payload.mem.regions[i] = (struct vu_region){.gpa = 0x100000ull * (i + 1),
								.uva = 0x100000ull * (i + 1),
								.size = 4096};
	return msg;
}

START_TEST(h05_region_counts)
{
	start();
	guest(_i);
	refused(table(0));
	refused(table(2));
	refused(with_fd(table(2), disk.ring.kick_fd));
	refused(with_fd(table(33), disk.ring.kick_fd));
	survived();
}
END_TEST

START_TEST(h06_offsets_that_overflow)
{
	int fd;

	start();
	guest(_i);
	fd = disk.mem.regions[0].fd;
	refused(slot(FAR, 0, FAR, 0, fd));
	refused(slot(FAR, UINT64_MAX - 100, FAR, 0, fd));
	refused(slot(FAR, 4096, FAR, UINT64_MAX, fd));
	refused(slot(FAR, 4096, FAR, UINT64_MAX - 4095, fd));
	survived();
}
END_TEST

START_TEST(h07_regions_that_overlap_or_wrap)
{
	uint64_t uva;
	int fd;

	start();
	guest(_i);
	fd = disk.mem.regions[0].fd;
	uva = (uintptr_t)disk.ram;
	refused(slot(DISK_GPA + DISK_MEM_BYTES - 1, 4096, FAR, 0, fd));
	refused(slot(FAR, 4096, uva - 4095, 0, fd));
	refused(slot(UINT64_MAX - 100, 4096, FAR, 0, fd));
	refused(slot(FAR, 4096, UINT64_MAX - 100, 0, fd));
	survived();
}
END_TEST

START_TEST(h08_an_fd_shorter_than_its_region)
{
	start();
	guest(_i);
	refused(slot(FAR, DISK_MEM_BYTES * 2, FAR, 0, disk.mem.regions[0].fd));
	survived();
}
END_TEST

/* unsealed - the disk's memory is a file that can shrink from here on. Return: the file. */
static int unsealed(void)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + 32);
	struct fe_region *region = &disk.mem.regions[0];
	int fd = memfd_create("shrinks", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, region->host, region->size), (ssize_t)region->size);
	ck_assert_ptr_eq(mmap(region->host, region->size, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 region->host);
	msg.payload.mem.num_regions = 1;
	msg.payload.mem.regions[0] = disk_region(&disk);
	accepted(with_fd(msg, fd));
	served();
	return fd;
}

/* gone - the guest without memory leaves; where nothing of the ring is left, it is sent away. */
static void gone(int fd, bool sent_away)
{
	if (sent_away)
		closed();
	meanwhile();
	ck_assert_int_eq(ftruncate(fd, (off_t)disk.mem.regions[0].size), 0);
	close(fd);
	disk_drop(&disk);
}

START_TEST(h08_memory_truncated_under_a_running_ring)
{
	unsigned round;

	start();
	for (round = 0; round < 3; round++) {
		int fd;

		guest(_i);
		fd = unsealed();
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		fe_ring_notify(&disk.ring);
		gone(fd, true);
	}
	end(_i);
}
END_TEST

/* Data, headers and status bytes vanish while the kernel and the queue's thread use them. */
START_TEST(h08_memory_truncated_with_requests_in_flight)
{
	unsigned round, i;

	start();
	for (round = 0; round < 5; round++) {
		struct fe_buf data;
		int fd;

		guest(_i);
		fd = unsealed();
		for (i = 0; i < DISK_SLOTS; i++) {
			data = disk_buf(&disk, i * 65536, 65536);
			disk_submit(&disk, i, VIRTIO_BLK_T_IN, 0, &data, 1, true);
		}
		usleep(round * 200);
		/* With the ring, and without it: it is in the first page. */
		ck_assert_int_eq(ftruncate(fd, DISK_GUARD_BYTES + (round % 2) * 4096), 0);
		fe_ring_notify(&disk.ring);
		gone(fd, round % 2 == 0);
	}
	end(_i);
}
END_TEST

START_TEST(h09_fds_that_cannot_be_mapped)
{
	struct vu_msg msg;
	int pipes[2], dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned i;

	ck_assert_int_eq(pipe(pipes), 0);
	start();
	guest(_i);
	refused(slot(FAR, 4096, FAR, 0, pipes[0]));
	refused(slot(FAR, 4096, FAR, 0, dir));
	msg = with_fd(with_fd(table(2), disk.mem.regions[0].fd), disk.ring.kick_fd);
	for (i = 0; i < 50; i++)
		refused(msg);
	survived();
}
END_TEST

START_TEST(h10_indices)
{
	start();
	guest(_i);
	refused(state(VU_SET_VRING_ENABLE, 0x10000, 0));
	refused(state(VU_SET_VRING_NUM, 0x10001, 4));
	refused(state(VU_SET_VRING_BASE, 256, 0));
	survived();
}
END_TEST

START_TEST(h11_queue_sizes)
{
	start();
	guest(_i);
	refused(state(VU_SET_VRING_NUM, 0, 0));
	refused(state(VU_SET_VRING_NUM, 0, 32769));
	refused(state(VU_SET_VRING_NUM, 0, 0x10000 + DISK_RING_SIZE));
	refused(state(VU_SET_VRING_NUM, 0, UINT32_MAX));
	if (!_i)
		refused(state(VU_SET_VRING_NUM, 0, 100));
	survived();
}
END_TEST

START_TEST(h12_the_same_messages_many_times)
{
	struct vu_vring_addr addr;
	struct held with;
	unsigned i;

	start();
	guest(_i);
	served();
	addr = fe_ring_wire_addr(&disk.ring, 0);
	with = held_by(blkd_pid());
	for (i = 0; i < 200; i++) {
		ck_assert_int_eq(fe_set_vring_kick(&disk.fe, 0, disk.ring.kick_fd), 0);
		ck_assert_int_eq(fe_set_vring_call(&disk.fe, 0, disk.ring.call_fd), 0);
		ck_assert_int_eq(fe_set_vring_err(&disk.fe, 0, disk.ring.err_fd), 0);
		ck_assert_int_eq(fe_set_vring_num(&disk.fe, 0, DISK_RING_SIZE), 0);
		ck_assert_int_eq(fe_set_vring_addr(&disk.fe, 0, &addr), 0);
		if (i % 20 == 0)
			served();
	}
	held_back(blkd_pid(), with);
	served();
	survived();
}
END_TEST

/* part_at - the ring with one of its parts elsewhere. */
static struct vu_msg part_at(unsigned part, uint64_t uva)
{
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));
	struct vu_vring_addr *addr = &msg.payload.addr;
	uint64_t parts[3];

	*addr = fe_ring_wire_addr(&disk.ring, 0);
	parts[0] = addr->desc_uva;
	parts[1] = addr->avail_uva;
	parts[2] = addr->used_uva;
	parts[part] = uva;
	addr->desc_uva = parts[0];
	addr->avail_uva = parts[1];
	addr->used_uva = parts[2];
	return msg;
}

/* Not started there: nothing of it is read or written, and the next good address mends it. */
START_TEST(h13_rings_misaligned_or_over_the_end)
{
	uint64_t end_uva;
	unsigned part;

	start();
	guest(_i);
	end_uva = (uintptr_t)disk.ram + DISK_MEM_BYTES;
	watch();
	if (_i) /* either event area has its place there */
		may_write(disk.ram + DISK_MEM_BYTES - 4, 4);
	for (part = 0; part < 3; part++) {
		accepted(part_at(part, end_uva));
		fe_ring_notify(&disk.ring);
		accepted(part_at(part, align_down(end_uva - 1, part ? 4 : 16)));
		fe_ring_notify(&disk.ring);
		accepted(part_at(part, align_down(UINT64_MAX, 16)));
		fe_ring_notify(&disk.ring);
		meanwhile();
	}
	unharmed();
	accepted(part_at(0, fe_ring_wire_addr(&disk.ring, 0).desc_uva));
	served();
	refused(part_at(0, end_uva - 8));
	survived();
}
END_TEST

START_TEST(h14_num_and_base_of_a_running_ring)
{
	start();
	guest(_i);
	served();
	accepted(state(VU_SET_VRING_NUM, 0, 4));
	accepted(state(VU_SET_VRING_NUM, 0, 1024));
	accepted(state(VU_SET_VRING_BASE, 0, 12345));
	fe_ring_notify(&disk.ring);
	meanwhile();
	survived();
}
END_TEST

START_TEST(h15_kick_before_what_a_ring_needs)
{
	unsigned missing;

	start();
	for (missing = 0; missing < 8; missing++) {
		guest(_i);
		ck_assert_int_eq(fe_ring_stop(&disk.fe, 0, &disk.ring), 0);
		fe_close(&disk.fe);
		ck_assert_int_eq(fe_connect(&disk.fe, "a.sock"), 0);
		ck_assert_int_eq(fe_negotiate(&disk.fe, UINT64_MAX, UINT64_MAX), 0);
		good_request();
		stage();
		if (!(missing & 1))
			accepted(slot(DISK_GPA, DISK_MEM_BYTES, (uintptr_t)disk.ram,
				      DISK_GUARD_BYTES, disk.mem.regions[0].fd));
		if (!(missing & 2))
			accepted(state(VU_SET_VRING_NUM, 0, DISK_RING_SIZE));
		if (!(missing & 4))
			accepted(part_at(0, fe_ring_wire_addr(&disk.ring, 0).desc_uva));
		watch();
		ck_assert_int_eq(fe_set_vring_enable(&disk.fe, 0, true), 0);
		ck_assert_int_eq(fe_set_vring_kick(&disk.fe, 0, disk.ring.kick_fd), 0);
		go();
		meanwhile();
		unharmed();
		leave();
	}
	end(_i);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("blk_hostile_setup");
	TCase *tcase = tcase_create("hostile messages");
	const TTest *const tests[] = {
		h01_sizes,
		h02_versions_replies_and_unknown_requests,
		h03_fds_that_nobody_asked_for,
		h04_more_fds_than_fit,
		h05_region_counts,
		h06_offsets_that_overflow,
		h07_regions_that_overlap_or_wrap,
		h08_an_fd_shorter_than_its_region,
		h08_memory_truncated_under_a_running_ring,
		h08_memory_truncated_with_requests_in_flight,
		h09_fds_that_cannot_be_mapped,
		h10_indices,
		h11_queue_sizes,
		h12_the_same_messages_many_times,
		h13_rings_misaligned_or_over_the_end,
		h14_num_and_base_of_a_running_ring,
		h15_kick_before_what_a_ring_needs,
	};
	unsigned i;

	choose_daemon(argc, argv);
	tcase_set_timeout(tcase, 60);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		add_hostile_test(tcase, tests[i], i);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
