/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_rig.h - a virtqueue over guest memory that the test writes by hand.
 * Tests only. Two regions that meet, then nothing: A at GPA_A, B behind it, a hole behind B.
 */
#ifndef RINGSIDE_TESTS_UNIT_RING_RIG_H
#define RINGSIDE_TESTS_UNIT_RING_RIG_H

#include <sys/eventfd.h>

#include "tests/unit/support.h"
#include "vhost/base/log.h"
#include "vhost/ring/virtqueue.h"

#define GPA_A        0x100000ull
#define REGION_BYTES 0x100000ull
#define GPA_B        (GPA_A + REGION_BYTES)
#define GPA_HOLE     (GPA_B + REGION_BYTES)
#define GPA_DATA     (GPA_A + 0x10000) /* what lies below belongs to the ring */
#define RIG_SIZE     8
#define RIG_IOV      2048

struct ring_rig {
	struct mem_table mem;
	struct virtqueue vq;
	struct vq_setup setup;
	int err_fd, call_fd;
	uint8_t *host[2]; /* of A and B: the table's own mappings */
	struct vq_chain chain;
	struct iovec iov[RIG_IOV];
};

static struct ring_rig r;

/* at - host address of a guest address, for the test's own writing. */
static inline void *at(uint64_t gpa)
{
	return gpa < GPA_B ? r.host[0] + (gpa - GPA_A) : r.host[1] + (gpa - GPA_B);
}

/* A ring of @size at the start of A: descriptors, then what is available, then what is used. */
static inline void rig_attach(bool packed, uint16_t size, uint64_t features, uint32_t base)
{
	r.setup = (struct vq_setup){
		.packed = packed,
		.size = size,
		.desc = at(GPA_A),
		.avail = at(GPA_A + 0x8000),
		.used = at(GPA_A + 0xc000),
		.features = features,
		.mem = &r.mem,
		.base = base,
		.kick_fd = -1,
		.call_fd = r.call_fd,
		.err_fd = r.err_fd,
	};
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
}

static inline void rig_open(void)
{
	memset(&r, 0, sizeof(r));
	log_set_level("error");
	ck_assert_int_eq(mem_table_init(&r.mem), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct vu_region region = {
			.gpa = GPA_A + i * REGION_BYTES,
			.uva = 0x7000000000ull + i * (REGION_BYTES + 4096),
			.size = REGION_BYTES,
		};
		int fd = test_memfd(REGION_BYTES);

		ck_assert_int_eq(mem_table_add(&r.mem, &region, &fd), 0);
		r.host[i] = r.mem.regions[i].host;
	}
	r.err_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r.call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_eq(vq_init(&r.vq, "test0", 0, 1024), 0);
}

static inline void rig_close(void)
{
	vq_free(&r.vq);
	mem_table_free(&r.mem);
	close_fd(&r.err_fd);
	close_fd(&r.call_fd);
}

static inline int pop(void)
{
	r.chain.iov = r.iov;
	r.chain.max_iov = RIG_IOV;
	return vq_pop(&r.vq, &r.chain);
}

/* Was the fd written to since last asked? */
static inline bool signalled(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* inside - does every buffer of the popped chain lie in guest memory? */
static inline void inside(void)
{
	uint64_t bytes = 0;

	ck_assert_uint_le(r.chain.num_out + r.chain.num_in, r.chain.max_iov);
	for (unsigned i = 0; i < (unsigned)r.chain.num_out + r.chain.num_in; i++) {
		const uint8_t *base = r.chain.iov[i].iov_base;
		size_t len = r.chain.iov[i].iov_len;
		const uint8_t *host = base >= r.host[0] && base < r.host[0] + REGION_BYTES
					      ? r.host[0]
					      : r.host[1];

		ck_assert(base >= host);
		ck_assert(base < host + REGION_BYTES);
		ck_assert_uint_le(len, (size_t)(host + REGION_BYTES - base));
		bytes += len;
	}
	if (!r.chain.error)
		ck_assert_uint_eq(bytes, r.chain.out_bytes + r.chain.in_bytes);
}

/* A small generator, the same everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* An address of the kinds that matter: inside, at the edges, outside, wrapping. */
static inline uint64_t random_gpa(uint64_t *state)
{
	static const uint64_t bases[] = {GPA_DATA, GPA_A, GPA_B, GPA_HOLE, 0, UINT64_MAX - 64};

	return bases[next_random(state) % ARRAY_SIZE(bases)] + next_random(state) % 128 - 64;
}

static inline uint32_t random_len(uint64_t *state)
{
	static const uint32_t lens[] = {0, 16, 64, 512, 4096, REGION_BYTES, 0x80000000, UINT32_MAX};

	return lens[next_random(state) % ARRAY_SIZE(lens)] - next_random(state) % 2;
}

#endif
