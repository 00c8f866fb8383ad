/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link.c - the wire to one daemon after another, with the in-flight region kept between them.
 * Tests only, one thread.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/crash/crash.h"
#include "tests/protocol/blk_daemon.h"
#include "vhost/base/clock.h"

#define JOIN_NS    60000000000ull /* the old daemon's lock is waited for at most half of it */
#define CALL_NS    5000000000ull
#define TIMEOUT_MS 20000

/* Every feature of a disk, of which the daemon offers what it has. */
#define FEATURES (0xffffffull | VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))
#define PROTOCOL (VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_CONFIG) | VU_BIT(VU_PF_INFLIGHT_SHMFD))

/* What the region holds, as the protocol has it: a header, then entries that begin with a mark. */
#define SPLIT_UNIT  16
#define PACKED_UNIT 32

unsigned link_marked(const struct crash *c)
{
	unsigned unit = c->variant.packed ? PACKED_UNIT : SPLIT_UNIT;
	unsigned q, i, n = 0;

	if (!c->inflight.map)
		return 0;
	for (q = 0; q < c->variant.num_queues; q++) {
		const volatile uint8_t *area = (const uint8_t *)c->inflight.map +
					       q * (c->inflight.mmap_size / c->inflight.num_queues);

		for (i = 0; i < c->guest.ring_size; i++)
			n += area[unit * (i + 1)] == 1;
	}
	return n;
}

/* said - what a request to the daemon came to: nothing but its death may make one fail. */
static int said(struct crash *c, int ret, const char *what)
{
	if (c->killed)
		return -ECANCELED;
	if (ret)
		crash_fail(c, "%s: %s", what, strerror(-ret));
	return 0;
}

/* --- the rings --- */

/* A base that is not where the ring stands. */
static uint32_t wrong_base(const struct crash *c, const struct fe_ring *ring, unsigned which)
{
	uint32_t right = fe_ring_base(ring);
	uint32_t initial = ring->packed ? 0x80008000 : 0;
	uint32_t published = ring->packed ? ring->shown_position * 0x10001u : ring->published;
	uint32_t behind = (uint16_t)(right - which % ring->size);

	switch (which % 5) {
	case 0: /* as cloud-hypervisor and crosvm do */
	case 1:
		return published;
	case 2:
		return initial;
	case 3: /* DPDK has nothing but the lower half */
		return ring->packed ? right & 0xffff : behind;
	default:
		if (!ring->packed)
			return which & 0xffff;
		behind = (which % c->guest.ring_size) | (which & 0x8000);
		return behind << 16 | behind;
	}
}

static uint32_t base_of(const struct crash *c, unsigned q, bool stale, unsigned which)
{
	const struct fe_ring *ring = &c->guest.rings[q];

	if (!stale)
		return fe_ring_base(ring);
	/* Only the base says where a ring stands that was never used since its area was new. */
	if (c->unsure[q])
		return ring->packed ? fe_ring_base(ring) & 0xffff : fe_ring_base(ring);
	return wrong_base(c, ring, which);
}

static int start_ring(struct crash *c, unsigned q, uint32_t base)
{
	const struct fe_ring *ring = &c->guest.rings[q];
	struct vu_vring_addr addr = fe_ring_wire_addr(ring, q);
	int ret = said(c, fe_set_vring_num(&c->fe, q, ring->size), "SET_VRING_NUM");

	if (!ret)
		ret = said(c, fe_set_vring_base(&c->fe, q, base), "SET_VRING_BASE");
	if (!ret)
		ret = said(c, fe_set_vring_addr(&c->fe, q, &addr), "SET_VRING_ADDR");
	if (!ret)
		ret = said(c, fe_set_vring_err(&c->fe, q, ring->err_fd), "SET_VRING_ERR");
	if (!ret)
		ret = said(c, fe_set_vring_call(&c->fe, q, ring->call_fd), "SET_VRING_CALL");
	if (!ret)
		ret = said(c, fe_set_vring_kick(&c->fe, q, ring->kick_fd), "SET_VRING_KICK");
	if (!ret)
		ret = said(c, fe_set_vring_enable(&c->fe, q, true), "SET_VRING_ENABLE");
	return ret;
}

/* --- a new connection --- */

/* reached - cut the connection here, if here it shall be. */
static int reached(struct crash *c, const struct join *join, unsigned step)
{
	if (join->kill_at == step)
		crash_kill(c);
	return c->killed ? -ECANCELED : 0;
}

/* connected - to the daemon of now? What one before it left behind may still be listening. */
static bool connected(struct crash *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fe_connect(&c->fe, BLKD_SOCKET))
		return false;
	if (!getsockopt(c->fe.sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.pid == c->pid)
		return true;
	fe_close(&c->fe);
	return false;
}

static int await_daemon(struct crash *c, const struct join *join)
{
	uint64_t end_ns = clock_ns() + JOIN_NS;
	siginfo_t info = {0};

	while (!c->killed && !connected(c)) {
		if (!waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
		    info.si_pid && !c->killed)
			crash_fail(c, "the daemon ended by itself, status %d", info.si_status);
		if (clock_ns() > end_ns)
			crash_fail(c, "the daemon does not listen");
		if (join->load_meanwhile) {
			load_poll(c);
			load_fill(c);
		}
		usleep(300);
	}
	return c->killed ? -ECANCELED : 0;
}

