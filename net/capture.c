/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture.c - see capture.h: lcores lay blocks of a pcapng file into rings of bytes, one for each
 * lcore, and the control thread writes them. Layer L5.
 *
 * rte_pcapng is not used: it describes DPDK's devices only, and a guest is none; it opens a socket
 * for the name of each, which the sandbox forbids; what it makes of the time is a static variable
 * that lcores would race for; and it would copy mbufs into mbufs, from which what a frame borrows
 * is missing.
 */
#include "net/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "net/lcore.h"
#include "net/pcapng.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

#define RING_BYTES (4u << 20) /* a power of two, many times the largest frame */
#define WRITE_MS   20
#define MAX_IOVS   64

#define SKIP 0 /* in place of a block's type: the next one is at the start of the ring */

/* --- the rings --- */

struct capture_ring {
	uint64_t head cacheline_aligned; /* bytes laid; lcore */
	uint64_t frames, lost; /* lcore */
	uint64_t tail cacheline_aligned; /* bytes written to the file; control thread */
	uint8_t *data;
};

struct net_capture {
	struct capture_ring rings[NET_MAX_LCORES];
	struct net_port *port;
	struct loop *loop;
	struct loop_timer timer;
	struct mail mail;
	bool posted; /* by whichever lcore sees its ring half full first */
	int fd;
	int error; /* of the last write: nothing is written any more */
	size_t num_torn; /* bytes of a block that a pipe did not take in full */
	uint8_t torn[NET_MAX_FRAME_BYTES + 128];
	uint32_t snap_bytes;
	uint64_t first_ticks, first_ns; /* the same moment, of our clock and since 1970 */
	struct net_grace grace;
};

/* reserve - room for a block of @bytes; *@head becomes where it begins. lcore thread. Return: false
 * when there is none. */
static bool reserve(struct capture_ring *ring, uint32_t bytes, uint64_t *head)
{
	uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE); /* pairs with advance() */
	uint32_t rest = RING_BYTES - (uint32_t)(ring->head % RING_BYTES);
	const uint32_t skip = SKIP;

	*head = ring->head + (rest < bytes ? rest : 0);
	if (*head + bytes - tail > RING_BYTES)
		return false;
	if (rest < bytes)
		memcpy(ring->data + ring->head % RING_BYTES, &skip, sizeof(skip));
	return true;
}

static void lay(const struct net_capture *c, struct capture_ring *ring, struct rte_mbuf *frame,
		uint64_t ns, bool in)
{
	uint32_t original = net_frame_bytes(frame);
	uint32_t captured = c->snap_bytes ? min_of(c->snap_bytes, original) : original;
	uint32_t padded = (captured + 3) & ~3u;
	struct pcapng_packet block = {
		.type = PCAPNG_PACKET,
		.bytes = (uint32_t)sizeof(block) + padded +
			 (uint32_t)sizeof(struct pcapng_packet_end),
		.time_high = (uint32_t)(ns >> 32),
		.time_low = (uint32_t)ns,
		.captured = captured,
		.original = original,
	};
	struct pcapng_packet_end end = {
		.flags_option = PCAPNG_FLAGS,
		.flags_bytes = sizeof(end.flags),
		.flags = in ? PCAPNG_INBOUND : PCAPNG_OUTBOUND,
		.bytes = block.bytes,
	};
	uint64_t head;
	uint8_t *to;

	if (!reserve(ring, block.bytes, &head)) {
		__atomic_store_n(&ring->lost, ring->lost + 1, __ATOMIC_RELAXED);
		return;
	}
	to = ring->data + head % RING_BYTES;
	memcpy(to, &block, sizeof(block));
	memset(to + sizeof(block) + padded - 4, 0, 4);
	net_frame_read(frame, 0, to + sizeof(block), captured);
	memcpy(to + sizeof(block) + padded, &end, sizeof(end));
	__atomic_store_n(&ring->frames, ring->frames + 1, __ATOMIC_RELAXED);
	/* Pairs with oldest(). */
	__atomic_store_n(&ring->head, head + block.bytes, __ATOMIC_RELEASE);
}

static void on_mail(struct mail *mail);

