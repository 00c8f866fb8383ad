/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci_internal.h - what the files of the virtio-pci transport share: virtio_pci.c (PCI side),
 * virtio_pci_common.c (register file, status), virtio_pci_notify.c (kicks and interrupts).
 * VMM; every call with the board lock held. Not for other files.
 */
#ifndef RINGSIDE_VMM_VIRTIO_PCI_INTERNAL_H
#define RINGSIDE_VMM_VIRTIO_PCI_INTERNAL_H

#include "vhost/base/log.h"
#include "vmm/virtio_pci.h"

#define VPCI_BAR      0
#define VPCI_MSIX_BAR 1

/* Parts of VPCI_BAR, a page each: an ioeventfd's page holds nothing else. */
#define VPCI_PART_BYTES  0x1000
#define VPCI_COMMON      0
#define VPCI_ISR         1
#define VPCI_DEVICE      2
#define VPCI_NOTIFY      3
#define VPCI_NUM_PARTS   4
#define VPCI_NOTIFY_STEP 4 /* notify_off_multiplier; queue_notify_off is the queue's index */

#define VPCI_COMMON_BYTES 64

struct vpci_queue {
	struct virtio_pci *vpci;
	struct loop_watch watch; /* of call_fd, while INTx is used */
	bool has_ioeventfd;
	uint64_t ioeventfd_gpa;
	unsigned ioeventfd_bytes;
};

struct virtio_pci {
	struct pci_device pci;
	struct virtio_device *dev;
	struct virtio_transport_ops transport; /* dev->transport: how we are found from it */
	struct msix *msix;
	struct loop *loop;
	unsigned window_cap; /* VIRTIO_PCI_CAP_PCI_CFG */
	struct log_limit limit;

	/* virtio_pci_common.c */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t generation;
	bool unknown_features; /* the driver accepted some beyond bit 63 */
	bool resetting; /* ops->reset has been called and is not done */

	/* virtio_pci_notify.c */
	bool bar_mapped;
	bool count_kicks;
	uint8_t isr;
	bool config_pending; /* the interrupt waits for DRIVER_OK */
	int config_fd; /* eventfd: the configuration changed; nobody else has it */
	struct mail watch_mail;
	bool watch_posted;
	struct vpci_queue queues[VIRTIO_MAX_QUEUES];
};

static inline struct virtio_pci *vpci_of(const struct virtio_device *dev)
{
	return container_of(dev->transport, struct virtio_pci, transport);
}

/* --- virtio_pci_common.c --- */

uint64_t vpci_common_read(struct virtio_pci *vpci, uint64_t offset, unsigned bytes);
void vpci_common_write(struct virtio_pci *vpci, uint64_t offset, unsigned bytes, uint64_t value);

/* vpci_begin_reset - of the device; where one has been begun, that one goes on. */
void vpci_begin_reset(struct virtio_pci *vpci);

/* For dev->transport. */
void vpci_reset_done(struct virtio_device *dev);
void vpci_queue_reset_done(struct virtio_device *dev, unsigned index);

/* --- virtio_pci_notify.c --- */

/* vpci_init_notify - eventfds. Return: 0 or -errno; vpci_end_notify() in either case. */
int vpci_init_notify(struct virtio_pci *vpci);
void vpci_end_notify(struct virtio_pci *vpci);

/* vpci_update_ioeventfds - whether queues have one may have changed. */
void vpci_update_ioeventfds(struct virtio_pci *vpci);

/* vpci_update_interrupts - MSI-X or INTx, and for which queues? That may have changed. */
void vpci_update_interrupts(struct virtio_pci *vpci);

/* vpci_notify - the guest wrote at @offset of the notification part, by way of an exit. */
void vpci_notify(struct virtio_pci *vpci, uint64_t offset);

/* vpci_bind_queue, vpci_bind_config - to a vector, or none. Return: the vector, or MSIX_NO_VECTOR where
 * that is not to be had. */
uint16_t vpci_bind_queue(struct virtio_pci *vpci, unsigned index, uint16_t vector);
uint16_t vpci_bind_config(struct virtio_pci *vpci, uint16_t vector);

/* vpci_forget_signals - of queue @index, which nobody serves any more. */
void vpci_forget_signals(struct virtio_pci *vpci, unsigned index);

/* vpci_read_isr - reading clears it, and the line. 4.1.4.5 */
uint8_t vpci_read_isr(struct virtio_pci *vpci);
void vpci_clear_isr(struct virtio_pci *vpci);

/* vpci_config_interrupt - tell the driver to look at configuration and status. */
void vpci_config_interrupt(struct virtio_pci *vpci);

#endif
