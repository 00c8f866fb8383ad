/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ctrl_queue.c - the control queue of a guest (virtio 1.3, section 5.1.6.5), and which driver it is
 * that uses it. Layer L5, control thread.
 *
 * A command is answered when every lcore has seen what it changed: what the driver does next finds
 * it done. So there is one at a time.
 */
#include <linux/virtio_net.h>
#include <string.h>

#include "net/guest.h"
#include "vhost/base/log.h"

#define BIT(n) (1ull << (n))

#define MAX_PASS 16 /* commands before others have their turn */

static void replace(struct net_guest *guest, const struct net_guest_config *config)
{
	if (net_guest_set_config(guest, config) < 0)
		log_error(guest->port.name, "out of memory: what its driver set before stays");
}

void net_ctrl_reset(struct net_guest *guest, uint64_t features)
{
	struct net_guest_config config;

	net_guest_default_config(guest, features, &config);
	guest->state_loaded = guest->state_unbound = guest->announce = false;
	replace(guest, &config);
}

void net_ctrl_features(struct net_guest *guest, uint64_t features)
{
	struct net_guest_config config = *guest->config;

	if (!guest->state_unbound) {
		net_ctrl_reset(guest, features);
		return;
	}
	guest->state_unbound = false;
	config.takes &= features;
	replace(guest, &config);
}

/* --- the queue --- */

static void give_answer(struct net_guest *guest)
{
	struct net_ctrl_answer *answer = &guest->answer;

	answer->due = false;
	*(volatile uint8_t *)answer->at = answer->ack;
	vu_loop_queue_push(&guest->ctrl, answer->head, sizeof(answer->ack));
	vu_loop_queue_again(&guest->ctrl);
}

void net_ctrl_seen(struct net_guest *guest, const struct net_guest_config *replaced)
{
	if (guest->answer.due && guest->answer.replaced == replaced)
		give_answer(guest);
}

/* copy_out - what the driver wrote, as far as there is room. */
static size_t copy_out(const struct vq_chain *chain, uint8_t to[NET_CTRL_BYTES])
{
	size_t n = 0;

	for (unsigned i = 0; i < chain->num_out && n < NET_CTRL_BYTES; i++) {
		size_t bytes = min_of(chain->iov[i].iov_len, NET_CTRL_BYTES - n);

		memcpy(to + n, chain->iov[i].iov_base, bytes);
		n += bytes;
	}
	return n;
}

/* serve_one - its answer may have to wait for the lcores. */
static void serve_one(struct net_guest *guest, const struct vq_chain *chain)
{
	const struct net_guest_config *before = guest->config;
	uint8_t data[NET_CTRL_BYTES];
	struct net_ctrl_answer *answer = &guest->answer;
	uint8_t ack = VIRTIO_NET_ERR;

	if (chain->error || !chain->in_bytes) {
		vq_push(guest->ctrl.vq, chain->head, 0);
		return;
	}
	if (chain->out_bytes <= NET_CTRL_BYTES)
		ack = net_ctrl_command(guest, data, copy_out(chain, data));
	answer->at = chain->iov[chain->num_out].iov_base;
	answer->head = chain->head;
	answer->ack = ack;
	if (guest->config != before && !answer->at_once) {
		answer->replaced = before;
		answer->due = true;
		return;
	}
	*(volatile uint8_t *)answer->at = ack;
	vq_push(guest->ctrl.vq, chain->head, sizeof(ack));
}

static bool serve(struct vu_loop_queue *queue)
{
	struct net_guest *guest = container_of(queue, struct net_guest, ctrl);
	struct iovec iov[NET_CHAIN_IOVS];
	struct vq_chain chain = {.iov = iov, .max_iov = NET_CHAIN_IOVS};

	for (unsigned i = 0; i < MAX_PASS; i++) {
		if (guest->answer.due || !vq_pop(queue->vq, &chain))
			return false;
		vq_count_add(&queue->vq->count.chains, 1);
		serve_one(guest, &chain);
	}
	return true;
}

static struct net_ctrl_place place_of(const struct virtqueue *vq)
{
	return (struct net_ctrl_place){
		.known = true,
		.next = vq->next_avail,
		.wrap = vq->packed && vq->avail_wrap,
	};
}

static bool is_beginning(const struct virtqueue *vq)
{
	return !vq->next_avail && !vq->recovered && (!vq->packed || vq->avail_wrap);
}

/* begin - a driver comes with a control queue that was never used. It uses one pair until it says
 * more (5.1.6.5.5). */
static void begin(struct net_guest *guest)
{
	struct net_guest_config config;

	net_guest_default_config(guest, guest->features, &config);
	if (guest->features & (BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS)))
		config.num_pairs = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN;
	guest->announce = false;
	replace(guest, &config);
}

/* adopt - a driver in the middle of its life told the process before what this one does not know.
 * Nothing is filtered; it is given nothing that it may have forbidden, in the pairs it has filled. */
static void adopt(struct net_guest *guest)
{
	struct net_guest_config config;

	net_guest_default_config(guest, guest->features, &config);
	config.unknown = true;
	config.num_pairs = (uint16_t)max_of(__builtin_ctz(~guest->rx_filled), 1);
	if (guest->features & BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		config.takes = 0;
	replace(guest, &config);
	if (log_limited(&guest->log_limit, guest->port.name))
		log_info(guest->port.name,
			 "its driver set filters and offloads before this daemon came: nothing is "
			 "filtered, and it is sent frames without offloads");
}

/* ask_to_announce - who came from elsewhere is not where switches think. */
static void ask_to_announce(struct net_guest *guest)
{
	if (!(guest->features & BIT(VIRTIO_NET_F_GUEST_ANNOUNCE)))
		return;
	guest->announce = true;
	vu_device_config_changed(&guest->dev);
}

static void stopped(struct vu_loop_queue *queue)
{
	struct net_guest *guest = container_of(queue, struct net_guest, ctrl);

	guest->ctrl_place = place_of(queue->vq);
	guest->features_told = false;
}

void net_ctrl_start(struct net_guest *guest, struct virtqueue *vq)
{
	const struct net_ctrl_place *before = &guest->ctrl_place, now = place_of(vq);
	bool goes_on = before->known && before->next == now.next && before->wrap == now.wrap;

	/* One that only was interrupted may be at the ring's first place, too. */
	if (is_beginning(vq) && (!goes_on || guest->features_told)) {
		begin(guest);
	} else if (!goes_on) {
		if (!guest->state_loaded)
			adopt(guest);
		ask_to_announce(guest);
	}
	guest->state_loaded = false;
	guest->answer = (struct net_ctrl_answer){.due = false};
	/* That it could not be started was logged, and the ring counts as broken. */
	(void)vu_loop_queue_start(&guest->ctrl, guest->loop, vq, serve);
	guest->ctrl.stopped = stopped;
}

void net_ctrl_stop(struct net_guest *guest)
{
	guest->answer.at_once = true;
	if (guest->answer.due)
		give_answer(guest);
	vu_loop_queue_stop(&guest->ctrl);
}
