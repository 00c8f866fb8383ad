/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_part.h - what the files of a vhost-user device share: vhost_user.c (what the driver
 * wants, and the state), _connect.c, _negotiate.c, _start.c (rings), _inflight.c, _config.c, _report.c, and a file
 * for each kind of device.
 * VMM; board lock held. All but virtio_ops on the main thread.
 *
 * How it works: whatever happens (the driver, a reply, a lost connection) changes what is wanted or
 * what is, and vhost_user_act() then does what leads from one to the other. Requests are handled in
 * order, so a ring counts as started once that is queued; only the end of a ring is waited for.
 */
#ifndef RINGSIDE_VMM_VHOST_USER_PART_H
#define RINGSIDE_VMM_VHOST_USER_PART_H

#include "vhost/base/log.h"
#include "vhost/frontend/pipeline.h"
#include "vmm/vhost_user.h"

#define VHOST_USER_QUEUE_SIZE 256 /* where the operator names none */

enum vhost_user_ring_state { RING_OFF, RING_ON, RING_STOPPING };

struct vhost_user_ring {
	struct vhost_user *vu;
	unsigned index;
	enum vhost_user_ring_state state;
	bool enabled; /* as the back-end was told last */
	bool begun; /* since the driver set it up: a back-end has worked on it */
	bool noted; /* and noted in vu->inflight what it took */
	int err_fd; /* eventfd, or -1 */
	struct loop_watch err_watch;
};

/* What the back-end at the other end of this connection is. */
struct vhost_user_backend {
	uint64_t features;
	uint64_t protocol; /* negotiated */
	uint64_t queue_num; /* GET_QUEUE_NUM; 0: it does not say */
	bool has_config;
	uint8_t config[VIRTIO_CONFIG_BYTES];
};

/* A kind of device: all that differs between block, net, balloon and others. */
struct vhost_user_kind {
	const char *program; /* what could be started, for the operator: "%s --socket-path=..." */
	/* How much of the configuration space to ask for, by vu->backend.features; 0: nothing. */
	unsigned (*config_bytes)(const struct vhost_user *vu);
	/* First connection: decide on dev->num_queues and dev->features, of the device's own bits those
	 * in vu->own_features without the back-end. Return: 0, or -errno with vu->reason. */
	int (*shape)(struct vhost_user *vu);
	/* Later: is there less than dev->num_queues need? */
	bool (*has_queues)(const struct vhost_user *vu);
	/* Make what the back-end says (vu->backend) what the driver is to read, in place. */
	void (*merge_config)(const struct vhost_user *vu, uint8_t *config);
	/* May the driver write [offset, offset + bytes)? */
	bool (*may_write)(const struct vhost_user *vu, unsigned offset, unsigned bytes);

	/* The rest may be NULL. Is queue @index the back-end's (else the VMM's own)? is it enabled? */
	bool (*is_backend_ring)(const struct vhost_user *vu, unsigned index);
	bool (*is_enabled)(const struct vhost_user *vu, unsigned index);
	/* Whether the driver is there, and which queues it uses, may have changed; it is gone. */
	void (*sync)(struct vhost_user *vu);
	void (*driver_went)(struct vhost_user *vu);
	/* One of the VMM's own queues is to be touched no more. Any thread. */
	void (*own_queue_reset)(struct vhost_user *vu, unsigned index);
	void (*reconnected)(struct vhost_user *vu);
	void (*destroy)(struct vhost_user *vu);
	uint64_t takes_away; /* features that say what a device cannot do */
	bool config_needs_memory; /* what a back-end says follows from guest memory */
	bool in_order; /* back-ends use what they take in its order, negotiated or not */
};

struct vhost_user {
	char name[16];
	const struct backend_options *opt;
	const struct vhost_user_kind *kind;
	const struct fe_memory *mem;
	struct loop *loop;
	unsigned num_vcpus;
	struct virtio_device dev;
	struct log_limit limit;

	enum vhost_user_state state;
	char reason[384]; /* why there is no connection, or the device needs a reset */

	/* _connect.c */
	struct broker *broker;
	int peer; /* the broker's number for the socket */
	struct fe_pipeline pipe;
	struct loop_timer retry;
	unsigned backoff_ms;
	uint64_t first_try_ns, connected_ns;
	uint64_t connections;
	bool waiting_said;
	char said[384]; /* the reason told last */
	void (*done)(void *ctx, int error); /* NULL: the first connection is behind us */
	void *done_ctx;

	/* _negotiate.c */
	struct vhost_user_backend backend;
	unsigned config_bytes; /* asked for */
	uint64_t own_features; /* offered by the VMM, whatever the back-end does */
	bool shaped; /* the guest has been shown a device */

	/* What the driver wants. */
	struct mail mail;
	bool posted;
	bool driver_ok;
	bool resetting; /* transport->reset_done is owed */
	bool forget; /* it was reset: what is kept of it goes */
	bool came; /* since the last reset it has been there */
	bool broken; /* it has been told that it has to reset */

	/* _start.c */
	struct loop_timer limit_timer; /* for a step as a whole */
	bool told_memory;
	enum { PREPARED_NOT, PREPARED_ASKED, PREPARED } prepared;
	unsigned pending; /* requests of starting and stopping not answered */
	bool used; /* since RESET_DEVICE */
	int inflight_fd; /* -1: none */
	struct vu_inflight inflight;
	struct vhost_user_ring rings[VIRTIO_MAX_QUEUES];

