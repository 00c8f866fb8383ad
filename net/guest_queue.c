/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_queue.c - how a guest's queue comes to its lcore and leaves it, and when the guest is told.
 * Layer L5. Start and stop: control thread; the rest: lcore thread.
 */
#include "net/guest_queue.h"

#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "net/guest.h"
#include "net/lcore.h"
#include "vhost/base/clock.h"

#define BIT(n) (1ull << (n))

/* --- telling the guest --- */

static void tell(struct net_guest_queue *queue)
{
	if (queue->held_frames) {
		queue->held_frames = 0;
		queue->lcore->num_held--;
	}
	vq_notify(queue->vq);
}

void net_guest_queue_tell(struct net_guest_queue *queue, const struct net_coalesce *coalesce,
			  unsigned frames)
{
	if (likely(coalesce->max_frames <= 1 || !coalesce->max_us)) {
		tell(queue);
		return;
	}
	if (!frames)
		return;
	if (!queue->held_frames) {
		queue->held_since = queue->lcore->now;
		queue->lcore->num_held++;
	}
	queue->held_ticks = clock_ns_to_ticks((uint64_t)coalesce->max_us * 1000);
	queue->held_frames += frames;
	/* More than the ring holds would never come: the driver waits for what is held back. */
	if (queue->held_frames >= min_of(coalesce->max_frames, (uint32_t)queue->vq->size))
		tell(queue);
}

void net_guest_queue_tell_held(struct net_guest_queue *queue, bool now)
{
	if (queue->held_frames &&
	    (now || queue->lcore->now - queue->held_since >= queue->held_ticks))
		tell(queue);
}

/* --- coming and going --- */

static unsigned pair_of(const struct net_guest_queue *queue)
{
	return queue->vq->index / 2;
}

static void queue_free(struct net_guest_queue *queue)
{
	free(queue->iovs);
	free(queue->pieces);
	free(queue);
}

static void added(struct mail *mail)
{
	struct net_guest_queue *queue = container_of(mail, struct net_guest_queue, start_mail);
	struct net_lcore *lcore = queue->lcore;
	struct net_guest *guest = queue->guest;
	int ret;

	if (queue->transmit) {
		lcore->tx_queues[lcore->num_tx++] = queue;
		ret = net_lcore_add_kick(lcore, queue);
		if (ret < 0)
			vq_break(queue->vq, "kick fd cannot be watched, errno", (unsigned)-ret,
				 queue->vq->size);
		return;
	}
	/* New buffers are nothing to wake for: a frame that finds none is dropped. */
	vq_kicks_off(queue->vq);
	lcore->rx_queues[lcore->num_rx++] = queue;
	guest->rx[pair_of(queue)] = queue;
	__atomic_fetch_or(&guest->rx_running, 1u << pair_of(queue), __ATOMIC_RELAXED);
}

static void remove_from(struct net_guest_queue **queues, unsigned *num,
			const struct net_guest_queue *queue)
{
	unsigned i;

	for (i = 0; queues[i] != queue; i++)
		;
	queues[i] = queues[--*num];
}

/* answer_owed - chains that the process before had taken are answered even now: the ring's base
 * could not express them. */
static void answer_owed(struct net_guest_queue *queue)
{
	struct virtqueue *vq = queue->vq;
	unsigned left = vq->size;

	while (vq_owes(vq) && left-- > 0) {
		struct vq_chain chain = {.iov = queue->iovs, .max_iov = NET_CHAIN_IOVS};

		if (queue->transmit) {
			net_tx_take(queue);
			net_flush(queue->lcore);
			net_tx_give_back(queue);
		} else if (vq_pop(vq, &chain)) {
			vq_push(vq, chain.head, 0);
		}
	}
	vq_publish(vq);
}

static void stopping(struct mail *mail)
{
	struct net_guest_queue *queue = container_of(mail, struct net_guest_queue, stop_mail);
	struct net_lcore *lcore = queue->lcore;
	struct net_guest *guest = queue->guest;
	struct virtqueue *vq = queue->vq;

	answer_owed(queue);
	tell(queue);
	if (queue->transmit) {
		remove_from(lcore->tx_queues, &lcore->num_tx, queue);
		net_lcore_remove_kick(lcore, queue);
	} else {
		remove_from(lcore->rx_queues, &lcore->num_rx, queue);
		__atomic_fetch_and(&guest->rx_running, ~(1u << pair_of(queue)), __ATOMIC_RELAXED);
		guest->rx[pair_of(queue)] = NULL;
	}
	queue_free(queue);
	vu_queue_stopped(vq);
}

/* header_bytes - of the virtio header (5.1.6.1): a legacy driver without MRG_RXBUF has no
 * num_buffers. */
static uint8_t header_bytes(uint64_t features)
{
	if (features & BIT(VIRTIO_NET_F_HASH_REPORT))
		return sizeof(struct virtio_net_hdr_v1_hash);
	if (features & (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF)))
		return sizeof(struct virtio_net_hdr_v1);
	return sizeof(struct virtio_net_hdr);
}

int net_guest_queue_start(struct net_lcore *lcore, struct net_guest *guest, struct virtqueue *vq,
			  struct net_counters *count, uint64_t features)
{
	struct net_guest_queue *queue = aligned_alloc(CACHELINE_BYTES, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	memset(queue, 0, sizeof(*queue));
	queue->vq = vq;
	queue->lcore = lcore;
	queue->guest = guest;
	queue->count = count;
	queue->features = features;
	queue->header_bytes = header_bytes(features);
	queue->transmit = vq->index & 1;
	vq->reads_only = queue->transmit;
	queue->mergeable = features & BIT(VIRTIO_NET_F_MRG_RXBUF);
	queue->iovs = calloc(NET_QUEUE_IOVS, sizeof(queue->iovs[0]));
	queue->pieces = calloc(vq->size, sizeof(queue->pieces[0]));
	if (!queue->iovs || !queue->pieces) {
		queue_free(queue);
		return -ENOMEM;
	}
	vq->device_data = queue;
	net_lcore_post(lcore, &queue->start_mail, added);
	return 0;
}

void net_guest_queue_stop(struct net_guest_queue *queue)
{
	net_lcore_post(queue->lcore, &queue->stop_mail, stopping);
}
