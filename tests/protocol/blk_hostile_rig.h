/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_hostile_rig.h - a daemon with two disks, one for a bad guest and one for a good one, and
 * chains laid down descriptor by descriptor.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_RIG_H

#include <dirent.h>
#include <endian.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE_BYTES (8u << 20)
#define NO_MEMORY   (DISK_GPA + DISK_MEM_BYTES + 4096)
#define NEXT        VRING_DESC_F_NEXT
#define WRITE       VRING_DESC_F_WRITE
#define INDIRECT    VRING_DESC_F_INDIRECT

static struct disk disk, other;

/* What a bad guest gets. */
enum outcome {
	TOLD, /* used, with IOERR in the status byte */
	USED, /* used, with nothing written */
	BROKEN, /* the ring stops and its error eventfd is signalled */
	ANY, /* used somehow, or broken */
};

static inline unsigned daemon_fds(void)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", blkd_pid());
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static unsigned fds_before;

static inline void start(void)
{
	make_image("a.img", IMAGE_BYTES);
	make_image("b.img", IMAGE_BYTES);
	blkd_start("--disk=socket=a.sock,file=a.img --disk=socket=b.sock,file=b.img");
	disk_open(&other, "b.sock", 0);
	ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	fds_before = daemon_fds();
}

/* survived - the other disk is served, nothing was kept, and the next guest works. */
static inline void survived(void)
{
	ck_assert_uint_eq(disk_read(&other, 8, 4096), VIRTIO_BLK_S_OK);
	disk_drop(&disk);
	wait_for(daemon_fds() == fds_before);
	disk_open(&disk, "a.sock", 0);
	disk_fill(&disk, 7, 65536);
	ck_assert_uint_eq(disk_write(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_read(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 7, 65536));
	disk_close(&disk);
	disk_close(&other);
	blkd_stop();
}

/* --- chains made by hand --- */

/* Places in the data memory. */
#define HEADER_AT 0u
#define STATUS_AT 64u
#define TABLE_AT  4096u
#define DATA_AT   65536u

static inline uint64_t at(uint32_t offset)
{
	return disk.data_mem.gpa + offset;
}

static inline void put(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags,
		       uint16_t next)
{
	*desc = (struct vring_desc){htole64(gpa), htole32(len), htole16(flags), htole16(next)};
}

static inline void ring_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put(&disk.ring.desc[i], gpa, len, flags, next);
}

static inline void table_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put(&((struct vring_desc *)(disk.data + TABLE_AT))[i], gpa, len, flags, next);
}

static inline void header(uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *hdr = (void *)(disk.data + HEADER_AT);

	hdr->type = htole32(type);
	hdr->sector = htole64(sector);
	disk.data[STATUS_AT] = 0xff;
}

/* A good read of a page in descriptors 0 to 2, for a case to spoil. */
static inline void good_read(void)
{
	header(VIRTIO_BLK_T_IN, 0);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	ring_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

static inline void good_table(uint32_t bytes)
{
	header(VIRTIO_BLK_T_IN, 0);
	ring_desc(0, at(TABLE_AT), bytes, INDIRECT, 0);
	table_desc(0, at(HEADER_AT), 16, NEXT, 1);
	table_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	table_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

static inline void stage(uint16_t head)
{
	fe_ring_claim(&disk.ring, head, UINT32_MAX);
	fe_ring_submit(&disk.ring, head);
}

static inline void go(void)
{
	fe_ring_publish(&disk.ring);
	fe_ring_notify(&disk.ring);
}

static inline bool signalled(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 5000) == 1;
}

static inline void expect(enum outcome outcome)
{
	struct fe_used used = {0};

	if (outcome == BROKEN) {
		ck_assert_msg(signalled(disk.ring.err_fd), "the ring's error was not signalled");
		return;
	}
	ck_assert_int_eq(fe_ring_wait(&disk.ring, 5000), 0);
	ck_assert_int_eq(fe_ring_poll(&disk.ring, &used, 1), 1);
	ck_assert_uint_eq(used.head, 0);
	if (outcome == TOLD) {
		ck_assert_uint_eq(used.len, 1);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_IOERR);
	} else if (outcome == USED) {
		ck_assert_uint_eq(used.len, 0);
		ck_assert_uint_eq(disk.data[STATUS_AT], 0xff);
	}
}

#endif
