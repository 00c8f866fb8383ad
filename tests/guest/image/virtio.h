/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - a driver's side of virtio-pci: registers, queues split and packed, MSI-X. Test guest.
 * Virtio 1.3, sections 2.7, 2.8, 3.1, 4.1. Guest memory is mapped address for address.
 */
#ifndef RINGSIDE_GUEST_VIRTIO_H
#define RINGSIDE_GUEST_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_QUEUES  4
#define MAX_RINGS   8
#define MAX_ENTRIES 64
#define MAX_BUFFERS 8
#define NO_VECTOR   0xffff
#define NO_TOKEN    0xffff

#define FEATURE(bit) (1ull << (bit))

#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

struct queue {
	uint16_t index, size;
	unsigned ring; /* in whose memory it lies */
	bool packed, indirect;
	uint64_t notify; /* address of its doorbell */
	uint64_t desc, driver, device; /* of its three parts */
	uint16_t avail_idx, used_idx; /* free running; packed: the next entry */
	bool avail_wrap, used_wrap;
	uint16_t free; /* entries */
	uint16_t free_head; /* split: chained through next[] */
	uint16_t next[MAX_ENTRIES];
	uint16_t entries[MAX_ENTRIES]; /* that the chain of this id took */
	uint16_t tokens[MAX_ENTRIES]; /* the caller's, by id */
};

struct virtio {
	unsigned slot;
	uint64_t common, isr, config, notify; /* addresses */
	uint32_t notify_multiplier;
	unsigned msix; /* offset of the capability, or 0 */
	uint64_t msix_table, msix_pba;
	unsigned num_vectors;
	uint64_t features; /* agreed */
	unsigned first_ring; /* its queues have MAX_QUEUES of MAX_RINGS; 0: as most devices */
	struct queue queues[MAX_QUEUES];
};

struct buffer {
	uint64_t addr;
	uint32_t bytes;
	bool writable; /* by the device; those come last */
};

/* virtio_open - find its structures in the BARs of @slot, enable it. Return: are they all there? */
bool virtio_open(struct virtio *v, unsigned slot);

/* --- registers --- */

uint8_t virtio_status(const struct virtio *v);
void virtio_set_status(const struct virtio *v, uint8_t status);
uint64_t virtio_offered(const struct virtio *v);
void virtio_accept(struct virtio *v, uint64_t features);
uint16_t virtio_num_queues(const struct virtio *v);
uint8_t virtio_generation(const struct virtio *v);

/* virtio_reset - write 0 to the status and wait until it reads so. Return: false after a second. */
bool virtio_reset(struct virtio *v);

/* virtio_negotiate - reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK.
 * Return: did FEATURES_OK stay? */
bool virtio_negotiate(struct virtio *v, uint64_t features);

/* virtio_queue_register - 16 bits of queue @index at @offset (VIRTIO_PCI_COMMON_Q_*). */
uint16_t virtio_queue_register(const struct virtio *v, unsigned index, unsigned offset);
void virtio_set_queue_register(const struct virtio *v, unsigned index, unsigned offset,
			       uint16_t value);

/* virtio_set_queue_addresses - of queue @index, wherever they lie. */
void virtio_set_queue_addresses(const struct virtio *v, unsigned index, uint64_t desc,
				uint64_t driver, uint64_t device);

/* virtio_queue_start - set up queue @index with @size entries (0: as many as there may be), with
 * MSI-X vector @vector, and enable it. Return: did the device take vector and enable? */
bool virtio_queue_start(struct virtio *v, unsigned index, uint16_t size, uint16_t vector);

void virtio_driver_ok(const struct virtio *v);

/* --- MSI-X --- */

/* virtio_msix_enable - all vectors unmasked, vector N raises VECTOR_MSI + N; or off. */
void virtio_msix_enable(const struct virtio *v);
void virtio_msix_disable(const struct virtio *v);

void virtio_msix_mask(const struct virtio *v, unsigned vector, bool masked);
void virtio_msix_mask_function(const struct virtio *v, bool masked);
bool virtio_msix_pending(const struct virtio *v, unsigned vector);

/* --- ring (ring.c) --- */

/* queue_init - an empty ring of @size entries for queue @index, in the memory of ring @ring. */
void queue_init(struct queue *q, unsigned index, unsigned ring, uint16_t size, bool packed,
		bool indirect);

/* queue_add - offer a chain; @token comes back with it. Return: false when there is no room. */
bool queue_add(struct queue *q, const struct buffer *buffers, unsigned n, uint16_t token);

/* queue_kick - tell the device that there is something. */
void queue_kick(const struct queue *q);

/* queue_take - a chain that the device has used. Return: its token, or NO_TOKEN. */
uint16_t queue_take(struct queue *q, uint32_t *bytes);

#endif
