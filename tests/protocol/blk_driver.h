/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_driver.h - a guest's driver of one disk: one queue, requests one by one or many at a time.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BLK_DRIVER_H
#define RINGSIDE_TESTS_PROTOCOL_BLK_DRIVER_H

#include <linux/virtio_blk.h>

#include "tests/protocol/blk_daemon.h"
#include "vhost/frontend/frontend.h"

#define SECTOR           512u
#define DISK_RING_SIZE   128
#define DISK_SLOTS       32 /* requests in flight */
#define DISK_DATA_BYTES  (16u << 20)
#define DISK_GPA         0x40000000ull
#define DISK_MEM_BYTES   (DISK_DATA_BYTES + (2u << 20))
#define DISK_PAGE_AT     (DISK_DATA_BYTES - 4096) /* the page that a balloon may have */
#define DISK_GUARD_BYTES 65536u /* of the file before and after, which are not guest memory */

/* What is in guest memory for one request. */
struct disk_slot {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes ranges[33];
	uint8_t status;
};

/* A balloon may stand in for the disk, for tests that any device has to pass: memory, ring and slots are
 * the same, and a request is a chain of page numbers, in nothing but readable buffers. */
struct disk {
	struct fe fe;
	struct fe_memory mem; /* guest memory, with the guards */
	uint8_t *ram; /* without: DISK_MEM_BYTES */
	struct fe_ring ring;
	struct fe_mem slots_mem; /* DISK_SLOTS of struct disk_slot */
	struct fe_mem data_mem; /* DISK_DATA_BYTES, page aligned */
	struct disk_slot *slot;
	uint8_t *data; /* data_mem.host */
	uint16_t slot_of[DISK_RING_SIZE]; /* by head */
	uint32_t used_bytes[DISK_SLOTS]; /* of the last use of each */
	struct virtio_blk_config config; /* of a disk */
};

/* disk_is_balloon - from here on: disk_read() and disk_write() put a page of the data memory into it. */
extern bool disk_is_balloon;

/* disk_name_page - that page's number to the start of the data memory. */
void disk_name_page(struct disk *disk);

/* disk_open - connect to @socket with every feature but @without, and start the ring.
 * disk_open_packed - the same with a packed ring. disk_adopt - over a connected socket. */
void disk_open(struct disk *disk, const char *socket, uint64_t without);
void disk_open_packed(struct disk *disk, const char *socket, uint64_t without);
void disk_adopt(struct disk *disk, int sock);

/* disk_lay_out - guest memory and a ring for a driver that accepts @features; no back-end is told. */
void disk_lay_out(struct disk *disk, uint64_t features);

/* disk_close - stop the ring, hang up. disk_drop - hang up at once. Both free everything. */
void disk_close(struct disk *disk);
void disk_drop(struct disk *disk);

/* disk_region - guest memory as the back-end was told of it. */
struct vu_region disk_region(const struct disk *disk);

/* disk_buf - @bytes at @offset of the data memory, as a buffer. */
struct fe_buf disk_buf(const struct disk *disk, uint32_t offset, uint32_t bytes);

/*
 * disk_submit - put a request of @type in @slot with @num data buffers, writable ones if @in, and
 * kick. disk_wait - until @slot is used. Return: its status byte; 0xff: not written.
 */
void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector,
		 const struct fe_buf *data, unsigned num, bool in);
uint8_t disk_wait(struct disk *disk, unsigned slot);

/* disk_do - both. The others are of one buffer, from the start of the data memory. */
uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, const struct fe_buf *data,
		unsigned num, bool in);
uint8_t disk_read(struct disk *disk, uint64_t sector, uint32_t bytes);
uint8_t disk_write(struct disk *disk, uint64_t sector, uint32_t bytes);
uint8_t disk_flush(struct disk *disk);

/* A segment of a discard or write-zeroes. */
struct disk_range {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};

uint8_t disk_ranges(struct disk *disk, uint32_t type, const struct disk_range *ranges,
		    unsigned num);

/* disk_fill - a pattern that depends on @seed into the data memory. disk_filled - is it there? */
void disk_fill(struct disk *disk, uint32_t seed, uint32_t bytes);
bool disk_filled(const struct disk *disk, uint32_t seed, uint32_t bytes);

/* pattern - the same anywhere. */
void pattern(void *to, uint32_t seed, size_t bytes);

#endif
