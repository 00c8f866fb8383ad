/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ctrl.c - see net_ctrl.h. VMM, main thread with the board lock held.
 *
 * The ring is walked by vhost/ring, as any other; a command's bytes are read once, where they lie.
 */
#include "vmm/net_ctrl.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/eventfd.h"
#include "vhost/ring/virtqueue.h"

#define MAX_IOV     64 /* buffers of one command */
#define HEAD_BYTES  2u /* class, command */
#define MAX_VLAN    4095
#define PACKED_BASE 0x80008000u

const uint64_t net_ctrl_features = 1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_CTRL_RX |
				   1ull << VIRTIO_NET_F_CTRL_RX_EXTRA |
				   1ull << VIRTIO_NET_F_CTRL_VLAN |
				   1ull << VIRTIO_NET_F_GUEST_ANNOUNCE;

struct net_ctrl_queue {
	const char *name;
	struct loop *loop;
	const struct net_ctrl_ops *ops;
	void *ctx;
	const struct fe_memory *mem;
	struct mem_table table; /* @mem again: the regions are mapped once */
	struct virtqueue vq;
	bool runs;
	struct loop_watch watch;
	uint64_t features;
};

/* --- a command --- */

/* read_at - [@offset, @offset + @bytes) of the readable part. Return: false, it is shorter. */
static bool read_at(const struct vq_chain *chain, uint64_t offset, void *to, unsigned bytes)
{
	uint8_t *out = to;

	if (offset > chain->out_bytes || bytes > chain->out_bytes - offset)
		return false;
	for (unsigned i = 0; i < chain->num_out && bytes; i++) {
		const volatile uint8_t *from = chain->iov[i].iov_base;
		uint64_t here = chain->iov[i].iov_len;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		for (; offset < here && bytes; bytes--)
			*out++ = from[offset++];
		offset = 0;
	}
	return true;
}

/* exact16 - the one field of a command whose data are just that. */
static bool exact16(const struct vq_chain *chain, uint16_t *value)
{
	if (chain->out_bytes != HEAD_BYTES + sizeof(*value) ||
	    !read_at(chain, HEAD_BYTES, value, sizeof(*value)))
		return false;
	*value = le16toh(*value);
	return true;
}

/* 5.1.6.5.1: on or off; everything is received in any case. */
static bool rx_mode(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain,
		    uint8_t command)
{
	uint8_t on = 0;
	unsigned needed = command <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX
								 : VIRTIO_NET_F_CTRL_RX_EXTRA;

	return command <= VIRTIO_NET_CTRL_RX_NOBCAST && ctrl->features >> needed & 1 &&
	       chain->out_bytes == HEAD_BYTES + sizeof(on) && read_at(chain, HEAD_BYTES, &on, 1) &&
	       on <= 1;
}

/* 5.1.6.5.2: two tables, each with its number of entries in front. No address is looked at. */
static bool mac_table(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain,
		      uint8_t command)
{
	uint64_t at = HEAD_BYTES;
	uint32_t entries = 0;

	if (command != VIRTIO_NET_CTRL_MAC_TABLE_SET ||
	    !(ctrl->features >> VIRTIO_NET_F_CTRL_RX & 1))
		return false;
	for (unsigned table = 0; table < 2; table++) {
		if (!read_at(chain, at, &entries, sizeof(entries)))
			return false;
		at += sizeof(entries) + (uint64_t)le32toh(entries) * ETH_ALEN;
		if (at > chain->out_bytes)
			return false;
	}
	return at == chain->out_bytes;
}

/* 5.1.6.5.3 */
static bool vlan(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain, uint8_t command)
{
	uint16_t id = 0;

	return command <= VIRTIO_NET_CTRL_VLAN_DEL &&
	       ctrl->features >> VIRTIO_NET_F_CTRL_VLAN & 1 && exact16(chain, &id) &&
	       id <= MAX_VLAN;
}

