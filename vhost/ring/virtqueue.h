/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue.h - the device side of one virtqueue (virtio 1.3, section 2.6 and on).
 * Layer L3. Set up by the control thread while stopped; every other call is the queue thread's.
 *
 * A device works in passes, and no pass takes more chains than the queue has entries:
 *
 *     vq_pop()      next available chain: bounded walk, checked, translated, in flight
 *     vq_push()     stage a used element
 *     vq_publish()  make what was staged visible: one release store
 *     vq_notify()   interrupt the driver if it asked for it
 *
 * Nothing a driver can write makes these functions touch anything but guest memory.
 */
#ifndef RINGSIDE_RING_VIRTQUEUE_H
#define RINGSIDE_RING_VIRTQUEUE_H

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost/base/log.h"
#include "vhost/base/util.h"
#include "vhost/memory/table.h"
#include "vhost/ring/track.h"

#define VQ_NAME_BYTES   32
#define VQ_MAX_BURST    64 /* chains of one vq_pop_burst() */
#define VQ_MAX_INDIRECT 1024 /* descriptors read of one indirect table */

/* Why a chain cannot be served. The head goes back to the driver; the ring goes on. */
enum vq_chain_error {
	VQ_CHAIN_OK,
	VQ_CHAIN_UNMAPPED, /* an address outside guest memory */
	VQ_CHAIN_LOOP, /* longer than the queue, or a next index outside the table */
	VQ_CHAIN_TOO_LONG, /* more buffers than the device takes */
	VQ_CHAIN_ORDER, /* readable after writable */
	VQ_CHAIN_INDIRECT, /* not negotiated, nested, with NEXT, or of a wrong length */
	VQ_CHAIN_ERRORS
};

/* vq_chain_error_name - for stats and logs. */
const char *vq_chain_error_name(enum vq_chain_error error);

/*
 * A popped chain. @iov and @max_iov are the caller's and stay valid until the push; the readable
 * buffers come first. Zero-length descriptors yield no iovec.
 */
struct vq_chain {
	struct iovec *iov;
	uint16_t max_iov;
	uint16_t head; /* descriptor index, or buffer id when packed */
	uint16_t num_out;
	uint16_t num_in;
	uint8_t error; /* enum vq_chain_error; the iovecs are then incomplete */
	uint8_t *last_byte; /* with error: last byte of the chain's last descriptor if that is
			       writable and mapped, else NULL (where a block status would go) */
	uint64_t out_bytes;
	uint64_t in_bytes;
};

/* Bytes of a ring's three parts. */
struct vq_parts {
	uint64_t desc, avail, used;
};

/* vq_part_bytes - of a ring of @size entries. Split (2.7): the event fields at the ends of both rings
 * are always part of them. Packed (2.8): one ring and two event areas. */
static inline struct vq_parts vq_part_bytes(bool packed, uint64_t size)
{
	if (packed)
		return (struct vq_parts){size * sizeof(struct vring_packed_desc),
					 sizeof(struct vring_packed_desc_event),
					 sizeof(struct vring_packed_desc_event)};
	return (struct vq_parts){size * sizeof(struct vring_desc), 6 + size * sizeof(uint16_t),
				 6 + size * sizeof(struct vring_used_elem)};
}

/* How a ring is to be set up; all pointers are host addresses that were checked for size. */
struct vq_setup {
	bool packed;
	uint16_t size;
	void *desc; /* descriptor table, or packed ring */
	void *avail; /* available ring, or packed: driver event area */
	void *used; /* used ring, or packed: device event area */
	uint64_t features;
	bool uses_in_order; /* the device pushes chains in the order it popped them: VIRTIO_F_IN_ORDER
			       needs nothing kept track of */
	const struct mem_table *mem;
	uint32_t base; /* as SET_VRING_BASE has it; see vq_base */
	int kick_fd; /* eventfd, or -1: poll */
	int call_fd; /* eventfd, or -1: never interrupt */
	int err_fd; /* eventfd, or -1 */

	uint16_t max_iov; /* most iovecs the device pops a chain with; 0: VQ_MAX_INDIRECT */
	const struct mem_dirty *dirty; /* log of guest memory written; NULL: none is wanted */
	bool dirty_ring; /* with dirty: writes to the ring itself are logged too */
	uint64_t used_gpa; /* with dirty_ring: of the used ring, or packed: device event area */

	void *inflight; /* the queue's area of the in-flight region, 8-byte aligned; NULL: none */
	uint64_t inflight_bytes; /* of it, >= vq_inflight_bytes(packed, size) */
};