static int negotiate(struct crash *c, const struct join *join)
{
	uint64_t wanted = FEATURES, protocol = PROTOCOL;
	int ret;

	wanted |= c->variant.packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0;
	wanted |= c->variant.event_idx ? VU_BIT(VIRTIO_RING_F_EVENT_IDX) : 0;
	protocol |= join->slots ? VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS) : 0;
	protocol |= join->reply_ack ? VU_BIT(VU_PF_REPLY_ACK) : 0;
	c->fe.timeout_ms = TIMEOUT_MS;
	ret = said(c, fe_negotiate(&c->fe, wanted, protocol), "features");
	if (ret)
		return ret;
	if (!fe_has(&c->fe, VU_PF_INFLIGHT_SHMFD))
		crash_fail(c, "the daemon does not offer INFLIGHT_SHMFD");
	if (c->features && c->fe.features != c->features)
		crash_fail(c, "features 0x%llx, before it was killed 0x%llx",
			   (unsigned long long)c->fe.features, (unsigned long long)c->features);
	if ((wanted & ~c->fe.features) >> VIRTIO_RING_F_INDIRECT_DESC)
		crash_fail(c, "of features 0x%llx only 0x%llx are offered",
			   (unsigned long long)wanted, (unsigned long long)c->fe.features);
	c->features = c->fe.features;
	return 0;
}

static int give_inflight(struct crash *c)
{
	if (!c->inflight.map) {
		int ret = said(c,
			       fe_get_inflight(&c->fe, c->variant.num_queues, c->guest.ring_size,
					       &c->inflight),
			       "GET_INFLIGHT_FD");

		if (ret) {
			fe_inflight_free(&c->inflight);
			return ret;
		}
		memset(c->unsure, true, sizeof(c->unsure));
	}
	return said(c, fe_set_inflight(&c->fe, &c->inflight), "SET_INFLIGHT_FD");
}

static int start_rings(struct crash *c, const struct join *join)
{
	unsigned q;
	int ret = 0;

	for (q = 0; !ret && q < c->variant.num_queues; q++) {
		ret = start_ring(c, q, base_of(c, q, c->variant.stale, join->stale + q));
		if (!ret)
			ret = reached(c, join, STEP_RING + q);
	}
	return ret;
}

/* The daemon before may have died between using a chain and saying so: after a recovery the driver
 * is interrupted once, whether there is anything new or not. */
static int await_calls(struct crash *c, const bool *recovered)
{
	unsigned q;

	for (q = 0; q < c->variant.num_queues; q++) {
		struct pollfd pfd = {.fd = c->guest.rings[q].call_fd, .events = POLLIN};
		uint64_t end_ns = clock_ns() + CALL_NS;

		while (recovered[q] && !c->killed && poll(&pfd, 1, 100) <= 0)
			if (clock_ns() > end_ns)
				crash_fail(c, "queue %u: no interrupt after a recovery", q);
	}
	return c->killed ? -ECANCELED : 0;
}

int link_join(struct crash *c, const struct join *join)
{
	bool recovered[MAX_QUEUES];
	uint64_t count;
	unsigned q;

	int ret = await_daemon(c, join);

	if (!ret)
		ret = reached(c, join, STEP_CONNECTED);
	if (!ret)
		ret = negotiate(c, join);
	if (!ret)
		ret = reached(c, join, STEP_NEGOTIATED);
	if (!ret)
		ret = said(c, fe_share_memory(&c->fe, &c->guest.mem), "memory");
	if (!ret)
		ret = reached(c, join, STEP_MEMORY);
	if (!ret)
		ret = give_inflight(c);
	if (!ret)
		ret = reached(c, join, STEP_INFLIGHT);
	if (ret)
		return ret;
	/* What is polled after this was completed by the new daemon. */
	load_poll(c);
	c->stopping = false;
	for (q = 0; q < c->variant.num_queues; q++) {
		recovered[q] = !c->unsure[q];
		if (read(c->guest.rings[q].call_fd, &count, sizeof(count)) < 0)
			ck_assert_int_eq(errno, EAGAIN);
	}
	ret = start_rings(c, join);
	if (!ret)
		ret = said(c, fe_sync(&c->fe), "GET_FEATURES");
	return ret ? ret : await_calls(c, recovered);
}

/* --- clean stops --- */

int link_stop(struct crash *c)
{
	unsigned q;
	int ret = 0;

	c->stopping = true;
	for (q = 0; !ret && q < c->variant.num_queues; q++) {
		c->unsure[q] = true;
		ret = fe_ring_stop(&c->fe, q, &c->guest.rings[q]);
		if (ret == -EPROTO && !c->killed && !c->fe.error)
			crash_fail(c, "queue %u: GET_VRING_BASE says something else than 0x%x", q,
				   fe_ring_base(&c->guest.rings[q]));
		ret = said(c, ret, "stopping a ring");
	}
	if (ret)
		return ret;
	load_poll(c);
	if (link_marked(c))
		crash_fail(c, "%u requests marked in flight after all rings were stopped",
			   link_marked(c));
	return 0;
}

int link_start(struct crash *c, bool inflight_again)
{
	unsigned q;
	int ret = 0;

	if (inflight_again)
		ret = give_inflight(c);
	c->stopping = false;
	for (q = 0; !ret && q < c->variant.num_queues; q++)
		ret = start_ring(c, q, base_of(c, q, c->variant.stale, 0));
	return ret;
}

int link_reset(struct crash *c)
{
	unsigned q;

	for (q = 0; q < c->variant.num_queues; q++)
		fe_ring_reset(&c->guest.rings[q]);
	fe_inflight_free(&c->inflight);
	return link_start(c, true);
}