/* 5.1.6.5.4 */
static bool announce(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain,
		     uint8_t command)
{
	if (command != VIRTIO_NET_CTRL_ANNOUNCE_ACK || chain->out_bytes != HEAD_BYTES ||
	    !(ctrl->features >> VIRTIO_NET_F_GUEST_ANNOUNCE & 1))
		return false;
	ctrl->ops->announced(ctrl->ctx);
	return true;
}

/* 5.1.6.5.5 */
static bool pairs(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain, uint8_t command)
{
	uint16_t n = 0;

	return command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET &&
	       ctrl->features >> VIRTIO_NET_F_MQ & 1 && exact16(chain, &n) &&
	       ctrl->ops->set_pairs(ctrl->ctx, n);
}

static bool obey(const struct net_ctrl_queue *ctrl, const struct vq_chain *chain)
{
	static bool (*const classes[])(const struct net_ctrl_queue *ctrl,
				       const struct vq_chain *chain, uint8_t command) = {
		[VIRTIO_NET_CTRL_RX] = rx_mode, [VIRTIO_NET_CTRL_MAC] = mac_table,
		[VIRTIO_NET_CTRL_VLAN] = vlan,  [VIRTIO_NET_CTRL_ANNOUNCE] = announce,
		[VIRTIO_NET_CTRL_MQ] = pairs,
	};
	uint8_t head[HEAD_BYTES] = {0};

	return read_at(chain, 0, head, sizeof(head)) && head[0] < ARRAY_SIZE(classes) &&
	       classes[head[0]](ctrl, chain, head[1]);
}

/* serve - one command. Where there is no room for an answer, nothing is done. */
static void serve(struct net_ctrl_queue *ctrl, const struct vq_chain *chain)
{
	volatile uint8_t *ack = chain->num_in ? chain->iov[chain->num_out].iov_base : NULL;

	if (chain->error || !ack) {
		if (chain->last_byte)
			*(volatile uint8_t *)chain->last_byte = VIRTIO_NET_ERR;
		vq_push(&ctrl->vq, chain->head, 0);
		return;
	}
	*ack = obey(ctrl, chain) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	vq_push(&ctrl->vq, chain->head, sizeof(*ack));
}

/* --- the queue --- */

/* Syscalls: preadv2 */
static void on_kick(struct loop_watch *watch, uint32_t events)
{
	struct net_ctrl_queue *ctrl = container_of(watch, struct net_ctrl_queue, watch);
	struct iovec iov[MAX_IOV];
	struct vq_chain chain = {.iov = iov, .max_iov = MAX_IOV};
	unsigned left = ctrl->vq.size; /* of this pass; a driver could go on for ever */

	(void)events;
	eventfd_drain(watch->fd);
	if (!ctrl->ops->may_run(ctrl->ctx))
		return;
	while (left && vq_pop(&ctrl->vq, &chain)) {
		left--;
		serve(ctrl, &chain);
	}
	vq_publish(&ctrl->vq);
	vq_notify(&ctrl->vq);
	if (ctrl->vq.broken) {
		loop_watch_del(ctrl->loop, watch);
		ctrl->ops->broken(ctrl->ctx);
	} else if (vq_kicks_on(&ctrl->vq)) {
		eventfd_signal(watch->fd); /* our next turn */
	}
}

/* find_ring - 2.7, 2.8. Return: false, it is not in RAM. */
static bool find_ring(const struct net_ctrl_queue *ctrl, const struct virtio_queue *q,
		      struct vq_setup *setup)
{
	uint64_t n = q->size;
	uint64_t event = sizeof(struct vring_packed_desc_event);
	bool packed = setup->packed;

	setup->desc = fe_memory_host(ctrl->mem, q->desc_gpa, n * sizeof(struct vring_desc));
	setup->avail =
		fe_memory_host(ctrl->mem, q->driver_gpa, packed ? event : 6 + n * sizeof(uint16_t));
	setup->used = fe_memory_host(ctrl->mem, q->device_gpa,
				     packed ? event : 6 + n * sizeof(struct vring_used_elem));
	return setup->desc && setup->avail && setup->used;
}

