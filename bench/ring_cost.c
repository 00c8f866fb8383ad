/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_cost.c - both sides of one ring, in turn, in one thread, for bench/ring-cost to count the
 * instructions of. device_pass and driver_pass are the functions it counts.
 *
 * Usage: ring-cost-load split|packed direct|indirect BURST PASSES
 */
#include <fcntl.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/frontend/ring.h"
#include "vhost/ring/virtqueue.h"

#define RAM_BYTES   (1u << 20)
#define RING_SIZE   256u
#define MAX_BURST   64u
#define CHAIN_DESCS 3u
#define DATA_BYTES  4096u

static struct virtqueue vq;
static struct fe_ring ring;
static struct iovec iovs[MAX_BURST][CHAIN_DESCS];
static struct vq_chain chains[MAX_BURST];
static struct vq_chain *chain_list[MAX_BURST];
static unsigned heads[MAX_BURST];
static struct fe_used used[MAX_BURST]; /* not local: all of it is to be written */

/* What a device does to a burst besides its own work. Return: chains served. */
static __attribute__((noinline)) unsigned device_pass(unsigned burst)
{
	unsigned i, n;

	n = burst == 1 ? (unsigned)vq_pop(&vq, &chains[0]) : vq_pop_burst(&vq, chain_list, burst);
	for (i = 0; i < n; i++)
		vq_push(&vq, chains[i].head, (uint32_t)chains[i].in_bytes);
	vq_publish(&vq);
	vq_notify(&vq);
	return n;
}

/* What the driver does: submit a burst it prepared. */
static __attribute__((noinline)) void driver_pass(unsigned burst)
{
	unsigned i;

	for (i = 0; i < burst; i++)
		fe_ring_submit(&ring, heads[i]);
	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
}

static __attribute__((noinline)) unsigned driver_poll(unsigned burst)
{
	return (unsigned)fe_ring_poll(&ring, used, burst);
}

static void make_device(const struct fe_memory *mem, struct mem_table *table, uint64_t features)
{
	struct vu_region region = fe_memory_describe(mem, 0);
	int fd = fcntl(mem->regions[0].fd, F_DUPFD_CLOEXEC, 0);
	struct vu_vring_addr addr = fe_ring_wire_addr(&ring, 0); /* our own addresses */
	struct vq_setup setup = {
		.packed = ring.packed,
		.size = RING_SIZE,
		.desc = (void *)addr.desc_uva,
		.avail = (void *)addr.avail_uva,
		.used = (void *)addr.used_uva,
		.base = fe_ring_base(&ring),
		.features = features,
		.mem = table,
		.kick_fd = ring.kick_fd,
		.call_fd = ring.call_fd,
		.err_fd = -1,
	};

	if (mem_table_init(table) || mem_table_add(table, &region, &fd) ||
	    vq_init(&vq, "cost", 0, RING_SIZE) || vq_attach(&vq, &setup))
		fatal("cannot set up the device's side");
}

static void make_driver(struct fe_memory *mem, bool packed, bool indirect, unsigned burst)
{
	struct fe_ring_options options = {
		.packed = packed,
		.size = RING_SIZE,
		.event_idx = true,
		.indirect = indirect ? CHAIN_DESCS : 0,
	};
	unsigned i;

	fe_memory_init(mem);
	if (fe_memory_add(mem, 0, RAM_BYTES, false) || fe_ring_init(&ring, mem, &options))
		fatal("cannot set up the driver's side");
	for (i = 0; i < burst; i++) {
		struct fe_mem data, line;
		struct fe_buf bufs[CHAIN_DESCS];

		if (fe_alloc(mem, DATA_BYTES, DATA_BYTES, &data) || fe_alloc(mem, 64, 64, &line))
			fatal("memory too small");
		/* Header, data of a read, status: a block request. */
		bufs[0] = (struct fe_buf){line.gpa, 16};
		bufs[1] = (struct fe_buf){data.gpa, DATA_BYTES};
		bufs[2] = (struct fe_buf){line.gpa + 16, 1};
		heads[i] = (unsigned)fe_ring_prepare(&ring, bufs, 1, 2);
		chains[i].iov = iovs[i];
		chains[i].max_iov = CHAIN_DESCS;
		chain_list[i] = &chains[i];
	}
}

/* one_of - is @text the second of two words? Anything else ends the program. */
static bool one_of(const char *text, const char *first, const char *second)
{
	if (strcmp(text, first) && strcmp(text, second))
		usage_error("%s: %s or %s", text, first, second);
	return !strcmp(text, second);
}

int main(int argc, char **argv)
{
	uint64_t features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	uint64_t burst, passes, i;
	struct mem_table table;
	struct fe_memory mem;
	bool packed, indirect;

	log_init("ring-cost-load");
	if (argc != 5 || parse_uint(argv[3], 1, MAX_BURST, &burst) ||
	    parse_uint(argv[4], 1, UINT32_MAX, &passes))
		usage_error("usage: ring-cost-load split|packed direct|indirect BURST PASSES");
	packed = one_of(argv[1], "split", "packed");
	indirect = one_of(argv[2], "direct", "indirect");
	if (packed)
		features |= VU_BIT(VIRTIO_F_RING_PACKED);
	make_driver(&mem, packed, indirect, (unsigned)burst);
	make_device(&mem, &table, features);
	for (i = 0; i < passes; i++) {
		driver_pass((unsigned)burst);
		if (device_pass((unsigned)burst) != burst || driver_poll((unsigned)burst) != burst)
			fatal("pass %llu: not every chain came through", (unsigned long long)i);
	}
	vq_free(&vq);
	mem_table_free(&table);
	fe_ring_free(&ring);
	fe_memory_free(&mem);
	return 0;
}