/* Counted by the queue's thread; read by anyone with vq_count(). */
struct vq_counters {
	uint64_t chains;
	uint64_t kicks;
	uint64_t calls;
	uint64_t bad_chains[VQ_CHAIN_ERRORS];
	uint64_t ring_errors;
};

/*
 * The first lines change only while the queue is stopped; the next are the queue thread's own;
 * the last are rarely used. The session keeps its own state in another allocation, so that the
 * control thread never writes a line that the queue thread reads.
 */
struct virtqueue {
	/* Constant while running. */
	struct vring_desc *desc cacheline_aligned;
	struct vring_avail *avail;
	struct vring_used *used;
	const struct mem_table *mem;
	uint16_t *chain_descs; /* packed: ring entries of the chain in flight, by id */
	uint16_t size; /* entries; a power of two when split */
	uint16_t mask;
	bool packed;
	bool event_idx;
	bool indirect;
	bool in_order; /* negotiated, and the device sees to it; nothing is kept track of */
	bool reads_only; /* set by the device in queue_start: it writes to no buffer, and WRITE in an
			    indirect table of a packed ring means nothing: DPDK's driver sets it for
			    the header of a frame it sends */
	struct vq_track *track; /* NULL: nothing is kept track of */
	int call_fd;
	int kick_fd;
	int err_fd;

	/*
	 * Queue thread. Split: all indices run freely modulo 2^16. Packed: they are positions in
	 * the ring, each with its wrap counter.
	 */
	uint16_t next_avail cacheline_aligned; /* next one to pop */
	uint16_t next_used; /* next one to stage */
	bool avail_wrap;
	bool used_wrap;
	bool kicks_wanted; /* the driver has been asked to kick */
	bool broken; /* the ring itself was found wrong: nothing more is popped */
	uint16_t avail_idx; /* split: driver's index as last read */
	uint16_t published; /* split: used index the driver can see */
	uint16_t signalled; /* split: used index at the last decision to interrupt */
	bool staged; /* packed: something is, and its first element is held back: */
	uint16_t staged_slot;
	uint64_t staged_word; /* length, id and flags */
	uint32_t unsignalled; /* packed: descriptors used since the last decision to interrupt */
	uint16_t room; /* packed: ring entries that no chain in flight holds */
	struct mem_cache cache;
	uint16_t num_resubmit; /* chains left that the process before had taken; served first */
	uint16_t *in_flight; /* by head or id: ring entries of the chain in flight; 0: none */

	struct vq_counters count cacheline_aligned;
	struct log_limit log_limit;

	/* Cold. */
	unsigned index;
	bool recovered; /* the in-flight area had been used before: the driver may have missed a call */
	const char *refused; /* what vq_attach() found wrong */
	uint64_t features;
	void *device_data; /* the device's, from queue_start to vu_queue_stopped */
	void *owner; /* the session's */
	char name[VQ_NAME_BYTES]; /* "blk0/q2" */
};

/* vq_init - a stopped queue. Return: 0 or -ENOMEM. Control thread. */
int vq_init(struct virtqueue *vq, const char *device, unsigned index, unsigned max_size);

/* vq_free - release what vq_init took. */
void vq_free(struct virtqueue *vq);

/*
 * vq_attach - set up a stopped queue as @setup says. Control thread.
 * Split: the available index comes from the base, the used index from memory; with uses_in_order
 * both come from memory, since some front-ends forget the base when a back-end dies. Packed: both
 * come from the base; front-ends that know only its low half mean that nothing is in flight. With an
 * in-flight area that was used before, the base does not count: chains that were taken and not
 * answered are served again, first (vq->num_resubmit), then what was not taken yet.
 * A device that is asked to stop takes the former all the same; see vq_owes().
 * Return: 0, or with vq->refused as the reason: -EINVAL (size, alignment or base; virtio 2.7,
 * 2.8), -EBADMSG (in-flight area), -ENOMEM.
 */
int vq_attach(struct virtqueue *vq, const struct vq_setup *setup);

/* vq_detach - forget rings and fds; indices stay readable through vq_base(). */
void vq_detach(struct virtqueue *vq);

/* vq_base - what GET_VRING_BASE answers. Split: the next available index. Packed: bits 0-14 the
 * next available entry, 15 its wrap counter, 16-30 and 31 the same of the next used one.
 * Stopped queue. */
uint32_t vq_base(const struct virtqueue *vq);

/* vq_break - the ring is wrong in itself (contract 3): stop popping, signal the err fd, say why
 * with @got and @expected. */
