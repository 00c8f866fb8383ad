/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_host_rig.h - DPDK as the daemon starts it, with an lcore whose work is done on the test's own
 * thread, and host ports. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_HOST_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_HOST_RIG_H

#include <rte_ethdev.h>

#include "net/dpdk_log.h"
#include "net/eal.h"
#include "net/host.h"
#include "net/lcore.h"
#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

#define HOSTS 4

static struct net_options rig_opt;
static struct net_topology rig_topology;
static struct net_host *rig_hosts[HOSTS];
static struct loop *rig_loop;
static char rig_error[512];

/* rig_start - once in a process; Check has one for each test. */
static inline void rig_start(void)
{
	const struct net_lcore_options opt = {.poll_us = 0};

	log_init("test");
	log_set_level("error");
	clock_init();
	rig_opt.num_mbufs = 2047;
	net_eal_start(&rig_opt);
	ck_assert_int_eq(net_lcores_make(&opt), 0);
	ck_assert_int_eq(loop_create(&rig_loop), 0);
	net_set_topology(&rig_topology);
	net_lcores[0].topology = &rig_topology;
	net_lcores[0].now = clock_ticks();
}

static inline struct rte_mempool *rig_pool(void)
{
	return net_lcores[0].pool;
}

/* rig_open - port @id, wired to the others. Return: that of net_host_open(). */
static inline int rig_open(uint16_t id, const char *device, uint16_t mtu)
{
	struct net_port_options *opt = &rig_opt.ports[id];
	int ret;

	snprintf(opt->name, sizeof(opt->name), "p%u", id);
	opt->kind = NET_HOST;
	opt->dpdk = device;
	opt->mtu = mtu;
	ret = net_host_open(&rig_hosts[id], rig_loop, id, 1, opt, rig_pool(), rig_error,
			    sizeof(rig_error));
	if (ret == 0) {
		rig_topology.ports[id] = &rig_hosts[id]->port;
		rig_topology.num_ids = HOSTS;
	}
	return ret;
}

static inline void rig_close(uint16_t id)
{
	rig_topology.ports[id] = NULL;
	net_host_close(rig_hosts[id]);
	rig_hosts[id] = NULL;
}

/* rig_frame - @bytes of a pattern, an mbuf for every @piece of them. */
static inline struct rte_mbuf *rig_frame(uint32_t bytes, uint32_t piece, uint8_t seed)
{
	struct rte_mbuf *frame = NULL;

	for (uint32_t done = 0, n; done < bytes; done += n) {
		struct rte_mbuf *next = rte_pktmbuf_alloc(rig_pool());
		uint8_t *data;

		ck_assert_ptr_nonnull(next);
		n = min_of(bytes - done, piece);
		data = (uint8_t *)rte_pktmbuf_append(next, (uint16_t)n);
		for (uint32_t i = 0; i < n; i++)
			data[i] = (uint8_t)((done + i) * 7 + seed);
		if (frame)
			ck_assert_int_eq(rte_pktmbuf_chain(frame, next), 0);
		else
			frame = next;
	}
	ck_assert_ptr_nonnull(frame);
	net_frame_reset(frame);
	return frame;
}

/* rig_is - has @frame that content? */
static inline bool rig_is(struct rte_mbuf *frame, uint32_t bytes, uint8_t seed)
{
	uint8_t byte;

	if (frame->pkt_len != bytes)
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		if (*(const uint8_t *)rte_pktmbuf_read(frame, i, 1, &byte) !=
		    (uint8_t)(i * 7 + seed))
			return false;
	return true;
}

/* rig_send - by port @id, on the lcore. */
static inline void rig_send(uint16_t id, struct rte_mbuf *frame)
{
	net_host_send(&net_lcores[0], rig_hosts[id], &frame, 1);
}

/* rig_received - the next frame that port @id's device has, past the port. Return: NULL, or it. */
static inline struct rte_mbuf *rig_received(uint16_t id)
{
	struct rte_mbuf *frame;

	return rte_eth_rx_burst(rig_hosts[id]->ethdev, 0, &frame, 1) ? frame : NULL;
}

/* rig_pass - what port @id has received goes its way. Return: frames. */
static inline unsigned rig_pass(uint16_t id)
{
	unsigned n;

	net_lcores[0].now = clock_ticks();
	n = net_host_take(&net_lcores[0], &rig_hosts[id]->rx[0]);
	net_flush(&net_lcores[0]);
	return n;
}

#endif
