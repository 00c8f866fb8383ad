/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_ceiling.c - the cheapest device there can be, to find what the load generator can do.
 * One thread: it parses nothing, writes status 0 where it knows the head's status byte to be
 * (so that the request's line travels as with a real device), and hands the head back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/affinity.h"
#include "vhost/base/log.h"

struct ceiling_ring {
	const struct fe_ring *ring;
	uint8_t **status; /* by head */
	uint16_t next;
	uint16_t bits; /* packed: the flags of what is available */
};

struct ceiling {
	struct ceiling_ring rings[LOAD_MAX_QUEUES];
	unsigned num_rings;
	int cpu;
	bool stop;
	pthread_t thread;
};

static unsigned hand_back(struct ceiling_ring *c)
{
	const struct fe_ring *ring = c->ring;
	uint16_t idx = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE);
	unsigned n = (uint16_t)(idx - c->next);

	if (!n)
		return 0;
	for (; c->next != idx; c->next++) {
		uint16_t at = c->next & ring->mask;
		uint16_t head = ring->avail->ring[at];

		*c->status[head] = VIRTIO_BLK_S_OK;
		ring->used->ring[at] = (struct vring_used_elem){.id = head, .len = 1};
	}
	__atomic_store_n(&ring->used->idx, idx, __ATOMIC_RELEASE);
	return n;
}

/* The same on a packed ring: what is used takes the place of each chain's first descriptor, and
 * the first of all is shown last. */
static unsigned hand_back_packed(struct ceiling_ring *c)
{
	const struct fe_ring *ring = c->ring;
	uint64_t word, first_word = 0;
	uint16_t first = c->next;
	unsigned n = 0;

	while (n < ring->size) {
		uint16_t at = c->next;
		uint16_t flags = __atomic_load_n(&ring->slots[at].flags, __ATOMIC_ACQUIRE);
		uint16_t used = c->bits & FE_PACKED_AVAIL ? FE_PACKED_BITS : 0;
		uint16_t id = ring->slots[at].id;

		if ((flags & FE_PACKED_BITS) != c->bits)
			break;
		while (ring->slots[c->next].flags & VRING_DESC_F_NEXT)
			fe_packed_advance(ring, &c->next, &c->bits, 1);
		fe_packed_advance(ring, &c->next, &c->bits, 1);
		*c->status[id] = VIRTIO_BLK_S_OK;
		word = (uint64_t)(used | VRING_DESC_F_WRITE) << 48 | (uint64_t)id << 32 | 1;
		if (n++)
			__atomic_store_n(fe_packed_word(ring, at), word, __ATOMIC_RELAXED);
		else
			first_word = word;
	}
	if (n)
		__atomic_store_n(fe_packed_word(ring, first), first_word, __ATOMIC_RELEASE);
	return n;
}

static void *ceiling_main(void *arg)
{
	struct ceiling *c = arg;
	unsigned i;

	if (c->cpu >= 0)
		affinity_pin_self(c->cpu);
	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		unsigned n = 0;

		for (i = 0; i < c->num_rings; i++)
			n += c->rings[i].ring->packed ? hand_back_packed(&c->rings[i])
						      : hand_back(&c->rings[i]);
		if (!n)
			__builtin_ia32_pause();
	}
	return NULL;
}

struct ceiling *ceiling_start(struct load *load)
{
	struct ceiling *c = calloc(1, sizeof(*c));
	unsigned i, s;

	if (!c)
		fatal("out of memory");
	c->num_rings = load->options.queues;
	c->cpu = load->options.device_cpu;
	for (i = 0; i < c->num_rings; i++) {
		struct load_queue *q = &load->queues[i];

		c->rings[i].ring = &q->ring;
		c->rings[i].status = calloc(q->ring.size, sizeof(*c->rings[i].status));
		if (!c->rings[i].status)
			fatal("out of memory");
		for (s = 0; s <= q->depth; s++)
			c->rings[i].status[q->slots[s].head] = &q->slots[s].line->status;
		/* Never asks to be kicked, as any device that polls. */
		c->rings[i].bits = FE_PACKED_AVAIL;
		if (q->ring.packed)
			q->ring.device_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		else if (!q->ring.event_idx)
			q->ring.used->flags = VRING_USED_F_NO_NOTIFY;
	}
	if (pthread_create(&c->thread, NULL, ceiling_main, c))
		fatal("cannot start the device thread");
	return c;
}

void ceiling_stop(struct ceiling *c)
{
	unsigned i;

	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	pthread_join(c->thread, NULL);
	for (i = 0; i < c->num_rings; i++)
		free(c->rings[i].status);
	free(c);
}
