/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - a driver's side of split and packed rings. Test guest. Virtio 1.3, sections 2.7 and 2.8.
 */
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/virtio.h"

#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)

/* A queue's three parts; either format fits. */
struct ring_memory {
	union {
		struct vring_desc split[MAX_ENTRIES];
		struct vring_packed_desc packed[MAX_ENTRIES];
	} desc;
	union {
		struct vring_desc split[MAX_BUFFERS];
		struct vring_packed_desc packed[MAX_BUFFERS];
	} indirect[MAX_ENTRIES];
	struct {
		uint16_t flags, idx, ring[MAX_ENTRIES], event;
	} driver;
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[MAX_ENTRIES];
		uint16_t event;
	} device __attribute__((aligned(4)));
} __attribute__((aligned(16)));

static struct ring_memory memory[MAX_RINGS];

/* Fields the other side reads and writes. */
#define LOAD(field)         __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

void queue_init(struct queue *q, unsigned index, unsigned ring, uint16_t size, bool packed,
		bool indirect)
{
	struct ring_memory *m = &memory[ring];

	q->index = (uint16_t)index;
	q->ring = ring;
	q->size = q->free = size;
	q->packed = packed;
	q->indirect = indirect;
	q->avail_idx = q->used_idx = 0;
	q->avail_wrap = q->used_wrap = true;
	q->free_head = 0;
	for (uint16_t i = 0; i < size; i++)
		q->next[i] = (uint16_t)(i + 1);
	q->desc = (uint64_t)&m->desc;
	q->driver = (uint64_t)&m->driver;
	q->device = (uint64_t)&m->device;
	m->driver.flags = m->driver.idx = 0;
	m->device.flags = m->device.idx = 0;
	if (packed)
		for (unsigned i = 0; i < size; i++)
			m->desc.packed[i].flags = 0;
}

/* --- split --- */