int net_ctrl_start(struct net_ctrl_queue *ctrl, unsigned index, const struct virtio_queue *queue,
		   uint64_t features)
{
	struct vq_setup setup = {
		.packed = features >> VIRTIO_F_RING_PACKED & 1,
		.size = queue->size,
		.features = features,
		.mem = &ctrl->table,
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd,
		.err_fd = -1,
		.max_iov = MAX_IOV,
	};
	int ret;

	net_ctrl_stop(ctrl);
	if (!find_ring(ctrl, queue, &setup))
		return -EFAULT;
	setup.base = setup.packed ? PACKED_BASE : 0;
	ret = vq_init(&ctrl->vq, ctrl->name, index, queue->size);
	if (ret < 0)
		return ret;
	ret = vq_attach(&ctrl->vq, &setup);
	if (ret == 0)
		ret = loop_watch_add(ctrl->loop, &ctrl->watch, queue->kick_fd, EPOLLIN, on_kick);
	if (ret < 0) {
		vq_free(&ctrl->vq);
		return ret;
	}
	ctrl->features = features;
	ctrl->runs = true;
	eventfd_signal(queue->kick_fd); /* what is there already */
	return 0;
}

void net_ctrl_stop(struct net_ctrl_queue *ctrl)
{
	if (!ctrl->runs)
		return;
	loop_watch_del(ctrl->loop, &ctrl->watch);
	vq_detach(&ctrl->vq);
	vq_free(&ctrl->vq);
	ctrl->runs = false;
}

bool net_ctrl_runs(const struct net_ctrl_queue *ctrl)
{
	return ctrl->runs;
}

/* --- life --- */

static int by_gpa(const void *a, const void *b)
{
	const struct mem_region *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* borrow_memory - a table of what is mapped already; never unmapped by it. */
static int borrow_memory(struct net_ctrl_queue *ctrl)
{
	const struct fe_memory *mem = ctrl->mem;

	ctrl->table = (struct mem_table){
		.num_regions = mem->num_regions,
		.max_regions = mem->num_regions,
		.regions = calloc(mem->num_regions, sizeof(ctrl->table.regions[0])),
		.fault_fd = -1,
	};
	if (!ctrl->table.regions)
		return -ENOMEM;
	for (unsigned i = 0; i < mem->num_regions; i++) {
		const struct fe_region *r = &mem->regions[i];

		ctrl->table.regions[i] = (struct mem_region){
			.gpa = r->gpa,
			.size = r->size,
			.uva = (uintptr_t)r->host,
			.host = r->host,
			.page_bytes = r->page_bytes,
			.fd = -1,
		};
	}
	qsort(ctrl->table.regions, mem->num_regions, sizeof(ctrl->table.regions[0]), by_gpa);
	return 0;
}

int net_ctrl_create(struct net_ctrl_queue **out, const char *name, const struct fe_memory *mem,
		    struct loop *loop, const struct net_ctrl_ops *ops, void *ctx)
{
	/* A virtqueue is laid out by cache lines. */
	struct net_ctrl_queue *ctrl = aligned_alloc(CACHELINE_BYTES, sizeof(*ctrl));
	int ret;

	if (!ctrl)
		return -ENOMEM;
	memset(ctrl, 0, sizeof(*ctrl));
	ctrl->name = name;
	ctrl->mem = mem;
	ctrl->loop = loop;
	ctrl->ops = ops;
	ctrl->ctx = ctx;
	ret = borrow_memory(ctrl);
	if (ret < 0) {
		free(ctrl);
		return ret;
	}
	*out = ctrl;
	return 0;
}

void net_ctrl_destroy(struct net_ctrl_queue *ctrl)
{
	if (!ctrl)
		return;
	net_ctrl_stop(ctrl);
	free(ctrl->table.regions);
	free(ctrl);
}