void vq_break(struct virtqueue *vq, const char *what, unsigned got, unsigned expected);

/* vq_count - read one of a running queue's counters from another thread. */
static inline uint64_t vq_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void vq_count_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#include "vhost/ring/packed.h"
#include "vhost/ring/split.h"

/* vq_waiting - is there work? Return: an upper bound, at most @max, of the chains that wait. */
static inline unsigned vq_waiting(struct virtqueue *vq, unsigned max)
{
	if (unlikely(vq->num_resubmit))
		return min_of((unsigned)vq->num_resubmit, max);
	return vq->packed ? packed_waiting(vq, max) : min_of(split_waiting(vq), max);
}

/*
 * vq_pop - take the next available chain into @chain, whose iov and max_iov the caller set.
 * A chain that breaks a rule is returned too, with chain->error: push it with length 0 (or what
 * was written to last_byte).
 * Return: 1 a chain, 0 none (or the ring is broken).
 */
static inline int vq_pop(struct virtqueue *vq, struct vq_chain *chain)
{
	if (unlikely(vq->num_resubmit))
		return track_pop_again(vq, chain);
	return vq->packed ? packed_pop(vq, chain) : split_pop(vq, chain);
}

/* vq_owes - are chains left that the process before had taken? They are taken and answered even
 * when the queue is asked back: its base could not express them. */
static inline bool vq_owes(const struct virtqueue *vq)
{
	return unlikely(vq->num_resubmit) && !vq->broken;
}

/* vq_pop_burst - take up to @max (<= VQ_MAX_BURST) chains, fetching their descriptors ahead.
 * Return: how many. */
static inline unsigned vq_pop_burst(struct virtqueue *vq, struct vq_chain *const *chains,
				    unsigned max)
{
	if (unlikely(vq->num_resubmit))
		return max ? (unsigned)track_pop_again(vq, chains[0]) : 0;
	return vq->packed ? packed_pop_burst(vq, chains, max) : split_pop_burst(vq, chains, max);
}

/* vq_unpop - put the chain popped last back, as if it had never been taken. */
static inline void vq_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	if (unlikely(vq->track) && track_unpop(vq, chain))
		return;
	if (vq->packed)
		packed_unpop(vq, chain);
	else
		split_unpop(vq, chain);
}

/* vq_push - stage the completion of a popped @head with the bytes written to its buffers. */
static inline void vq_push(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	if (unlikely(vq->track))
		track_push(vq, head, written_bytes);
	else if (vq->packed)
		packed_push(vq, head, written_bytes);
	else
		split_push(vq, head, written_bytes);
}

/* vq_publish - make everything staged visible to the driver. */
static inline void vq_publish(struct virtqueue *vq)
{
	if (unlikely(vq->track)) {
		track_publish(vq);
	} else if (vq->packed) {
		if (vq->staged)
			packed_publish(vq);
	} else if (vq->published != vq->next_used) {
		split_publish(vq);
	}
}

/* vq_signal - interrupt the driver whether it asked or not: one system call, which never waits. */
void vq_signal(struct virtqueue *vq);

/* vq_notify - interrupt the driver if it wants to hear of what was published since last time. */
static inline void vq_notify(struct virtqueue *vq)
{
	bool wants;

	if (vq->packed) /* with something staged, the notify after its publish decides for both */
		wants = vq->unsignalled && !vq->staged && packed_wants_call(vq);
	else
		wants = vq->signalled != vq->published && split_wants_call(vq);
	if (wants)
		vq_signal(vq);
}

/* vq_kicks_off - the thread is polling: ask the driver not to kick. A hint; kicks may come. */
static inline void vq_kicks_off(struct virtqueue *vq)
{
	if (!vq->kicks_wanted)
		return;
	vq->kicks_wanted = false;
	if (vq->packed)
		packed_kicks_off(vq);
	else
		split_kicks_off(vq);
	if (unlikely(vq->track))
		track_event(vq);
}

/* vq_kicks_on - the thread is about to sleep: ask for a kick at the next chain.
 * Return: true when chains came meanwhile, so that the thread must look again instead. */
static inline bool vq_kicks_on(struct virtqueue *vq)
{
	bool waiting;

	vq->kicks_wanted = true;
	waiting = vq->packed ? packed_kicks_on(vq) : split_kicks_on(vq);
	if (unlikely(vq->track))
		track_event(vq);
	return (waiting || unlikely(vq->num_resubmit)) && !vq->broken;
}

#include "vhost/ring/burst.h"

#endif