static void fill_split(struct vring_desc *desc, const struct buffer *b, bool more, uint16_t next)
{
	desc->addr = b->addr;
	desc->len = b->bytes;
	desc->flags =
		(uint16_t)((b->writable ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
	desc->next = next;
}

static uint16_t add_split(struct queue *q, const struct buffer *buffers, unsigned n)
{
	struct ring_memory *m = &memory[q->ring];
	uint16_t head = q->free_head;

	if (q->indirect) {
		struct vring_desc *table = m->indirect[head].split;

		for (unsigned i = 0; i < n; i++)
			fill_split(&table[i], &buffers[i], i + 1 < n, (uint16_t)(i + 1));
		m->desc.split[head] = (struct vring_desc){
			.addr = (uint64_t)table,
			.len = n * (uint32_t)sizeof(*table),
			.flags = VRING_DESC_F_INDIRECT,
		};
		q->free_head = q->next[head];
	} else {
		for (unsigned i = 0; i < n; i++) {
			uint16_t at = q->free_head;

			q->free_head = q->next[at];
			fill_split(&m->desc.split[at], &buffers[i], i + 1 < n, q->free_head);
		}
	}
	m->driver.ring[q->avail_idx++ % q->size] = head;
	STORE(m->driver.idx, q->avail_idx);
	return head;
}

static bool take_split(struct queue *q, uint16_t *id, uint32_t *bytes)
{
	struct ring_memory *m = &memory[q->ring];
	struct vring_used_elem *elem = &m->device.ring[q->used_idx % q->size];
	uint16_t last;

	if (LOAD(m->device.idx) == q->used_idx)
		return false;
	q->used_idx++;
	*id = (uint16_t)elem->id;
	*bytes = elem->len;
	if (elem->id >= q->size)
		return true;
	/* The chain's entries go back in front of the free ones. */
	last = *id;
	for (unsigned i = 1; i < q->entries[*id]; i++)
		last = q->next[last];
	q->next[last] = q->free_head;
	q->free_head = *id;
	return true;
}

/* --- packed --- */

static uint16_t packed_flags(const struct queue *q)
{
	return q->avail_wrap ? PACKED_AVAIL : PACKED_USED;
}

static void advance(uint16_t *at, bool *wrap, unsigned n, uint16_t size)
{
	*at = (uint16_t)(*at + n);
	if (*at >= size) {
		*at = (uint16_t)(*at - size);
		*wrap = !*wrap;
	}
}

/* Ids are taken from the free list; entries come in order. */
static uint16_t add_packed(struct queue *q, const struct buffer *buffers, unsigned n)
{
	struct ring_memory *m = &memory[q->ring];
	struct vring_packed_desc *first = &m->desc.packed[q->avail_idx];
	uint16_t id = q->free_head, first_flags = 0;

	q->free_head = q->next[id];
	if (q->indirect) {
		struct vring_packed_desc *table = m->indirect[id].packed;

		for (unsigned i = 0; i < n; i++)
			table[i] = (struct vring_packed_desc){
				.addr = buffers[i].addr,
				.len = buffers[i].bytes,
				.flags = buffers[i].writable ? VRING_DESC_F_WRITE : 0,
			};
		first->addr = (uint64_t)table;
		first->len = n * (uint32_t)sizeof(*table);
		first->id = id;
		first_flags = packed_flags(q) | VRING_DESC_F_INDIRECT;
		advance(&q->avail_idx, &q->avail_wrap, 1, q->size);
	} else {
		for (unsigned i = 0; i < n; i++) {
			struct vring_packed_desc *desc = &m->desc.packed[q->avail_idx];
			uint16_t flags = (uint16_t)(packed_flags(q) |
						    (buffers[i].writable ? VRING_DESC_F_WRITE : 0) |
						    (i + 1 < n ? VRING_DESC_F_NEXT : 0));

			desc->addr = buffers[i].addr;
			desc->len = buffers[i].bytes;
			desc->id = id;
			if (i == 0)
				first_flags = flags;
			else
				desc->flags = flags;
			advance(&q->avail_idx, &q->avail_wrap, 1, q->size);
		}
	}
	STORE(first->flags, first_flags);
	return id;
}

static bool take_packed(struct queue *q, uint16_t *id, uint32_t *bytes)
{
	struct vring_packed_desc *desc = &memory[q->ring].desc.packed[q->used_idx];
	uint16_t flags = LOAD(desc->flags);

	if (!!(flags & PACKED_AVAIL) != q->used_wrap || !!(flags & PACKED_USED) != q->used_wrap)
		return false;
	*id = desc->id;
	*bytes = desc->len;
	if (*id >= q->size)
		return true;
	advance(&q->used_idx, &q->used_wrap, q->entries[*id], q->size);
	q->next[*id] = q->free_head;
	q->free_head = *id;
	return true;
}

/* --- either --- */

bool queue_add(struct queue *q, const struct buffer *buffers, unsigned n, uint16_t token)
{
	uint16_t entries = q->indirect ? 1 : (uint16_t)n, id;

	if (entries > q->free || n > MAX_BUFFERS)
		return false;
	id = q->packed ? add_packed(q, buffers, n) : add_split(q, buffers, n);
	q->entries[id] = entries;
	q->tokens[id] = token;
	q->free = (uint16_t)(q->free - entries);
	return true;
}

void queue_kick(const struct queue *q)
{
	memory_barrier();
	write16(q->notify, q->index);
}

uint16_t queue_take(struct queue *q, uint32_t *bytes)
{
	uint16_t id;

	if (!(q->packed ? take_packed(q, &id, bytes) : take_split(q, &id, bytes)))
		return NO_TOKEN;
	if (id >= q->size)
		return NO_TOKEN -
		       1; /* a token nobody has: the caller sees that it is not its own */
	q->free = (uint16_t)(q->free + q->entries[id]);
	return q->tokens[id];
}
