/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user.c - see vhost_user.h: what the driver wants, the state of the connection, and the step
 * from one to the other.
 * VMM; board lock held. virtio_ops on any thread, the rest on the main thread.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/vhost_user_part.h"

#define STEP_LIMIT_MS 60000

static const char *const state_names[] = {
	[VHOST_USER_CONNECTING] = "connecting",
	[VHOST_USER_NEGOTIATING] = "negotiating",
	[VHOST_USER_READY] = "ready",
	[VHOST_USER_STARTING] = "starting",
	[VHOST_USER_RUNNING] = "running",
	[VHOST_USER_STOPPING] = "stopping",
	[VHOST_USER_LOST] = "lost",
	[VHOST_USER_REFUSED] = "refused",
};
static_assert(ARRAY_SIZE(state_names) == VHOST_USER_NUM_STATES, "a name for each state");

const char *vhost_user_state_name(enum vhost_user_state state)
{
	return state_names[state];
}

void vhost_user_set_state(struct vhost_user *vu, enum vhost_user_state state)
{
	if (vu->state == state)
		return;
	log_debug(vu->name, "%s -> %s", state_names[vu->state], state_names[state]);
	vu->state = state;
}

void vhost_user_break(struct vhost_user *vu, const char *fmt, ...)
{
	va_list args;

	if (vu->broken || !vu->driver_ok)
		return;
	va_start(args, fmt);
	vsnprintf(vu->reason, sizeof(vu->reason), fmt, args);
	va_end(args);
	/* Guest and back-end can bring it about at any rate. */
	log_warn_limited(&vu->limit, vu->name, "needs a reset by its driver: %s", vu->reason);
	vu->broken = true;
	virtio_needs_reset(&vu->dev);
	vhost_user_wake(vu); /* rings are taken back */
}

/* --- from what is to what is wanted --- */

/* settled - is nothing under way, and nothing a back-end's? */
static bool settled(const struct vhost_user *vu)
{
	return vhost_user_idle(vu) && !vu->pending && !vu->used;
}

static void forget_driver(struct vhost_user *vu)
{
	vu->forget = vu->came = vu->broken = false;
	if (vhost_user_connected(vu))
		vu->reason[0] = '\0';
	vhost_user_forget_rings(vu);
	if (vu->kind->driver_went)
		vu->kind->driver_went(vu);
}

/* go_on_with_reset - rings are being taken back already. */
static void go_on_with_reset(struct vhost_user *vu)
{
	if (vhost_user_idle(vu) && !vu->pending && vu->used)
		vhost_user_reset_backend(vu);
	if (!settled(vu))
		return;
	forget_driver(vu);
	if (vu->resetting) {
		vu->resetting = false;
		vhost_user_forget_config(vu, !(vu->backend.protocol & VU_BIT(VU_PF_RESET_DEVICE)));
		virtio_reset_done(&vu->dev);
	}
}

static void show_state(struct vhost_user *vu)
{
	bool stopping = vhost_user_rings_in(vu, RING_STOPPING);
	bool on = vhost_user_rings_in(vu, RING_ON);
	bool under_way = vu->pending || stopping || vu->state == VHOST_USER_NEGOTIATING;

	/* A back-end that answers each request just in time could make a reset last for hours. */
	if (!under_way)
		loop_timer_cancel(vu->loop, &vu->limit_timer);
	else if (!vu->limit_timer.active)
		loop_timer_set(vu->loop, &vu->limit_timer, STEP_LIMIT_MS, vhost_user_step_is_over);
	if (!vhost_user_connected(vu))
		return;
	if (vu->resetting || (stopping && !on))
		vhost_user_set_state(vu, VHOST_USER_STOPPING);
	else if (vu->pending)
		vhost_user_set_state(vu, VHOST_USER_STARTING);
	else
		vhost_user_set_state(vu, on ? VHOST_USER_RUNNING : VHOST_USER_READY);
}

void vhost_user_act(struct vhost_user *vu)
{
	if (vu->forget)
		go_on_with_reset(vu);
	if (vu->driver_ok && !vu->forget)
		vu->came = true;
	if (vu->kind->sync && !vu->forget)
		vu->kind->sync(vu);
	if (vhost_user_connected(vu) && vu->driver_ok && !vu->broken && !vu->forget)
		vhost_user_prepare(vu); /* it may find the back-end not fit */
	if (vhost_user_connected(vu))
		vhost_user_sync_config(vu); /* before rings: it may be the cache mode */
	vhost_user_sync_rings(vu);
	show_state(vu);
}

