/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_blk_request.c - any chain as a block request: what is to be carried out lies within the
 * buffers the chain had and within the disk, and what may not be is refused.
 *
 * Input: struct input, struct buffer for each buffer (readable ones first), and the bytes that
 * the readable ones hold, one after another.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/image.h"
#include "blk/request.h"

#define ARENA_BYTES (8u << 20)
#define GUARD_BYTES (1u << 20)
#define MAX_LEN     (BLK_SIZE_MAX + 512)

struct input {
	uint64_t capacity_sectors;
	uint8_t features; /* FEATURE_* */
	uint8_t flags; /* FLAG_* */
	uint8_t num_out;
	uint8_t num_in;
	uint8_t advance; /* how far a short transfer has come */
} __attribute__((packed));

struct buffer {
	uint16_t at; /* in the arena */
	uint8_t len[3];
} __attribute__((packed));

#define FEATURE_DISCARD      1u
#define FEATURE_WRITE_ZEROES 2u
#define FLAG_READ_ONLY       1u
#define FLAG_WRITE_THROUGH   2u
#define FLAG_BLOCK_4K        4u
#define FLAG_BAD_CHAIN       8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *arena; /* guest memory; what is around it cannot be touched */
static struct blk_request req;
static struct blk_limits limits;
static struct iovec before[BLK_MAX_IOV]; /* the chain as it was popped */

static void set_up_once(void)
{
	uint8_t *map;

	if (arena)
		return;
	map = mmap(NULL, ARENA_BYTES + 2 * GUARD_BYTES, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(map != MAP_FAILED);
	arena = map + GUARD_BYTES;
	assert(!mprotect(arena, ARENA_BYTES, PROT_READ | PROT_WRITE));
}

static void set_limits(const struct input *in)
{
	memset(&limits, 0, sizeof(limits));
	limits.capacity_sectors = in->capacity_sectors & (INT64_MAX / BLK_SECTOR_BYTES);
	if (in->features & FEATURE_DISCARD)
		limits.features |= 1ull << VIRTIO_BLK_F_DISCARD;
	if (in->features & FEATURE_WRITE_ZEROES)
		limits.features |= 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	limits.block_mask = in->flags & FLAG_BLOCK_4K ? 4095 : 511;
	limits.read_only = in->flags & FLAG_READ_ONLY;
	limits.write_through = in->flags & FLAG_WRITE_THROUGH;
	memset(limits.serial, 's', sizeof(limits.serial));
}

/* make_chain - as a ring hands it over. Return: false when the input is too short for it. */
static bool make_chain(const struct input *in, const uint8_t *data, size_t size)
{
	struct vq_chain *chain = &req.chain;
	unsigned num = (unsigned)in->num_out + in->num_in;
	const struct buffer *buffers = (const struct buffer *)data;

	if (num > BLK_MAX_IOV || size < num * sizeof(*buffers))
		return false;
	data += num * sizeof(*buffers);
	size -= num * sizeof(*buffers);
	memset(&req, 0xee, sizeof(req)); /* what an earlier request left */
	*chain = (struct vq_chain){.iov = req.iov, .max_iov = BLK_MAX_IOV};
	for (unsigned i = 0; i < num; i++) {
		const struct buffer *b = &buffers[i];
		uint32_t len = b->len[0] | (uint32_t)b->len[1] << 8 | (uint32_t)b->len[2] << 16;
		size_t content = 0;

		len = 1 + len % MAX_LEN; /* a ring gives no empty ones */
		req.iov[i] = (struct iovec){arena + b->at, len};
		if (i < in->num_out) {
			content = min_of((size_t)len, size);
			memcpy(req.iov[i].iov_base, data, content);
			chain->num_out++;
			chain->out_bytes += len;
		} else {
			chain->num_in++;
			chain->in_bytes += len;
		}
		data += content;
		size -= content;
	}
	if (in->flags & FLAG_BAD_CHAIN) {
		chain->error = VQ_CHAIN_UNMAPPED;
		chain->num_out = chain->num_in = 0;
		chain->out_bytes = chain->in_bytes = 0;
		chain->last_byte = in->num_in ? arena : NULL;
	}
	memcpy(before, req.iov, sizeof(before));
	return true;
}

/* part_of - does [p, p + bytes) lie within one of the first buffers of @iov? */
static bool part_of(const struct iovec *iov, unsigned num, const uint8_t *p, size_t bytes)
{
	for (unsigned i = 0; i < num; i++) {
		const uint8_t *base = iov[i].iov_base;

		if (p >= base && (size_t)(p - base) <= iov[i].iov_len &&
		    bytes <= iov[i].iov_len - (size_t)(p - base))
			return true;
	}
	return false;
}

static uint64_t data_total(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < req.num_data; i++)
		bytes += req.data[i].iov_len;
	return bytes;
}

