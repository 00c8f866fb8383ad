/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_frame_rig.h - DPDK's environment and a pool of mbufs for tests of frames, and frames made of
 * bytes: in one mbuf, in a chain of them, or borrowed in pieces. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_FRAME_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_FRAME_RIG_H

#include <rte_eal.h>
#include <rte_mempool.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "vhost/base/util.h"

#define RIG_MBUFS  4095
#define RIG_PIECES 4096

static struct rte_mempool *rig_pool;
static struct iovec rig_pieces[RIG_PIECES];
static uint8_t rig_borrowed[NET_MAX_FRAME_BYTES + 64];

static inline void rig_fail(const char *what)
{
	fprintf(stderr, "%s: failed\n", what);
	abort();
}

/* rig_start - once in a process. */
static inline void rig_start(void)
{
	char lcores[32],
		*args[] = {
			"test",           "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
			"--iova-mode=va", "-m",        "32",          "--log-level=4",  lcores};
	cpu_set_t cpus;
	int cpu = 0;

	if (rig_pool)
		return;
	CPU_ZERO(&cpus);
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		rig_fail("sched_getaffinity");
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	if (rte_eal_init(ARRAY_SIZE(args), args) < 0)
		rig_fail("rte_eal_init");
	rig_pool = net_pool_create("test", RIG_MBUFS, SOCKET_ID_ANY);
	if (!rig_pool)
		rig_fail("net_pool_create");
}

/* rig_all_free - is every mbuf back in its pool? */
static inline bool rig_all_free(void)
{
	return rte_mempool_avail_count(rig_pool) == RIG_MBUFS;
}

/* rig_chain - [data, data + bytes) in mbufs behind @frame's. */
static inline void rig_chain(struct rte_mbuf *frame, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t done = 0, n; done < bytes; done += n) {
		struct rte_mbuf *next = rte_pktmbuf_alloc(rig_pool);

		n = min_of(bytes - done, (uint32_t)NET_MBUF_BYTES - 1);
		if (!next)
			rig_fail("rte_pktmbuf_alloc");
		memcpy(rte_pktmbuf_append(next, (uint16_t)n), data + done, n);
		if (rte_pktmbuf_chain(frame, next))
			rig_fail("rte_pktmbuf_chain");
	}
}

/* rig_frame - of @bytes at @data: the first @linear in an mbuf; the rest in more of them, or, where
 * @piece is not 0, borrowed in pieces of that size, until the next frame is made. */
static inline struct rte_mbuf *rig_frame(const uint8_t *data, uint32_t bytes, uint32_t linear,
					 uint32_t piece)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(rig_pool);
	struct net_frame_meta *meta;
	uint32_t n;

	if (!frame)
		rig_fail("rte_pktmbuf_alloc");
	linear = min_of(linear, bytes);
	net_frame_reset(frame);
	net_meta(frame)->hash_type = 0;
	memcpy(rte_pktmbuf_append(frame, (uint16_t)linear), data, linear);
	data += linear;
	bytes -= linear;
	if (!piece) {
		rig_chain(frame, data, bytes);
		return frame;
	}
	if (bytes > sizeof(rig_borrowed) - 1)
		rig_fail("rig_frame");
	meta = net_meta(frame);
	meta->rest = rig_pieces;
	meta->num_rest = 0;
	memcpy(rig_borrowed + 1, data, bytes); /* odd addresses are a guest's good right */
	for (uint32_t done = 0; done < bytes; done += n) {
		n = min_of(piece, bytes - done);
		if (meta->num_rest == RIG_PIECES)
			rig_fail("rig_frame");
		rig_pieces[meta->num_rest++] = (struct iovec){rig_borrowed + 1 + done, n};
		meta->rest_bytes += n;
	}
	return frame;
}

#endif
