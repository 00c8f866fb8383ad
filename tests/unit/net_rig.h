/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_rig.h - two guests at the ends of a cable on one lcore, with their drivers, in one process.
 * Tests only. The lcore is driven by hand: one thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_RIG_H

#include <fcntl.h>
#include <linux/virtio_net.h>

#include "net/eal.h"
#include "net/forward.h"
#include "net/guest.h"
#include "net/lcore.h"
#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/frontend/ring.h"
#include "vhost/memory/dirty.h"

#define RIG_GPA       0x100000000ull
#define RIG_REGION    (4ull << 20)
#define RIG_SEAM      (RIG_GPA + RIG_REGION) /* two regions adjoin here */
#define RIG_RING_SIZE 256
#define RIG_MBUFS     1023

enum { RX, TX }; /* rings of a guest, as it calls them */

struct rig_options {
	bool packed;
	bool in_order;
	bool event_idx;
	uint16_t indirect; /* entries of tables */
	uint64_t features; /* besides what follows from the above, and VERSION_1 */
	const struct mem_dirty *dirty;
};

struct rig_guest {
	struct net_guest guest;
	struct net_guest_config config;
	struct fe_memory mem;
	struct mem_table table;
	struct fe_ring ring[2];
	struct virtqueue vq[2];
};

#ifndef RIG_GUESTS
#define RIG_GUESTS 2
#endif
static struct rig_guest rig_guests[RIG_GUESTS];
static struct rig_guest *rig_sender = &rig_guests[0];
static struct net_topology rig_topology;
static struct net_lcore *rig_lcore = &net_lcores[0];

