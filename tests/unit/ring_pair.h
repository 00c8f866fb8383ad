/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_pair.h - both ends of one virtqueue in one process: the front-end's driver side and, on a
 * mapping of its own, the device side. Tests only. One thread, unless a test says otherwise.
 */
#ifndef RINGSIDE_TESTS_UNIT_RING_PAIR_H
#define RINGSIDE_TESTS_UNIT_RING_PAIR_H

#include <fcntl.h>

#include "tests/unit/support.h"
#include "vhost/frontend/ring.h"
#include "vhost/ring/virtqueue.h"

/* Two regions that adjoin, with nothing around them. */
#define PAIR_GPA          0x100000000ull
#define PAIR_REGION_BYTES (2ull << 20)
#define PAIR_SEAM         (PAIR_GPA + PAIR_REGION_BYTES)
#define PAIR_MAX_IOV      16

/* For loops: ck_assert writes to a pipe each time it is passed. */
#define pair_check(condition)                           \
	do {                                            \
		if (!(condition))                       \
			ck_abort_msg("%s", #condition); \
	} while (0)

struct pair_options {
	bool packed;
	bool event_idx;
	uint16_t indirect; /* entries of the driver's tables; 0: direct chains */
	uint16_t size;
};

static struct fe_memory mem;
static struct fe_ring ring;
static struct mem_table table;
static struct virtqueue vq;
static struct vq_setup setup;

/* A popped chain with its buffers. */
struct taken {
	struct vq_chain chain;
	struct iovec iov[PAIR_MAX_IOV];
};

static inline void pair_share(unsigned index)
{
	struct vu_region region = fe_memory_describe(&mem, index);
	int fd = fcntl(mem.regions[index].fd, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_eq(mem_table_add(&table, &region, &fd), 0);
}

/* pair_attach - the device takes over the ring at @base. */
static inline int pair_attach(uint32_t base)
{
	setup.base = base;
	vq.broken = false;
	return vq_attach(&vq, &setup);
}

static inline void pair_make(const struct pair_options *o)
{
	struct fe_ring_options options = {
		.size = o->size,
		.packed = o->packed,
		.event_idx = o->event_idx,
		.indirect = o->indirect,
	};
	struct vu_vring_addr addr;

	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, PAIR_GPA, PAIR_REGION_BYTES, false), 0);
	ck_assert_int_eq(fe_memory_add(&mem, PAIR_SEAM, PAIR_REGION_BYTES, false), 0);
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
	ck_assert_int_eq(mem_table_init(&table), 0);
	pair_share(0);
	pair_share(1);
	ck_assert_int_eq(vq_init(&vq, "test", 0, o->size), 0);
	addr = fe_ring_wire_addr(&ring, 0);
	setup = (struct vq_setup){
		.packed = o->packed,
		.size = o->size,
		.desc = mem_from_uva(&table, addr.desc_uva, o->size * sizeof(struct vring_desc)),
		.avail = mem_from_uva(&table, addr.avail_uva, sizeof(uint32_t)),
		.used = mem_from_uva(&table, addr.used_uva, sizeof(uint32_t)),
		.features = VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    (o->event_idx ? VU_BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
		.mem = &table,
		.kick_fd = ring.kick_fd,
		.call_fd = ring.call_fd,
		.err_fd = ring.err_fd,
	};
	ck_assert_int_eq(pair_attach(fe_ring_base(&ring)), 0);
}

static inline void pair_drop(void)
{
	vq_detach(&vq);
	vq_free(&vq);
	mem_table_free(&table);
	fe_ring_free(&ring);
	fe_memory_free(&mem);
}

/* pair_eventfd - take what an eventfd has counted. */
static inline uint64_t pair_eventfd(int fd)
{
	uint64_t count = 0;

	if (read(fd, &count, sizeof(count)) < 0)
		pair_check(errno == EAGAIN);
	return count;
}

/* pair_empty - ready to be popped into. */
static inline struct vq_chain *pair_empty(struct taken *t, unsigned max_iov)
{
	t->chain.iov = t->iov;
	t->chain.max_iov = (uint16_t)max_iov;
	return &t->chain;
}

static inline int pair_pop(struct taken *t)
{
	return vq_pop(&vq, pair_empty(t, PAIR_MAX_IOV));
}

/* pair_alloc - memory of the driver's; its address in *@gpa. */
static inline void *pair_alloc(uint64_t bytes, uint64_t *gpa)
{
	struct fe_mem piece;

	ck_assert_int_eq(fe_alloc(&mem, bytes, 16, &piece), 0);
	*gpa = piece.gpa;
	return piece.host;
}

/* pair_device_at - the device's address of @gpa. */
static inline uint8_t *pair_device_at(uint64_t gpa)
{
	struct mem_cache cache = {0};

	return mem_at(&table, &cache, gpa, 1);
}

/* pair_add - the driver submits a chain and shows it. Return: its head. */
static inline unsigned pair_add(const struct fe_buf *bufs, unsigned num_out, unsigned num_in)
{
	int head = fe_ring_add(&ring, bufs, num_out, num_in);

	pair_check(head >= 0);
	fe_ring_publish(&ring);
	return (unsigned)head;
}

/* pair_poll_one - the driver must find exactly one used chain. */
static inline struct fe_used pair_poll_one(void)
{
	struct fe_used used[2];

	pair_check(fe_ring_poll(&ring, used, 2) == 1);
	return used[0];
}

#endif
