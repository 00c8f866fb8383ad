/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_cost.c - two guests on one lcore, joined by a cable, and their drivers, all in one thread:
 * for bench/net-cost to count the instructions of. take_pass and deliver_pass are the functions it
 * counts: what a frame costs from the guest that sends it, and to the guest that receives it.
 *
 * Usage: net-cost-load split|packed any-order|in-order mergeable|whole FRAME-BYTES BURST PASSES
 */
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <rte_mempool.h>
#include <string.h>

#include "net/eal.h"
#include "net/guest.h"
#include "net/lcore.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/frontend/ring.h"

#define RAM_BYTES    (4u << 20)
#define RING_SIZE    256u
#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define BUFFER_BYTES 2048u

/* A guest with one queue: it sends, or it receives. */
struct side {
	struct net_guest guest;
	struct net_guest_config config;
	struct fe_memory mem;
	struct fe_ring ring;
	struct mem_table table;
	struct virtqueue vq;
	unsigned heads[NET_BURST];
	struct fe_used used[NET_BURST];
};

static struct side sender, receiver;
static struct net_topology topology = {.num_ids = 2};

/* What an lcore does to take a burst from a guest, and to give the chains back. */
static __attribute__((noinline)) unsigned take_pass(struct net_lcore *lcore)
{
	return net_tx_take(lcore->tx_queues[0]);
}

static __attribute__((noinline)) void give_back_pass(struct net_lcore *lcore)
{
	net_tx_give_back(lcore->tx_queues[0]);
}

/* And to give it to the other guest. */
static __attribute__((noinline)) void deliver_pass(struct net_lcore *lcore)
{
	net_flush(lcore);
}

static void make_driver(struct side *side, const struct fe_ring_options *options, bool sends,
			unsigned burst, uint32_t frame_bytes)
{
	struct fe_mem piece;
	unsigned i;

	fe_memory_init(&side->mem);
	if (fe_memory_add(&side->mem, 0, RAM_BYTES, false) ||
	    fe_ring_init(&side->ring, &side->mem, options))
		fatal("cannot set up a driver's side");
	for (i = 0; i < burst; i++) {
		struct fe_buf buf = {
			.len = sends ? (uint32_t)HEADER_BYTES + frame_bytes : BUFFER_BYTES,
		};

		if (fe_alloc(&side->mem, BUFFER_BYTES, CACHELINE_BYTES, &piece))
			fatal("memory too small");
		buf.gpa = piece.gpa;
		side->heads[i] =
			(unsigned)fe_ring_prepare(&side->ring, &buf, sends ? 1 : 0, sends ? 0 : 1);
	}
}

static void make_device(struct side *side, unsigned index, uint16_t id, uint64_t features)
{
	struct vu_region region = fe_memory_describe(&side->mem, 0);
	int fd = fcntl(side->mem.regions[0].fd, F_DUPFD_CLOEXEC, 0);
	struct vu_vring_addr addr = fe_ring_wire_addr(&side->ring, index);
	struct vq_setup setup = {
		.packed = side->ring.packed,
		.size = RING_SIZE,
		.desc = (void *)addr.desc_uva,
		.avail = (void *)addr.avail_uva,
		.used = (void *)addr.used_uva,
		.base = fe_ring_base(&side->ring),
		.features = features,
		.uses_in_order = true,
		.mem = &side->table,
		.kick_fd = side->ring.kick_fd,
		.call_fd = side->ring.call_fd,
		.err_fd = -1,
	};

	if (mem_table_init(&side->table) || mem_table_add(&side->table, &region, &fd) ||
	    vq_init(&side->vq, "cost", index, RING_SIZE) || vq_attach(&side->vq, &setup))
		fatal("cannot set up a device's side");
	side->config.num_pairs = 1;
	side->guest.config = &side->config;
	side->guest.port.id = id;
	side->guest.port.kind = NET_GUEST;
	side->guest.port.link_up = true;
	topology.ports[id] = &side->guest.port;
	if (net_guest_queue_start(&net_lcores[0], &side->guest, &side->vq, &side->guest.from[0],
				  features))
		fatal("out of memory");
}

static void submit(struct side *side, unsigned burst)
{
	unsigned i;

	for (i = 0; i < burst; i++)
		fe_ring_submit(&side->ring, side->heads[i]);
	fe_ring_publish(&side->ring);
}

static void run(struct net_lcore *lcore, unsigned burst, uint64_t passes)
{
	uint64_t i;

	for (i = 0; i < passes; i++) {
		submit(&receiver, burst);
		submit(&sender, burst);
		if (take_pass(lcore) != burst)
			fatal("pass %llu: not every frame was taken", (unsigned long long)i);
		deliver_pass(lcore);
		give_back_pass(lcore);
		if (fe_ring_poll(&sender.ring, sender.used, burst) != (int)burst ||
		    fe_ring_poll(&receiver.ring, receiver.used, burst) != (int)burst)
			fatal("pass %llu: not every frame came through", (unsigned long long)i);
	}
}

/* one_of - is @text the second of two words? Anything else ends the program. */
static bool one_of(const char *text, const char *first, const char *second)
{
	if (strcmp(text, first) && strcmp(text, second))
		usage_error("%s: %s or %s", text, first, second);
	return !strcmp(text, second);
}

static void make_lcore(void)
{
	const struct net_options opt = {.num_mbufs = 4095};
	const struct net_lcore_options lcore_opt = {.poll_us = 0};

	net_eal_start(&opt);
	if (net_lcores_make(&lcore_opt))
		fatal("cannot make an lcore");
	net_lcores[0].topology = &topology;
}

int main(int argc, char **argv)
{
	uint64_t features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	struct fe_ring_options options = {.size = RING_SIZE, .event_idx = true};
	uint64_t bytes, burst, passes;

	log_init("net-cost-load");
	clock_init();
	if (argc != 7 || parse_uint(argv[4], NET_MIN_FRAME_BYTES, BUFFER_BYTES - 64, &bytes) ||
	    parse_uint(argv[5], 1, NET_BURST, &burst) ||
	    parse_uint(argv[6], 1, UINT32_MAX, &passes))
		usage_error("usage: net-cost-load split|packed any-order|in-order mergeable|whole "
			    "FRAME-BYTES BURST PASSES");
	options.packed = one_of(argv[1], "split", "packed");
	options.in_order = one_of(argv[2], "any-order", "in-order");
	if (options.packed)
		features |= VU_BIT(VIRTIO_F_RING_PACKED);
	if (options.in_order)
		features |= VU_BIT(VIRTIO_F_IN_ORDER);
	if (!one_of(argv[3], "mergeable", "whole"))
		features |= VU_BIT(VIRTIO_NET_F_MRG_RXBUF);
	make_lcore();
	make_driver(&sender, &options, true, (unsigned)burst, (uint32_t)bytes);
	make_driver(&receiver, &options, false, (unsigned)burst, 0);
	make_device(&sender, 1, 0, features);
	make_device(&receiver, 0, 1, features);
	mailbox_run(&net_lcores[0].mailbox);
	run(&net_lcores[0], (unsigned)burst, passes);
	return 0;
}
