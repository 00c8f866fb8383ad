/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - the line between the transport (virtio_pci.c: registers) and a device (vhost_user.c: a
 * back-end behind a socket; in tests a stand-in).
 * VMM; every call in either direction with the board lock held. Virtio 1.3, section 2.
 *
 * A driver sets queues up, says DRIVER_OK, and from there on kicks and interrupts pass between guest
 * and back-end without coming by here. No call waits: a vCPU must not stand still because a back-end
 * does. What takes time (device reset, queue reset) is begun here and reported done later; until
 * then the driver reads the old value, as 2.1.2 and 2.6.1 have it.
 */
#ifndef RINGSIDE_VMM_VIRTIO_H
#define RINGSIDE_VMM_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_MAX_QUEUES   128
#define VIRTIO_CONFIG_BYTES 256

/* A queue as the driver has set it up. Addresses are checked by nobody yet. */
struct virtio_queue {
	uint16_t max_size;
	uint16_t size;
	uint16_t vector; /* MSIX_NO_VECTOR: none */
	bool enabled;
	bool resetting; /* queue_reset has been asked for and is not done */
	uint64_t desc_gpa;
	uint64_t driver_gpa; /* avail ring, or driver event area */
	uint64_t device_gpa; /* used ring, or device event area */
	int kick_fd; /* eventfd: the guest has notified. Made at start, kept for good */
	int call_fd; /* eventfd: the device interrupts */
	uint64_t kicks; /* that came by way of an exit: all of them while kicks are counted */
};

struct virtio_device;

struct virtio_ops {
	/* DRIVER_OK: dev->driver_features and the enabled queues are final. */
	void (*start)(struct virtio_device *dev);
	/* Stop everything and forget it; virtio_reset_done() when no ring is touched any more (from
	 * within this call where that is so at once). May come at any time after features are known. */
	void (*reset)(struct virtio_device *dev);
	/* After DRIVER_OK: stop one queue (VIRTIO_F_RING_RESET), then virtio_queue_reset_done(); serve
	 * one that was set up (again). */
	void (*queue_reset)(struct virtio_device *dev, unsigned index);
	void (*queue_enable)(struct virtio_device *dev, unsigned index);
	/* The driver wrote [@offset, @offset + @bytes) of the configuration space; in dev->config it is
	 * not changed yet: the device does that, if the field may be written. */
	void (*config_written)(struct virtio_device *dev, unsigned offset, unsigned bytes,
			       const uint8_t *data);
};

/* What the transport does for the device, which calls it by virtio_reset_done() and so on. */
struct virtio_transport_ops {
	void (*reset_done)(struct virtio_device *dev);
	void (*queue_reset_done)(struct virtio_device *dev, unsigned index);
	void (*config_changed)(struct virtio_device *dev); /* generation and interrupt */
	void (*needs_reset)(struct virtio_device *dev); /* DEVICE_NEEDS_RESET, 2.1.2 */
};

struct virtio_device {
	const char *name; /* "blk0": for log lines and device.list */
	uint16_t device_id; /* virtio 5: 1 net, 2 block, 5 balloon */
	const struct virtio_ops *ops;
	const struct virtio_transport_ops *transport; /* NULL: no bus has it yet, or any more */

	uint64_t features; /* offered to the driver; final before the guest starts */
	uint64_t driver_features; /* accepted, checked against features at FEATURES_OK */
	uint8_t status; /* as the driver reads it */
	unsigned num_queues;
	struct virtio_queue queues[VIRTIO_MAX_QUEUES];
	uint8_t config
		[VIRTIO_CONFIG_BYTES]; /* what the driver reads; the device keeps it up to date */
	unsigned config_bytes; /* reads beyond are zero */
	uint64_t config_interrupts;
};

static inline bool virtio_has(const struct virtio_device *dev, unsigned feature)
{
	return dev->driver_features >> feature & 1;
}

/* A back-end is there before its device is on a bus, and may be there after: nobody is to be told. */

static inline void virtio_reset_done(struct virtio_device *dev)
{
	if (dev->transport)
		dev->transport->reset_done(dev);
}

static inline void virtio_queue_reset_done(struct virtio_device *dev, unsigned index)
{
	if (dev->transport)
		dev->transport->queue_reset_done(dev, index);
}

static inline void virtio_config_changed(struct virtio_device *dev)
{
	if (dev->transport)
		dev->transport->config_changed(dev);
}

static inline void virtio_needs_reset(struct virtio_device *dev)
{
	if (dev->transport)
		dev->transport->needs_reset(dev);
}

#endif
