/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_request_rig.h - lay out a block request as a driver would, parse it, say what is expected.
 * Tests only. One request, in this process's own memory.
 */
#ifndef RINGSIDE_TESTS_UNIT_BLK_REQUEST_RIG_H
#define RINGSIDE_TESTS_UNIT_BLK_REQUEST_RIG_H

#include "blk/request.h"
#include "tests/unit/support.h"

#define CAPACITY   2048ull /* sectors */
#define SECTOR     512
#define ALL_TYPES  UINT64_MAX
#define HEADER_LEN sizeof(struct virtio_blk_outhdr)

/* What lies in guest memory, and the chain that names it. */
static struct virtio_blk_outhdr header;
static struct virtio_blk_discard_write_zeroes ranges[BLK_MAX_RANGES + 1];
static uint8_t data[8 * SECTOR];
static uint8_t status;
static struct blk_request req;
static struct blk_limits limits;

static inline void setup(void)
{
	memset(&header, 0, sizeof(header));
	memset(ranges, 0, sizeof(ranges));
	memset(&req, 0xee, sizeof(req)); /* what an earlier request left */
	memset(&limits, 0, sizeof(limits));
	limits.capacity_sectors = CAPACITY;
	limits.features = ALL_TYPES;
	limits.block_mask = SECTOR - 1;
	memcpy(limits.serial, "serial", 6);
	status = 0xff;
}

/* chain - begin one; out and in - append a buffer to it. */
static inline void chain(void)
{
	memset(&req.chain, 0, sizeof(req.chain));
	req.chain.iov = req.iov;
	req.chain.max_iov = BLK_MAX_IOV;
}

static inline void out(void *at, size_t bytes)
{
	ck_assert_uint_eq(req.chain.num_in, 0);
	req.iov[req.chain.num_out++] = (struct iovec){at, bytes};
	req.chain.out_bytes += bytes;
}

static inline void in(void *at, size_t bytes)
{
	req.iov[req.chain.num_out + req.chain.num_in++] = (struct iovec){at, bytes};
	req.chain.in_bytes += bytes;
}

static inline void head(uint32_t type, uint64_t sector)
{
	header.type = htole32(type);
	header.sector = htole64(sector);
	chain();
	out(&header, HEADER_LEN);
}

/* The customary framing of each type. */
static inline void make_read(uint64_t sector, size_t bytes)
{
	head(VIRTIO_BLK_T_IN, sector);
	if (bytes)
		in(data, bytes);
	in(&status, 1);
}

static inline void make_write(uint64_t sector, size_t bytes)
{
	head(VIRTIO_BLK_T_OUT, sector);
	if (bytes)
		out(data, bytes);
	in(&status, 1);
}

static inline void make_ranges(uint32_t type, unsigned num)
{
	head(type, 0);
	out(ranges, num * sizeof(ranges[0]));
	in(&status, 1);
}

static inline void range(unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	ranges[i].sector = htole64(sector);
	ranges[i].num_sectors = htole32(sectors);
	ranges[i].flags = htole32(flags);
}

/* expect_go - the request is to be carried out. */
static inline void expect_go(enum blk_op op)
{
	ck_assert(blk_request_parse(&req, &limits));
	ck_assert_uint_eq(req.op, op);
	ck_assert_uint_eq(req.status, VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.cause, BLK_CAUSE_NONE);
	ck_assert_ptr_eq(req.status_at, &status);
	ck_assert_uint_eq(req.written_bytes, 0);
}

/* expect_done - it was answered at once, so. */
static inline void expect_done(uint8_t expected, enum blk_cause cause)
{
	ck_assert(!blk_request_parse(&req, &limits));
	ck_assert_uint_eq(req.status, expected);
	ck_assert_str_eq(blk_cause_name(req.cause), blk_cause_name(cause));
	if (cause)
		ck_assert_uint_eq(req.written_bytes, 0);
	ck_assert_uint_eq(status, 0xff); /* written when the request is used, not before */
}

static inline void expect_malformed(void)
{
	expect_done(VIRTIO_BLK_S_IOERR, BLK_CAUSE_MALFORMED);
}

static inline void expect_out_of_range(void)
{
	expect_done(VIRTIO_BLK_S_IOERR, BLK_CAUSE_RANGE);
}

static inline void expect_unsupported(void)
{
	expect_done(VIRTIO_BLK_S_UNSUPP, BLK_CAUSE_UNSUPPORTED);
}

static inline TCase *group(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, NULL);
	suite_add_tcase(suite, tcase);
	return tcase;
}

#endif
