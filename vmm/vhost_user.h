/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user.h - a virtio device whose work is done by a vhost-user back-end.
 * VMM, main thread with the board lock held; the virtio_ops (virtio.h) are called by vCPU threads
 * too, and only leave word for the main thread.
 *
 * The socket is never waited for: requests go out as it takes them and replies are matched as they
 * come (vhost/frontend/pipeline.h), each within its time. A back-end that goes away, hangs or says
 * what makes no sense loses its connection; the guest's view stays, kicks gather in their eventfds,
 * and the connection is made anew with growing pauses for as long as it takes. Then memory, rings
 * and the in-flight region are given to the new one, and I/O goes on. One that offers less than the
 * driver was told, or another shape, is refused, with the reason.
 *
 * What a lost connection does not do is take guest memory away from a process that still lives: one
 * that hung may wake up and write to what it had taken, until it ends. A driver's reset that had to go
 * on without the back-end's word says so in the log.
 */
#ifndef RINGSIDE_VMM_VHOST_USER_H
#define RINGSIDE_VMM_VHOST_USER_H

#include <jansson.h>
#include <stddef.h>

#include "vhost/frontend/memory.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/loop.h"
#include "vmm/options.h"
#include "vmm/virtio.h"

struct vhost_user;

/* The life of a connection; state changes go through one setter, which logs them. */
enum vhost_user_state {
	VHOST_USER_CONNECTING, /* first time: the guest does not run yet */
	VHOST_USER_NEGOTIATING,
	VHOST_USER_READY, /* connected; no rings, the driver is not there */
	VHOST_USER_STARTING, /* memory and rings are being handed over */
	VHOST_USER_RUNNING,
	VHOST_USER_STOPPING, /* device reset: rings are being taken back */
	VHOST_USER_LOST, /* no connection; the next try is due */
	VHOST_USER_REFUSED, /* as LOST: what came back was not fit; the reason is kept */
	VHOST_USER_NUM_STATES
};

/*
 * vhost_user_create - a device for @opt, named @name (copied). @mem: the guest's RAM; @broker: NULL
 * or what connects for us in the sandbox. Return: 0 or -errno.
 */
int vhost_user_create(struct vhost_user **out, const char *name, const struct backend_options *opt,
		      const struct fe_memory *mem, struct loop *loop, unsigned num_vcpus);

/* vhost_user_use_broker - connect through @broker from now on. Before broker_seal(). Return: 0/-errno. */
int vhost_user_use_broker(struct vhost_user *vu, struct broker *broker);

/* vhost_user_connect - begin; @done is called once, with 0 when the device can be shown to a guest
 * (features, queues and config of its virtio_device are final), or with -errno when opt->wait_s
 * passed or the back-end is not fit: vhost_user_reason() then has the line for the operator. */
void vhost_user_connect(struct vhost_user *vu, void (*done)(void *ctx, int error), void *ctx);
const char *vhost_user_reason(const struct vhost_user *vu);

struct virtio_device *vhost_user_virtio(struct vhost_user *vu);

/* vhost_user_idle - is no ring in a back-end's hands? (what a reset waits for) */
bool vhost_user_idle(const struct vhost_user *vu);

/* vhost_user_report - for device.list: name, device, socket, state, reason, features, queues,
 * connections. Return: a new JSON object, or NULL (no memory). */
json_t *vhost_user_report(const struct vhost_user *vu);

/* vhost_user_destroy - hang up. */
void vhost_user_destroy(struct vhost_user *vu);

#endif
