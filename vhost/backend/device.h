/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - what a device has to say to become a vhost-user back-end.
 * Layer L4, the face towards L5. Everything here runs on the control thread unless it says other.
 *
 * A device fills in a struct vu_device and its table of operations, gives it an endpoint, and is
 * then called: to answer for its configuration space, and to take and give back queues. Sockets,
 * messages, feature negotiation, guest memory and ring set-up are the library's.
 *
 * TUTORIAL.md, in this folder, writes one from the start.
 *
 * A queue's life (contract 1):
 *
 *     queue_start(dev, vq)   the queue is the device's; it hands it to exactly one thread
 *     queue_stop(dev, vq)    give it back: take no more chains, finish those in flight
 *     vu_queue_stopped(vq)   called by the device, from any thread, when nothing of it will
 *                            touch the queue, its requests or guest memory again
 *
 * Between queue_start and vu_queue_stopped nobody else touches the queue, and its memory table,
 * ring addresses and features do not change. Every control change is stop, change, start.
 */
#ifndef RINGSIDE_BACKEND_DEVICE_H
#define RINGSIDE_BACKEND_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/mailbox.h"
#include "vhost/ring/virtqueue.h"
#include "vhost/wire/endpoint.h"
#include "vhost/wire/loop.h"

struct vu_device;
struct vu_session;

struct vu_device_ops {
	/*
	 * get_config - copy [offset, offset + size) of the configuration space (virtio section 2.5)
	 * into @data. The range lies within config_bytes.
	 */
	void (*get_config)(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data);

	/*
	 * set_config - the driver, or a migration, writes [offset, offset + size). All queues are
	 * stopped, unless config_at_once. Fields that are read-only may be written with the value
	 * they have.
	 * Return: 0, -EPERM (changes a read-only field), -EINVAL (value). May be NULL: read-only.
	 */
	int (*set_config)(struct vu_device *dev, uint32_t offset, uint32_t size,
			  const uint8_t *data);

	/*
	 * set_features - what was negotiated, a subset of dev->features. All queues are stopped.
	 * VU_F_LOG_ALL among them means that a migration is under way, and that the front-end logs
	 * what is written to guest memory; it alone changes under a driver at work, whose queues
	 * start again right after this.
	 */
	void (*set_features)(struct vu_device *dev, uint64_t features);

	/* memory_changed - vu_device_memory() has other regions now; all queues are stopped. At the
	 * end of a connection `disconnected` comes instead. May be NULL. */
	void (*memory_changed)(struct vu_device *dev);

	void (*queue_start)(struct vu_device *dev, struct virtqueue *vq);
	void (*queue_stop)(struct vu_device *dev, struct virtqueue *vq);

	/* disconnected - the front-end is gone; every queue is stopped; the next one starts from
	 * a device as after start-up. May be NULL. */
	void (*disconnected)(struct vu_device *dev);

	/* reset - the front-end asks for the device as after start-up; every queue is stopped. What
	 * was negotiated stays. May be NULL: there is nothing to reset. */
	void (*reset)(struct vu_device *dev);

	/*
	 * save_state, load_state - what the device knows beside rings and configuration, for a
	 * migration (DEVICE_STATE is offered where both are there). All queues are stopped.
	 * save_state writes up to @max bytes to @out. Return: bytes written, or -errno.
	 * load_state takes @size bytes from the front-end, of which nothing is known to be true,
	 * whole or not at all. Return: 0, -errno.
	 */
	ssize_t (*save_state)(struct vu_device *dev, uint8_t *out, size_t max);
	int (*load_state)(struct vu_device *dev, const uint8_t *data, size_t size);

	/* send_rarp - announce @mac in the guest's stead (RARP is offered where this is there).
	 * Queues may run. Return: 0, -errno. */
	int (*send_rarp)(struct vu_device *dev, const uint8_t mac[6]);

	/* set_mtu - the MTU the guest is told, 68 to 65535 (MTU is offered where this is there).
	 * Queues may run. Return: 0, -errno. */
	int (*set_mtu)(struct vu_device *dev, uint16_t mtu);
};

struct vu_device {
	/* Filled in by the device before vu_device_init; constant afterwards. */
	const char *name; /* in log lines: "blk0" */
	const struct vu_device_ops *ops;
	uint64_t features; /* offered: device bits and VIRTIO_F_*, VIRTIO_RING_F_*; the library
			      adds VU_F_PROTOCOL_FEATURES and VU_F_LOG_ALL */
	unsigned num_queues; /* rings served, 1..VU_MAX_RINGS */
	/* Of a network device, else 0: QEMU compares queue pairs with the answer to GET_QUEUE_NUM,
	 * others rings. Who takes the RARP feature is answered like QEMU. */
	unsigned pairs;
	unsigned max_ring_size; /* 0: the library's 1024 */
	uint16_t max_iov; /* most iovecs it pops a chain with; 0: VQ_MAX_INDIRECT */
	uint32_t config_bytes; /* size of the configuration space; 0: no CONFIG feature */
	bool uses_in_order; /* it pushes chains in the order it popped them (VIRTIO_F_IN_ORDER) */
	bool config_at_once; /* set_config comes while queues run, too: they are this thread's */

	/* The library's. */
	struct loop *loop;
	struct endpoint endpoint;
	struct vu_session *session; /* NULL while no front-end is connected */
	bool closing;
	void (*on_closed)(struct vu_device *dev);

	void *owner; /* of who opens and closes it: vhost/daemon */
};

/* vu_device_init - prepare @dev; its endpoint is then opened with endpoint_listen() or a
 * sibling on &dev->endpoint, and vu_device_start() begins to serve. */
void vu_device_init(struct vu_device *dev, struct loop *loop);

/* vu_device_start - serve front-ends, one at a time, for as long as the endpoint gives any. */
void vu_device_start(struct vu_device *dev);

/*
 * vu_device_close - end the session if there is one (queues are drained first), close the
 * endpoint, then call @on_closed. A device may be freed from there on.
 */
void vu_device_close(struct vu_device *dev, void (*on_closed)(struct vu_device *dev));

/* vu_queue_stopped - see above. Any thread. Exactly once for each queue_stop. */
void vu_queue_stopped(struct virtqueue *vq);

/*
 * vu_device_config_changed - tell the front-end that the configuration space differs now, if
 * it opened the back-end channel. Never waits: a channel that is full is told when it drains.
 */
void vu_device_config_changed(struct vu_device *dev);

/* vu_device_connected - is a front-end there? */
bool vu_device_connected(const struct vu_device *dev);

/* vu_device_memory - guest memory as the front-end has given it so far, or NULL without one. Valid
 * until the next memory_changed or disconnected; changed only while all queues are stopped. */
const struct mem_table *vu_device_memory(const struct vu_device *dev);

/*
 * vu_device_each_queue - call @fn for every started or running queue of the device, with the
 * name of its ring state ("running", "stopped", ...). For stats.
 */
void vu_device_each_queue(struct vu_device *dev,
			  void (*fn)(struct virtqueue *vq, const char *state, bool enabled,
				     void *arg),
			  void *arg);

#endif