void net_capture_frames(struct net_port *port, unsigned lcore, struct rte_mbuf *const *frames,
			unsigned n, bool in)
{
	struct net_capture *c = __atomic_load_n(&port->capture, __ATOMIC_ACQUIRE);
	struct capture_ring *ring;
	uint64_t ns;

	if (!c)
		return;
	ring = &c->rings[lcore];
	ns = c->first_ns + clock_ticks_to_ns(net_lcores[lcore].now - c->first_ticks);
	for (unsigned i = 0; i < n; i++)
		lay(c, ring, frames[i], ns, in);
	if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_RELAXED) > RING_BYTES / 2 &&
	    !__atomic_exchange_n(&c->posted, true, __ATOMIC_RELAXED))
		loop_post(c->loop, &c->mail, on_mail);
}

/* --- the file --- */

/* oldest - the block of all rings, read up to @tails, that was laid first. Return: its ring, or
 * NULL: there is none. */
static struct capture_ring *oldest(struct net_capture *c, uint64_t *tails,
				   struct pcapng_packet **block, uint64_t **tail)
{
	struct capture_ring *found = NULL;
	uint64_t found_time = 0;

	for (unsigned i = 0; i < net_num_lcores; i++) {
		struct capture_ring *ring = &c->rings[i];
		uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), time;
		struct pcapng_packet *b = (void *)(ring->data + tails[i] % RING_BYTES);

		if (tails[i] == head)
			continue;
		if (b->type == SKIP) {
			tails[i] += RING_BYTES - tails[i] % RING_BYTES;
			b = (void *)ring->data;
		}
		time = (uint64_t)b->time_high << 32 | b->time_low;
		if (found && time >= found_time)
			continue;
		found = ring;
		found_time = time;
		*block = b;
		*tail = &tails[i];
	}
	return found;
}

static void keep_torn(struct net_capture *c, const void *data, size_t bytes)
{
	memmove(c->torn, data, bytes);
	c->num_torn = bytes;
}

/*
 * write_some - the oldest blocks of all rings, after what the last call could not finish.
 * Return: bytes written, 0: there is nothing, or -errno (-EAGAIN: a pipe is full).
 * Syscalls (net): writev
 */
static ssize_t write_some(struct net_capture *c)
{
	struct iovec iovs[MAX_IOVS];
	struct capture_ring *rings[MAX_IOVS], *ring;
	uint64_t tails[NET_MAX_LCORES], after[MAX_IOVS], *tail;
	struct pcapng_packet *block;
	ssize_t written, left;
	int n = 0;

	for (unsigned i = 0; i < net_num_lcores; i++)
		tails[i] = c->rings[i].tail;
	if (c->num_torn) {
		iovs[n] = (struct iovec){c->torn, c->num_torn};
		rings[n++] = NULL;
	}
	while (n < MAX_IOVS && (ring = oldest(c, tails, &block, &tail))) {
		*tail += block->bytes;
		iovs[n] = (struct iovec){block, block->bytes};
		rings[n] = ring;
		after[n++] = *tail;
	}
	if (n == 0)
		return 0;
	do
		written = writev(c->fd, iovs, n);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		return -errno;
	left = written;
	for (int i = 0; i < n && left > 0; i++) {
		size_t bytes = iovs[i].iov_len;

		if (!rings[i])
			c->num_torn = 0;
		if ((size_t)left < bytes)
			keep_torn(c, (uint8_t *)iovs[i].iov_base + left, bytes - (size_t)left);
		/* Pairs with reserve(): what it lay in has been read. */
		if (rings[i])
			__atomic_store_n(&rings[i]->tail, after[i], __ATOMIC_RELEASE);
		left -= (ssize_t)bytes;
	}
	return written;
}

/* drain - write what there is. */
static void drain(struct net_capture *c)
{
	ssize_t ret;

	if (c->error)
		return;
	do
		ret = write_some(c);
	while (ret > 0);
	if (ret == 0 || ret == -EAGAIN)
		return;
	c->error = (int)ret;
	log_warn(c->port->name, "capture ends: %s", strerror(-c->error));
}

static void on_mail(struct mail *mail)
{
	struct net_capture *c = container_of(mail, struct net_capture, mail);

	__atomic_store_n(&c->posted, false, __ATOMIC_RELAXED);
	drain(c);
}

static void on_timer(struct loop_timer *timer)
{
	struct net_capture *c = container_of(timer, struct net_capture, timer);

	drain(c);
	loop_timer_set(c->loop, &c->timer, WRITE_MS, on_timer);
}