/* For loops: ck_assert writes to a pipe each time it is passed. */
#define rig_check(condition)                            \
	do {                                            \
		if (!(condition))                       \
			ck_abort_msg("%s", #condition); \
	} while (0)

/* rig_start - DPDK, once for the program; tests run in forks of it. */
static inline void rig_start(void)
{
	struct net_options opt = {.num_mbufs = RIG_MBUFS};
	static const struct net_lcore_options lcore_opt = {.poll_us = 100};

	log_init("test");
	log_set_level("error");
	clock_init();
	/* Two lcores, be they on one CPU. */
	CPU_SET(0, &opt.cores);
	CPU_SET(1, &opt.cores);
	net_eal_start(&opt);
	if (net_lcores_make(&lcore_opt))
		fatal("cannot make lcores");
}

static inline void rig_make_queue(struct rig_guest *g, unsigned i, const struct rig_options *o,
				  uint64_t features)
{
	struct fe_ring_options options = {
		.size = RIG_RING_SIZE,
		.packed = o->packed,
		.in_order = o->in_order,
		.event_idx = o->event_idx,
		.indirect = o->indirect,
	};
	struct vu_vring_addr addr;
	struct vq_parts parts = vq_part_bytes(o->packed, RIG_RING_SIZE);
	struct vq_setup setup;

	ck_assert_int_eq(fe_ring_init(&g->ring[i], &g->mem, &options), 0);
	addr = fe_ring_wire_addr(&g->ring[i], i);
	setup = (struct vq_setup){
		.packed = o->packed,
		.size = RIG_RING_SIZE,
		.desc = mem_from_uva(&g->table, addr.desc_uva, parts.desc),
		.avail = mem_from_uva(&g->table, addr.avail_uva, parts.avail),
		.used = mem_from_uva(&g->table, addr.used_uva, parts.used),
		.features = features,
		.uses_in_order = true,
		.mem = &g->table,
		.base = fe_ring_base(&g->ring[i]),
		.kick_fd = g->ring[i].kick_fd,
		.call_fd = g->ring[i].call_fd,
		.err_fd = g->ring[i].err_fd,
		.dirty = o->dirty,
		.max_iov = NET_CHAIN_IOVS,
	};
	ck_assert_int_eq(vq_init(&g->vq[i], "test", i, RIG_RING_SIZE), 0);
	ck_assert_int_eq(vq_attach(&g->vq[i], &setup), 0);
	ck_assert_int_eq(net_guest_queue_start(rig_lcore, &g->guest, &g->vq[i],
					       i == TX ? &g->guest.from[0] : &g->guest.to[0],
					       features),
			 0);
}

static inline void rig_make_guest(struct rig_guest *g, uint16_t id, const struct rig_options *o)
{
	uint64_t features = o->features | VU_BIT(VIRTIO_F_VERSION_1) |
			    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    (o->packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0) |
			    (o->in_order ? VU_BIT(VIRTIO_F_IN_ORDER) : 0) |
			    (o->event_idx ? VU_BIT(VIRTIO_RING_F_EVENT_IDX) : 0);

	memset(g, 0, sizeof(*g));
	fe_memory_init(&g->mem);
	ck_assert_int_eq(mem_table_init(&g->table), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct vu_region region;
		int fd;

		ck_assert_int_eq(
			fe_memory_add(&g->mem, RIG_GPA + i * RIG_REGION, RIG_REGION, false), 0);
		region = fe_memory_describe(&g->mem, i);
		fd = fcntl(g->mem.regions[i].fd, F_DUPFD_CLOEXEC, 0);
		ck_assert_int_eq(mem_table_add(&g->table, &region, &fd), 0);
	}
	g->config.num_pairs = 1;
	g->config.takes = features;
	g->guest.config = &g->config;
	g->guest.features = features;
	g->guest.port.id = id;
	g->guest.port.kind = NET_GUEST;
	g->guest.port.link_up = true;
	g->guest.port.generation = 1;
	rig_make_queue(g, RX, o, features);
	rig_make_queue(g, TX, o, features);
}

/* rig_open - both guests the same. */
static inline void rig_open(const struct rig_options *o)
{
	memset(&rig_topology, 0, sizeof(rig_topology));
	for (uint16_t i = 0; i < 2; i++) {
		rig_make_guest(&rig_guests[i], i, o);
		rig_topology.ports[i] = &rig_guests[i].guest.port;
	}
	rig_topology.num_ids = 2;
	rig_lcore->topology = &rig_topology;
	ck_assert_uint_eq(mailbox_run(&rig_lcore->mailbox), 4);
}

/* rig_variant - of a looped test: split, split in order, packed, packed in order. */
static inline struct rig_options rig_variant(int i)
{
	return (struct rig_options){.packed = i & 2, .in_order = i & 1};
}
#define RIG_VARIANTS 4

/* rig_pass - as an lcore does it. Return: chains taken from guest 0. */
static inline unsigned rig_pass(void)
{
	struct net_guest_queue *queue = rig_guests[0].vq[TX].device_data;
	unsigned n = net_tx_take(queue);

	net_flush(rig_lcore);
	net_tx_give_back(queue);
	return n;
}

/* rig_alloc - memory of a guest's. */
static inline struct fe_mem rig_alloc(struct rig_guest *g, uint64_t bytes)
{
	struct fe_mem piece;

	ck_assert_int_eq(fe_alloc(&g->mem, bytes, 1, &piece), 0);
	return piece;
}

/* rig_fill - bytes that are different everywhere. */
static inline void rig_fill(uint8_t *at, uint32_t bytes, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (uint32_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		at[i] = (uint8_t)x;
	}
}

/* rig_add - the driver of @g submits a chain to ring @i and shows it. Return: its head. */
static inline unsigned rig_add(struct rig_guest *g, unsigned i, const struct fe_buf *bufs,
			       unsigned num_out, unsigned num_in)
{
	int head = fe_ring_add(&g->ring[i], bufs, num_out, num_in);

	rig_check(head >= 0);
	fe_ring_publish(&g->ring[i]);
	return (unsigned)head;
}

/* rig_offer - @num buffers of @bytes for guest @g to receive into. Return: the first of them; they
 * follow each other in memory. */
static inline struct fe_mem rig_offer(struct rig_guest *g, unsigned num, uint32_t bytes)
{
	struct fe_mem piece = rig_alloc(g, (uint64_t)num * bytes);

	for (unsigned i = 0; i < num; i++) {
		struct fe_buf buf = {piece.gpa + (uint64_t)i * bytes, bytes};

		rig_add(g, RX, &buf, 0, 1);
	}
	return piece;
}

/* rig_send - rig_sender sends a frame in one buffer, header (all zero) in front. Return: the frame. */
static inline uint8_t *rig_send(uint32_t frame_bytes, uint32_t seed)
{
	struct rig_guest *g = rig_sender;
	uint32_t header = sizeof(struct virtio_net_hdr_v1);
	struct fe_mem piece = rig_alloc(g, header + frame_bytes);
	struct fe_buf buf = {piece.gpa, header + frame_bytes};

	memset(piece.host, 0, header);
	rig_fill(piece.host + header, frame_bytes, seed);
	rig_add(g, TX, &buf, 1, 0);
	return piece.host + header;
}

/* rig_poll - what was used of ring @i of guest @g. Return: how many. */
static inline unsigned rig_poll(struct rig_guest *g, unsigned i, struct fe_used *used, unsigned max)
{
	int n = fe_ring_poll(&g->ring[i], used, max);

	if (n < 0)
		ck_abort_msg("%s", g->ring[i].why);
	return (unsigned)n;
}

/* rig_drops - of queue @i of guest @g. */
static inline uint64_t rig_drops(const struct rig_guest *g, unsigned i, enum net_drop why)
{
	return vq_count(i == TX ? &g->guest.from[0].drops[why] : &g->guest.to[0].drops[why]);
}

/* rig_all_mbufs - are all back in their pool? */
static inline bool rig_all_mbufs(void)
{
	return rte_mempool_avail_count(rig_lcore->pool) == RIG_MBUFS;
}

#endif