static void on_mail(struct mail *mail)
{
	struct vhost_user *vu = container_of(mail, struct vhost_user, mail);

	vu->posted = false;
	vhost_user_act(vu);
}

/* Syscalls (vcpu): write */
void vhost_user_wake(struct vhost_user *vu)
{
	if (vu->posted)
		return;
	vu->posted = true;
	loop_post(vu->loop, &vu->mail, on_mail);
}

/* --- what the transport calls --- */

static void start(struct virtio_device *dev)
{
	struct vhost_user *vu = vhost_user_of(dev);

	vu->driver_ok = true;
	vhost_user_wake(vu);
}

static void reset(struct virtio_device *dev)
{
	struct vhost_user *vu = vhost_user_of(dev);
	bool there = vu->driver_ok || vu->came;

	vu->driver_ok = false;
	vu->forget = true;
	vu->resetting = !settled(vu);
	if (!vu->resetting) {
		vhost_user_forget_config(vu, false); /* no back-end was told */
		virtio_reset_done(dev);
	}
	if (there || vu->resetting)
		vhost_user_wake(vu);
}

static bool is_backend_ring(const struct vhost_user *vu, unsigned index)
{
	return !vu->kind->is_backend_ring || vu->kind->is_backend_ring(vu, index);
}

static void queue_reset(struct virtio_device *dev, unsigned index)
{
	struct vhost_user *vu = vhost_user_of(dev);

	if (is_backend_ring(vu, index)) {
		/* What its area of the in-flight region holds has to go, too. */
		if (vu->rings[index].state == RING_OFF && !vu->rings[index].begun)
			virtio_queue_reset_done(dev, index);
		else
			vhost_user_wake(vu);
		return;
	}
	vu->kind->own_queue_reset(vu, index);
	virtio_queue_reset_done(dev, index);
	vhost_user_wake(vu);
}

static void queue_enable(struct virtio_device *dev, unsigned index)
{
	(void)index;
	vhost_user_wake(vhost_user_of(dev));
}

static const struct virtio_ops vhost_user_ops = {
	.start = start,
	.reset = reset,
	.queue_reset = queue_reset,
	.queue_enable = queue_enable,
	.config_written = vhost_user_config_written,
};

/* --- life --- */

static const struct vhost_user_kind *kind_of(uint16_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_BLOCK:
		return &vhost_user_blk;
	case VIRTIO_ID_NET:
		return &vhost_user_net;
	case VIRTIO_ID_BALLOON:
		return &vhost_user_balloon;
	default:
		return &vhost_user_other;
	}
}

int vhost_user_create(struct vhost_user **out, const char *name, const struct backend_options *opt,
		      const struct fe_memory *mem, struct loop *loop, unsigned num_vcpus)
{
	struct vhost_user *vu = calloc(1, sizeof(*vu));

	if (!vu)
		return -ENOMEM;
	snprintf(vu->name, sizeof(vu->name), "%s", name);
	vu->opt = opt;
	vu->kind = kind_of(opt->device_id);
	vu->mem = mem;
	vu->loop = loop;
	vu->num_vcpus = num_vcpus;
	vu->dev.name = vu->name;
	vu->dev.device_id = opt->device_id;
	vu->dev.ops = &vhost_user_ops;
	vu->inflight_fd = -1;
	fe_pipeline_init(&vu->pipe, loop, &vhost_user_pipe_ops);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		vu->rings[i].vu = vu;
		vu->rings[i].index = i;
		vu->rings[i].err_fd = -1;
	}
	*out = vu;
	return 0;
}

struct virtio_device *vhost_user_virtio(struct vhost_user *vu)
{
	return &vu->dev;
}

bool vhost_user_idle(const struct vhost_user *vu)
{
	return !vhost_user_rings_in(vu, RING_ON) && !vhost_user_rings_in(vu, RING_STOPPING);
}

const char *vhost_user_reason(const struct vhost_user *vu)
{
	return vu->reason;
}

void vhost_user_destroy(struct vhost_user *vu)
{
	fe_pipeline_close(&vu->pipe);
	loop_timer_cancel(vu->loop, &vu->retry);
	loop_timer_cancel(vu->loop, &vu->limit_timer);
	loop_cancel_post(vu->loop, &vu->mail);
	vhost_user_forget_rings(vu); /* the transport is gone: it is told of nothing */
	if (vu->kind->destroy)
		vu->kind->destroy(vu);
	free(vu);
}