/* write_block - at the start and the end. Return: 0 or -errno.
 * Syscalls (net): write */
static int write_block(struct net_capture *c, const struct pcapng_block *block)
{
	size_t bytes = block->words * sizeof(uint32_t);
	ssize_t written = write(c->fd, block->data, bytes);

	if (written < 0)
		return -errno;
	return (size_t)written == bytes ? 0 : -ENOSPC;
}

static int write_start(struct net_capture *c)
{
	struct pcapng_block block;
	int ret;

	pcapng_section(&block, "ringside-net");
	ret = write_block(c, &block);
	if (ret < 0)
		return ret;
	pcapng_interface(&block, c->port->name, c->snap_bytes);
	return write_block(c, &block);
}

static void write_end(struct net_capture *c)
{
	uint64_t ns = c->first_ns + clock_ticks_to_ns(clock_ticks() - c->first_ticks);
	struct net_capture_counts counts;
	struct pcapng_block block;

	if (c->error || c->num_torn)
		return;
	net_capture_counts(c->port, &counts);
	pcapng_statistics(&block, ns, counts.frames + counts.lost, counts.lost);
	c->error = write_block(c, &block);
}

/* --- start, stop --- */

static void free_capture(struct net_capture *c)
{
	for (unsigned i = 0; i < net_num_lcores; i++)
		free(c->rings[i].data);
	free(c);
}

static int make_rings(struct net_capture *c)
{
	for (unsigned i = 0; i < net_num_lcores; i++) {
		c->rings[i].data = malloc(RING_BYTES);
		if (!c->rings[i].data)
			return -ENOMEM;
	}
	return 0;
}

/* note_start - the moment from which frames' times are told. */
static void note_start(struct net_capture *c)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	c->first_ticks = clock_ticks();
	c->first_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* do_not_wait - a pipe may be full, and its reader gone to sleep.
 * Syscalls (net): fcntl(cmd=F_GETFL|F_SETFL) */
static void do_not_wait(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int net_capture_start(struct net_port *port, struct loop *loop, int fd, uint32_t snap_bytes)
{
	struct net_capture *c = NULL;
	int ret = -EBUSY;

	if (port->capture)
		goto err;
	ret = -ENOMEM;
	if (posix_memalign((void **)&c, CACHELINE_BYTES, sizeof(*c)))
		goto err;
	memset(c, 0, sizeof(*c));
	c->port = port;
	c->loop = loop;
	c->fd = fd;
	c->snap_bytes = snap_bytes;
	ret = make_rings(c);
	if (ret < 0)
		goto err_free;
	do_not_wait(fd);
	note_start(c);
	ret = write_start(c);
	if (ret < 0)
		goto err_free;
	loop_timer_set(loop, &c->timer, WRITE_MS, on_timer);
	__atomic_store_n(&port->capture, c, __ATOMIC_RELEASE);
	return 0;
err_free:
	free_capture(c);
err:
	close_fd(&fd);
	return ret;
}

static void on_unused(struct net_grace *grace)
{
	struct net_capture *c = container_of(grace, struct net_capture, grace);

	loop_cancel_post(c->loop, &c->mail);
	free_capture(c);
}

int net_capture_stop(struct net_port *port)
{
	struct net_capture *c = port->capture;
	int ret;

	if (!c)
		return -ENOENT;
	drain(c);
	write_end(c);
	ret = c->error;
	__atomic_store_n(&port->capture, NULL, __ATOMIC_RELEASE);
	loop_timer_cancel(c->loop, &c->timer);
	loop_cancel_post(c->loop, &c->mail);
	close_fd(&c->fd);
	/* Mail of an lcore that still has it finds nothing to write. */
	c->error = -EBADF;
	net_grace(c->loop, &c->grace, on_unused);
	return ret;
}

bool net_capture_counts(const struct net_port *port, struct net_capture_counts *counts)
{
	const struct net_capture *c = port->capture;

	*counts = (struct net_capture_counts){0};
	if (!c)
		return false;
	for (unsigned i = 0; i < net_num_lcores; i++) {
		counts->frames += __atomic_load_n(&c->rings[i].frames, __ATOMIC_RELAXED);
		counts->lost += __atomic_load_n(&c->rings[i].lost, __ATOMIC_RELAXED);
	}
	return true;
}
