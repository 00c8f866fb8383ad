/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_hostile_rig.h - a daemon with two disks, one for a bad guest and one for a good one; chains
 * laid down descriptor by descriptor in either ring format; and what must be true after it all.
 * Tests only. One per process: Check forks each test.
 *
 * Tests of what no device should mind run with two balloons in the place of the disks, too: those whose
 * main() has choose_daemon(), with a daemon's name as its argument.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_RIG_H

#include <endian.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"
#include "tests/protocol/footprint.h"

#define IMAGE_BYTES (8u << 20)
#define NO_MEMORY   (DISK_GPA + DISK_MEM_BYTES + 4096) /* where the file goes on */
#define NEXT        VRING_DESC_F_NEXT
#define WRITE       VRING_DESC_F_WRITE
#define INDIRECT    VRING_DESC_F_INDIRECT

/* choose_daemon - that of @argv[1], ringside-blk or ringside-balloon. */
void choose_daemon(int argc, char **argv);

/* add_hostile_test - with _i as the ring format. Formats are the library's: a second daemon takes turns. */
void add_hostile_test(TCase *tcase, const TTest *test, unsigned number);

/* The two guests, each with a queue. */
extern struct disk disk, other;

/* What a bad guest gets. */
enum outcome {
	NOT_HERE, /* this ring format knows no such thing */
	TOLD, /* used, with IOERR in the status byte */
	USED, /* used, with nothing written */
	SERVED, /* what looks bad is not, in this format: used, with OK */
	BROKEN, /* the ring stops and its error eventfd is signalled */
	ANY, /* used somehow, or broken */
};

/*
 * start - the daemon with both disks, the good guest at work; the bad guest has been there once and
 * well behaved. What the daemon holds with only the good guest there is what survived() compares
 * with. start_images - on these images.
 */
void start(void);
void start_images(const char *bad, const char *good);

/* guest - the bad guest comes, with a ring in this format. */
void guest(bool packed);
void guest_without(bool packed, uint64_t features);

/* maps_without_guest - mappings of the daemon with only the good guest there. */
unsigned maps_without_guest(void);

/* meanwhile - the good guest is served. */
void meanwhile(void);

/*
 * survived - the daemon is alive and the good guest is served; the bad one leaves; fds, mappings,
 * memory and CPU of the daemon are back to what they were; no byte was written to outside of what
 * the bad guest shared, nor in the good guest's memory; the next guest works, in either format.
 * leave - only that: the bad guest hangs up.
 */
void survived(void);
void leave(void);

/* --- chains made by hand; their head is 0 --- */

/* Places in the data memory. */
#define HEADER_AT 0u
#define STATUS_AT 64u
#define TABLE_AT  4096u
#define DATA_AT   65536u

/* at - guest address of that place. gpa_of - of memory that is shared. */
static inline uint64_t at(uint32_t offset)
{
	return disk.data_mem.gpa + offset;
}

static inline uint64_t gpa_of(const void *host)
{
	return DISK_GPA + (uint64_t)((const uint8_t *)host - disk.ram);
}

/* ring_desc - descriptor @i of the chain at head 0. A packed ring has them one after the other,
 * whatever @next is. table_desc - in the indirect table at @TABLE_AT. */
void ring_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);
void table_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);

/* chain_ends - packed: the chain has @num descriptors, ring_desc(0) to (num - 1). */
void chain_ends(uint16_t num);

void header(uint32_t type, uint64_t sector);

/* A good read of a page in descriptors 0 to 2, for a case to spoil: direct, and by a table. */
void good_read(void);
void good_table(uint32_t bytes);

/* good_request - a good read, or whatever a balloon can do. */
void good_request(void);

/* stage - the chain, as often as wanted once it was used. go - publish, and kick whatever the
 * daemon asked for. */
void stage(void);
void go(void);

/*
 * watch - from now on the daemon may write to the ring, the page of data and the status byte, and
 * to nothing else. may_write - there as well. unharmed - it has written nowhere else.
 */
void watch(void);
void may_write(const void *host, size_t bytes);
void unharmed(void);

/* expect - what became of the chain. used - it was used, after at most 5 s. */
void expect(enum outcome outcome);
struct fe_used used(void);

/* broken - has the ring's error been signalled, within @timeout_ms? */
bool broken(int timeout_ms);

#endif