	/* _config.c */
	bool config_stale; /* the back-end said so */
	bool config_asked;
	unsigned config_writes; /* not answered */
	bool config_dirty[VIRTIO_CONFIG_BYTES]; /* written by the driver, not sent */
	bool config_written[VIRTIO_CONFIG_BYTES]; /* since its last reset */
	uint8_t initial_config[VIRTIO_CONFIG_BYTES];

	void *kind_data;
};

extern const struct vhost_user_kind vhost_user_blk, vhost_user_net, vhost_user_balloon,
	vhost_user_other;

/* --- vhost_user.c --- */

const char *vhost_user_state_name(enum vhost_user_state state);

void vhost_user_set_state(struct vhost_user *vu, enum vhost_user_state state);

/* vhost_user_act - do what follows from what has changed. Main thread. */
void vhost_user_act(struct vhost_user *vu);

/* vhost_user_wake - have the main thread act. Any thread. */
void vhost_user_wake(struct vhost_user *vu);

/* vhost_user_step_is_over - starting, stopping or negotiating takes too long. */
void vhost_user_step_is_over(struct loop_timer *timer);

/* vhost_user_break - the device cannot go on with this driver: DEVICE_NEEDS_RESET, and rings stop. */
void vhost_user_break(struct vhost_user *vu, const char *fmt, ...) printf_like(2, 3);

/* vhost_user_connected - has the back-end been found fit? */
static inline bool vhost_user_connected(const struct vhost_user *vu)
{
	return vu->state >= VHOST_USER_READY && vu->state <= VHOST_USER_STOPPING;
}

/* --- vhost_user_connect.c --- */

extern const struct fe_pipeline_ops vhost_user_pipe_ops;

/* vhost_user_ready - the back-end is fit: what a first connection was waited for, or goes on. */
void vhost_user_ready(struct vhost_user *vu);

/* vhost_user_refuse - it is not fit; another may be. */
void vhost_user_refuse(struct vhost_user *vu, const char *fmt, ...) printf_like(2, 3);

/* --- vhost_user_negotiate.c --- */

void vhost_user_negotiate(struct vhost_user *vu);

/* vhost_user_missing - of @features, those that the back-end would have to offer and does not. */
uint64_t vhost_user_missing(const struct vhost_user *vu, uint64_t features);

/* vhost_user_offer - of the back-end's @features, those that a virtio-pci device of this VMM can
 * offer: all of the device's own, and of the transport's those that need nothing here. */
uint64_t vhost_user_offer(const struct vhost_user *vu, uint64_t features);

/* --- vhost_user_start.c --- */

/* vhost_user_prepare - features, memory and in-flight region, before the first ring. */
void vhost_user_prepare(struct vhost_user *vu);

/* vhost_user_request - of starting or stopping: counts as pending, and its refusal breaks the device. */
void vhost_user_request(struct vhost_user *vu, const struct vu_msg *msg);

/* vhost_user_sync_rings - start, enable and stop rings as the driver wants them. */
void vhost_user_sync_rings(struct vhost_user *vu);

/* vhost_user_rings_in - how many are in @state? */
unsigned vhost_user_rings_in(const struct vhost_user *vu, enum vhost_user_ring_state state);

/* vhost_user_reset_backend - RESET_DEVICE where there is such a thing, and after it the
 * configuration space anew. */
void vhost_user_reset_backend(struct vhost_user *vu);

/* vhost_user_forget_rings - the driver is gone, and no ring in a back-end's hands. */
void vhost_user_forget_rings(struct vhost_user *vu);

/* vhost_user_lose_rings - the connection is gone. */
void vhost_user_lose_rings(struct vhost_user *vu);

/* --- vhost_user_inflight.c --- */

/* vhost_user_prepare_inflight - ask for a region, or give the one there is to this back-end. */
void vhost_user_prepare_inflight(struct vhost_user *vu);

/* vhost_user_clear_inflight - of what is noted of @ring, which begins anew. */
void vhost_user_clear_inflight(struct vhost_user_ring *ring);
void vhost_user_forget_inflight(struct vhost_user *vu);

/* --- vhost_user_config.c --- */

/* vhost_user_config_told - was all sent that the driver wrote? Rings wait for it: what a page is filled
 * with when it is free, say. */
bool vhost_user_config_told(const struct vhost_user *vu);

/* vhost_user_sync_config - send what the driver has written, ask for what has changed. */
void vhost_user_sync_config(struct vhost_user *vu);

/* vhost_user_apply_config - vu->backend.config is new: show it to the driver. Return: did it change? */
bool vhost_user_apply_config(struct vhost_user *vu);

/* vhost_user_refresh_config - after RESET_DEVICE; counts as pending. */
void vhost_user_refresh_config(struct vhost_user *vu);

/* vhost_user_lose_config - the connection is gone: the next back-end is told what the driver wrote. */
void vhost_user_lose_config(struct vhost_user *vu);

/* vhost_user_forget_config - the driver is: what it wrote is undone. @tell: the back-end, too, which
 * was told of it and not reset. Any thread. */
void vhost_user_forget_config(struct vhost_user *vu, bool tell);

/* vhost_user_config_changed - tell the driver, if there is a transport yet: while one back-end is waited
 * for, another may already have news. */
static inline void vhost_user_config_changed(struct vhost_user *vu)
{
	if (vu->dev.transport)
		vu->dev.transport->config_changed(&vu->dev);
}

void vhost_user_config_written(struct virtio_device *dev, unsigned offset, unsigned bytes,
			       const uint8_t *data);

static inline struct vhost_user *vhost_user_of(struct virtio_device *dev)
{
	return container_of(dev, struct vhost_user, dev);
}

#endif
