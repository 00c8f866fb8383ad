/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - the driver side of one virtqueue (virtio 1.3, sections 2.7 and 2.8).
 * Beside L1 (front-end). Set up while stopped; every other call is the one thread's that drives.
 *
 * A chain is prepared once and submitted as often as wanted, since on most loads a request's
 * shape does not change; fe_ring_add() prepares, submits, and gives the descriptors back when
 * the chain is used. Chains are named by their head (a descriptor index, or a buffer id when
 * packed).
 *
 *     fe_ring_submit()   stage a prepared chain           } any number
 *     fe_ring_publish()  make what was staged visible     one release store
 *     fe_ring_kick()     notify the device, if it wants to be
 *     fe_ring_poll()     burst of used chains, checked
 *
 * The device's words are checked: a used id that is not in flight, more used than submitted, or
 * a length beyond what the chain can take makes the ring broken, and it stays so.
 *
 * A back-end may die with chains in flight and another take the ring over. Nothing here is reset
 * for that: which chains are in flight and what was staged, published and polled are facts about
 * the shared memory, which stays. The next back-end starts from its in-flight region, or from
 * fe_ring_base(); what it uses is polled as if there had been one. Only a broken ring, and one
 * whose chains no back-end will ever use, want fe_ring_reset().
 *
 * With in_order (VIRTIO_F_IN_ORDER) the device uses chains in the order of submission and may
 * answer a batch with one used entry; each chain of it is polled by itself. A split ring then has
 * its descriptors used in the order of the table, so that a device need not read the available
 * ring. Chains that are submitted in any order cannot stay in the table for that: they are prepared
 * in memory of our own and copied at each submission, as on a packed ring, and a head is not the
 * index by which the device knows the chain.
 */
#ifndef RINGSIDE_FRONTEND_RING_H
#define RINGSIDE_FRONTEND_RING_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/util.h"
#include "vhost/frontend/memory.h"

/* One buffer of a chain. */
struct fe_buf {
	uint64_t gpa;
	uint32_t len;
};

/* One used chain. @len: bytes the device says it wrote. */
struct fe_used {
	uint32_t head;
	uint32_t len;
};

enum fe_chain_state {
	FE_CHAIN_NONE, /* not a head */
	FE_CHAIN_IDLE, /* prepared */
	FE_CHAIN_FLIES,
	FE_CHAIN_FLIES_ONCE, /* and its descriptors are given back when it is used */
};

/* What we know of the chain that starts at a descriptor; one word, indexed by head. */
struct fe_chain {
	uint32_t in_bytes; /* writable bytes: no used length may exceed it */
	uint16_t num_desc; /* descriptors it holds in the ring */
	uint8_t state; /* enum fe_chain_state */
};

struct fe_ring_options {
	uint16_t size; /* entries, up to 32768; a power of two unless packed */
	bool packed; /* VIRTIO_F_RING_PACKED was negotiated */
	bool event_idx; /* VIRTIO_RING_F_EVENT_IDX was negotiated */
	bool in_order; /* VIRTIO_F_IN_ORDER was negotiated */
	uint16_t indirect; /* entries of an indirect table for each head; 0: chains are direct */
};

/* A descriptor as two words, so that it is copied by one load and one store. */
typedef uint64_t fe_words __attribute__((vector_size(16), may_alias));

/* What a ring is besides split. */
#define FE_PACKED   1u
#define FE_IN_ORDER 2u

struct fe_ring {
	/* Constant after fe_ring_init. In guest memory but desc, shape, chains, links, free_descs
	 * and flights. */
	union { /* where chains are prepared */
		struct vring_desc *desc; /* split: the table itself, unless in order */
		struct vring_packed_desc *shape; /* packed: to be copied into the ring */
	};
	struct vring_desc *table;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event; /* ours: index at which we want an interrupt */
	uint16_t *avail_event; /* the device's: index at which it wants a kick */
	struct vring_packed_desc *slots; /* these three instead of the five above when packed */
	struct vring_packed_desc_event *driver_event;
	struct vring_packed_desc_event *device_event;
	struct fe_chain *chains;
	uint16_t *links; /* the descriptor that follows one in its chain */
	uint16_t *free_descs; /* a stack */
	uint16_t *flights; /* in order: heads as submitted, a ring of a power of two */
	struct vring_desc *indirect; /* tables, one for each head */
	uint64_t indirect_gpa;
	uint32_t size;
	uint32_t fast_end; /* size, or 0 in order: what reaches it is staged slowly */
	uint32_t mask; /* split: of indices into avail and used */
	uint16_t flight_mask;
	uint16_t indirect_entries; /* of one table; 0: direct */
	uint8_t kind; /* FE_PACKED, FE_IN_ORDER */
	bool packed;
	bool event_idx;
	int kick_fd; /* eventfds, ours */
	int call_fd;
	int err_fd;

