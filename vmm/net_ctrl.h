/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ctrl.h - the control queue of a network device (virtio 1.3, section 5.1.6.5), answered by the
 * VMM where the back-end does not serve it: how many queue pairs are used, and what a device that
 * filters nothing can say yes to.
 * VMM, main thread with the board lock held. Nothing a guest can put there does any harm.
 */
#ifndef RINGSIDE_VMM_NET_CTRL_H
#define RINGSIDE_VMM_NET_CTRL_H

#include "vhost/frontend/memory.h"
#include "vhost/wire/loop.h"
#include "vmm/virtio.h"

/* What is offered with it, but for VIRTIO_NET_F_MQ, which is the back-end's matter too. */
extern const uint64_t net_ctrl_features;

struct net_ctrl_queue;

struct net_ctrl_ops {
	bool (*may_run)(void *ctx); /* the queue is the driver's at this moment */
	bool (*set_pairs)(void *ctx, unsigned pairs); /* Return: false, not that many */
	void (*announced)(void *ctx); /* the driver has told the network where it is */
	void (*broken)(void *ctx); /* the ring itself is wrong */
};

/* net_ctrl_create - @name: for log lines; @mem: the guest's RAM, which outlives it.
 * Return: 0 or -ENOMEM. */
int net_ctrl_create(struct net_ctrl_queue **out, const char *name, const struct fe_memory *mem,
		    struct loop *loop, const struct net_ctrl_ops *ops, void *ctx);

/* net_ctrl_start - serve @queue, number @index, which the driver has set up anew, as @features were
 * accepted. Return: 0, -EFAULT (not in RAM), -EINVAL (size, alignment), -ENOMEM, -errno. */
int net_ctrl_start(struct net_ctrl_queue *ctrl, unsigned index, const struct virtio_queue *queue,
		   uint64_t features);

/* net_ctrl_stop - touch it no more. Harmless when it does not run. */
void net_ctrl_stop(struct net_ctrl_queue *ctrl);

bool net_ctrl_runs(const struct net_ctrl_queue *ctrl);
void net_ctrl_destroy(struct net_ctrl_queue *ctrl);

#endif
