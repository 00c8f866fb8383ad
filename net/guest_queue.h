/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_queue.h - one queue of a guest as its lcore sees it: transmitq (the guest sends, tx.c) or
 * receiveq (the guest receives, rx.c). virtio 1.3, section 5.1.6. Layer L5, lcore threads.
 */
#ifndef RINGSIDE_NET_GUEST_QUEUE_H
#define RINGSIDE_NET_GUEST_QUEUE_H

#include "net/guest_config.h"
#include "net/port.h"
#include "vhost/base/mailbox.h"
#include "vhost/ring/virtqueue.h"

#define NET_CHAIN_IOVS 256 /* of a chain; the device's max_iov */
#define NET_QUEUE_IOVS 1024 /* of the chains a queue has taken at a time */

struct net_lcore;
struct net_guest;

/* Made by queue_start, gone after vu_queue_stopped. */
struct net_guest_queue {
	struct virtqueue *vq cacheline_aligned;
	struct net_lcore *lcore;
	struct net_guest *guest;
	struct net_counters *count; /* the guest's, for this queue; outlives the queue */
	uint64_t features; /* negotiated */
	uint8_t header_bytes; /* 12, or 20 with HASH_REPORT; 10 for a legacy driver without MRG_RXBUF */
	bool transmit;
	bool mergeable;
	struct mail start_mail, stop_mail; /* two: it may be stopped before its start was seen */
	/* tx.c: what was popped this pass and is not given back yet */
	unsigned num_taken;
	uint16_t taken[NET_BURST];
	/* Notification coalescing (5.1.6.5.8): interrupt after so much, or so long. */
	uint32_t held_frames; /* published and not told; 0: nothing is held back */
	uint64_t held_since, held_ticks; /* ticks; how long at most */
	struct iovec *iovs; /* NET_QUEUE_IOVS, of the chains taken */
	struct vq_buffer *pieces; /* rx.c: chains of one frame, vq->size */
};

/* net_guest_queue_start - hand @vq to @lcore. Control thread. Return: 0 or -ENOMEM. */
int net_guest_queue_start(struct net_lcore *lcore, struct net_guest *guest, struct virtqueue *vq,
			  struct net_counters *count, uint64_t features);

/* net_guest_queue_stop - vu_queue_stopped() follows. Control thread. */
void net_guest_queue_stop(struct net_guest_queue *queue);

/* --- lcore thread --- */

/* net_guest_queue_tell - @frames more were published: interrupt the guest if it wants that, at once
 * or as @coalesce says. */
void net_guest_queue_tell(struct net_guest_queue *queue, const struct net_coalesce *coalesce,
			  unsigned frames);

/* net_guest_queue_tell_held - of a queue that holds an interrupt back: is it time, or @now? */
void net_guest_queue_tell_held(struct net_guest_queue *queue, bool now);

/* net_tx_take - take a burst that the guest sent, check it, forward it. Return: frames. */
unsigned net_tx_take(struct net_guest_queue *queue);

/* net_tx_give_back - after net_flush(): the chains taken go back to the guest, which is told. */
void net_tx_give_back(struct net_guest_queue *queue);

/*
 * net_rx_deliver - give @frames, all used up, to the guest: header, copy, publish once, tell once.
 * Frames need nothing done in software any more, and passed the guest's filters. What finds no room
 * is dropped and counted.
 */
void net_rx_deliver(struct net_guest_queue *queue, struct rte_mbuf **frames, unsigned n);

#endif