static bool within_disk(uint64_t sector, uint64_t sectors)
{
	return sector <= limits.capacity_sectors && sectors <= limits.capacity_sectors - sector;
}

/* check_data - the buffers are parts of those of the chain, of the right direction. */
static void check_data(bool writable)
{
	const struct iovec *iov = before + (writable ? req.chain.num_out : 0);
	unsigned num = writable ? req.chain.num_in : req.chain.num_out;

	assert(req.num_data <= num);
	for (unsigned i = 0; i < req.num_data; i++)
		assert(part_of(iov, num, req.data[i].iov_base, req.data[i].iov_len));
	assert(data_total() == req.data_bytes);
	assert(req.offset_bytes % BLK_SECTOR_BYTES == 0 && req.data_bytes % BLK_SECTOR_BYTES == 0);
	assert(!((req.offset_bytes | req.data_bytes) & limits.block_mask));
	assert(req.data_bytes <= BLK_DATA_MAX);
	assert(within_disk(req.offset_bytes / BLK_SECTOR_BYTES, req.data_bytes / BLK_SECTOR_BYTES));
}

static void check_ranges(void)
{
	uint64_t bytes = 0;

	assert(req.num_ranges && req.num_ranges <= BLK_MAX_RANGES);
	for (unsigned i = 0; i < req.num_ranges; i++) {
		assert(req.ranges[i].num_sectors <= BLK_RANGE_SECTORS);
		assert(within_disk(req.ranges[i].sector, req.ranges[i].num_sectors));
		assert(req.op == BLK_WRITE_ZEROES || !req.ranges[i].flags);
		assert(!(req.ranges[i].flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP));
		bytes += (uint64_t)req.ranges[i].num_sectors * BLK_SECTOR_BYTES;
	}
	assert(bytes == req.data_bytes);
}

static void check_accepted(void)
{
	bool changes = req.op != BLK_READ && req.op != BLK_FLUSH;

	assert(req.status == VIRTIO_BLK_S_OK && req.cause == BLK_CAUSE_NONE);
	assert(req.status_at && !req.written_bytes && !req.chain.error);
	assert(!changes || !limits.read_only);
	assert(req.write_through == limits.write_through);
	switch (req.op) {
	case BLK_READ:
	case BLK_WRITE:
		check_data(req.op == BLK_READ);
		break;
	case BLK_DISCARD:
		assert(limits.features & 1ull << VIRTIO_BLK_F_DISCARD);
		check_ranges();
		break;
	case BLK_WRITE_ZEROES:
		assert(limits.features & 1ull << VIRTIO_BLK_F_WRITE_ZEROES);
		check_ranges();
		break;
	default:
		assert(req.op == BLK_FLUSH);
	}
}

/* use_data - what a backend does with the buffers, a short transfer before it. */
static void use_data(uint64_t advance)
{
	static uint8_t buffer[4096];
	uint64_t total = data_total();

	blk_data_advance(&req, advance);
	assert(data_total() == (advance < total ? total - advance : 0));
	blk_data_from_guest(&req, buffer, sizeof(buffer));
	if (req.op == BLK_READ)
		blk_data_to_guest(&req, buffer, sizeof(buffer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct input *in = (const struct input *)data;
	const struct iovec *last;

	set_up_once();
	if (size < sizeof(*in) || !make_chain(in, data + sizeof(*in), size - sizeof(*in)))
		return -1;
	set_limits(in);
	if (!blk_request_parse(&req, &limits)) {
		/* Answered: with data only where it was asked for, and read whole. */
		assert(req.written_bytes <= req.chain.in_bytes);
		assert(!req.cause == (req.status == VIRTIO_BLK_S_OK));
		assert(!req.cause || !req.written_bytes);
		assert(!req.chain.error || req.status_at == req.chain.last_byte);
		return 0;
	}
	check_accepted();
	last = &before[req.chain.num_out + req.chain.num_in - 1];
	assert(req.status_at == (uint8_t *)last->iov_base + last->iov_len - 1);
	if (req.op == BLK_READ || req.op == BLK_WRITE)
		use_data((uint64_t)in->advance * BLK_SECTOR_BYTES);
	return 0;
}