	/* Changed by every burst. These indices run freely modulo 2^16; packed, they count chains. */
	uint16_t staged cacheline_aligned; /* next available entry to fill */
	uint16_t published; /* available index the device can see */
	uint16_t last_used; /* next used entry to take */
	uint16_t kicked; /* split: available index at the last decision to kick */
	uint16_t used_idx; /* split: device's used index as last read */
	uint16_t num_free; /* descriptors on the stack */
	bool slow_poll; /* broken, or in order */
	bool broken;

	/* Packed: places in the ring, with the flag bits that mean available, or used, there. Split
	 * and in order: places in the table. */
	uint32_t avail_slot; /* next one to fill */
	uint32_t avail_wrap; /* FE_PACKED_WRAP while the wrap counter there is 1 */
	uint32_t held_slot; /* packed: the first one staged */
	uint32_t used_slot; /* next one to be used */
	uint16_t used_bits;
	uint16_t
		shown_position; /* where avail_slot was at the last publish; bit 15: wrap counter */
	uint32_t unkicked; /* descriptors published since the last decision to kick */
	fe_words avail_bits; /* where a descriptor has its flags */
	fe_words held; /* what is to stand in held_slot, if anything is staged */

	/* In order: chains of the batch used last that were not polled. */
	uint16_t batch;
	uint32_t batch_len; /* used length of the last of them */

	const char *why; /* broken: what the device did, for a log line */
	uint64_t kicks; /* counted */
};

/*
 * fe_ring_init - a ring in @mem, at cache line boundaries, with its three eventfds.
 * @indirect entries per table are set apart at once, so that adding never allocates.
 * Return: 0, -EINVAL (size), -ENOSPC (@mem), -ENOMEM, -errno of eventfd(2).
 */
int fe_ring_init(struct fe_ring *ring, struct fe_memory *mem,
		 const struct fe_ring_options *options);

/* fe_ring_free - close the eventfds and free what is not in guest memory. Harmless twice. */
void fe_ring_free(struct fe_ring *ring);

/*
 * fe_ring_reset - as after fe_ring_init: indices 0, nothing in flight, prepared chains kept.
 * The back-end must have stopped the ring.
 */
void fe_ring_reset(struct fe_ring *ring);

/* fe_ring_wire_addr - the ring's addresses for SET_VRING_ADDR. */
struct vu_vring_addr fe_ring_wire_addr(const struct fe_ring *ring, unsigned index);

/* fe_ring_base - where a stopped ring stands, as SET_VRING_BASE has it: every chain before was
 * used. Split: the used index. Packed: the place behind the last used chain (polled or not) with
 * its wrap counter in bit 15, and the same in the upper half. With chains in flight it is where a
 * back-end that knows no better takes them up again. */
uint32_t fe_ring_base(const struct fe_ring *ring);

/*
 * fe_ring_prepare - lay down a chain of @num_out readable, then @num_in writable buffers.
 * Its descriptors stay taken until fe_ring_release.
 * Return: the head (>= 0), -ENOSPC (descriptors), -E2BIG (indirect table), -EINVAL (no buffer).
 */
int fe_ring_prepare(struct fe_ring *ring, const struct fe_buf *bufs, unsigned num_out,
		    unsigned num_in);

/*
 * fe_ring_change - buffer @i of a prepared chain that is not in flight. The next used length is
 * checked against the new sizes.
 */
void fe_ring_change(struct fe_ring *ring, unsigned head, unsigned i, struct fe_buf buf,
		    bool writable);

/* fe_ring_release - give back the descriptors of a chain that is not in flight. */
void fe_ring_release(struct fe_ring *ring, unsigned head);

/* fe_ring_add - prepare and submit; released when used. Return: as fe_ring_prepare. */
int fe_ring_add(struct fe_ring *ring, const struct fe_buf *bufs, unsigned num_out, unsigned num_in);

/*
 * fe_ring_claim - for tests that write descriptors themselves: from here on @head counts as a
 * chain of one descriptor with @in_bytes writable, to be submitted and polled like any other.
 * Nothing is written to the ring (packed, in order: what is prepared at @head will be); @head must
 * be below its size.
 */
void fe_ring_claim(struct fe_ring *ring, unsigned head, uint32_t in_bytes);

/* fe_ring_break - the device did wrong: nothing more is taken from the ring. Return: -EPROTO. */
int fe_ring_break(struct fe_ring *ring, const char *why);

/* fe_ring_break_used - by this used entry, of which something is wrong. Return: -EPROTO. */
int fe_ring_break_used(struct fe_ring *ring, uint32_t head);

/* fe_ring_notify - write the kick eventfd, wanted or not. */
void fe_ring_notify(struct fe_ring *ring);

/* fe_ring_wait - sleep until something is used, at most @timeout_ms (-1: for ever). Interrupts
 * are asked for while asleep and off again after. Return: 0, -ETIMEDOUT. */
int fe_ring_wait(struct fe_ring *ring, int timeout_ms);

/* fe_ring_poll_slow - fe_ring_poll() of a ring that is broken or in order. */
int fe_ring_poll_slow(struct fe_ring *ring, struct fe_used *used, unsigned max);

/* fe_order_base - fe_ring_base() of a packed ring in order. */
uint32_t fe_order_base(const struct fe_ring *ring);

/* Words the device writes at any time: read once, where they stand. */
static inline uint16_t fe_load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline void fe_store16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELAXED);
}

/* The full barrier of the Dekker pairs of both formats. A locked add is cheaper than mfence, which is
 * what some compilers make of the builtin, and orders ordinary memory as well. */
static inline void fe_full_barrier(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; addl $0, -8(%%rsp)" ::: "memory", "cc");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline bool fe_ring_flies(const struct fe_chain *chain)
{
	return chain->state >= FE_CHAIN_FLIES;
}

/* fe_ring_land_once - fe_ring_land() of a chain in any other state. */
bool fe_ring_land_once(struct fe_ring *ring, struct fe_chain *chain);

/* fe_ring_land - a chain was used. Return: false, it was not in flight and the ring is broken. */
static inline bool fe_ring_land(struct fe_ring *ring, struct fe_chain *chain)
{
	if (unlikely(chain->state != FE_CHAIN_FLIES))
		return fe_ring_land_once(ring, chain);
	chain->state = FE_CHAIN_IDLE;
	return true;
}

#include "vhost/frontend/ring_packed.h"
#include "vhost/frontend/ring_split.h"

/* fe_ring_in_flight - chains submitted and not yet polled. */
static inline unsigned fe_ring_in_flight(const struct fe_ring *ring)
{
	return (uint16_t)(ring->staged - ring->last_used);
}

/* fe_ring_submit - stage a prepared chain that is not in flight. There is always room. */
static inline void fe_ring_submit(struct fe_ring *ring, unsigned head)
{
	struct fe_chain *chain = &ring->chains[head];
	unsigned num_desc = chain->num_desc;

	assert(chain->state == FE_CHAIN_IDLE);
	chain->state = FE_CHAIN_FLIES;
	if (ring->kind)
		fe_packed_stage(ring, head, num_desc);
	else
		fe_split_stage(ring, head);
}

/* fe_ring_publish - let the device see all that is staged. */
static inline void fe_ring_publish(struct fe_ring *ring)
{
	if (ring->packed)
		fe_packed_publish(ring);
	else
		fe_split_publish(ring);
}

/* fe_ring_kick - notify the device of what was published since the last kick, if it asked. */
static inline void fe_ring_kick(struct fe_ring *ring)
{
	if (ring->packed ? fe_packed_kick_wanted(ring) : fe_split_kick_wanted(ring))
		fe_ring_notify(ring);
}

/*
 * fe_ring_poll - take up to @max used chains, in the order the device used them.
 * Return: how many are in @used, or -EPROTO (the ring is broken; ring->why says how).
 */
static inline int fe_ring_poll(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	if (unlikely(ring->slow_poll))
		return fe_ring_poll_slow(ring, used, max);
	return ring->packed ? fe_packed_poll(ring, used, max) : fe_split_poll(ring, used, max);
}

/* fe_ring_interrupts_off - ask the device not to interrupt (the state after fe_ring_init). */
static inline void fe_ring_interrupts_off(struct fe_ring *ring)
{
	if (ring->packed)
		fe_packed_interrupts_off(ring);
	else
		fe_split_interrupts_off(ring);
}

/* fe_ring_interrupts_on - ask for one at the next used chain. Return: false when something is
 * used already, so that sleeping now would be wrong. */
static inline bool fe_ring_interrupts_on(struct fe_ring *ring)
{
	return ring->packed ? fe_packed_interrupts_on(ring) : fe_split_interrupts_on(ring);
}

#endif
