/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci.h - the modern PCI transport of a virtio device.
 * VMM; every call with the board lock held. Virtio 1.3, section 4.1 (no legacy interface).
 */
#ifndef RINGSIDE_VMM_VIRTIO_PCI_H
#define RINGSIDE_VMM_VIRTIO_PCI_H

#include "vhost/wire/loop.h"
#include "vmm/msix.h"
#include "vmm/pci.h"
#include "vmm/virtio.h"

struct virtio_pci;

/*
 * virtio_pci_create - put @dev on the bus: IDs, capabilities, BARs, an MSI-X vector for each queue
 * and one for configuration changes, eventfds for all queues. features, num_queues, config and
 * queues[].max_size are filled in. @dev stays the caller's and outlives the transport. @loop: where
 * call fds are watched while the driver uses INTx.
 * Return: 0, -ENOSPC (no slot left), -ENOMEM, -errno of eventfd(2).
 */
int virtio_pci_create(struct virtio_pci **out, struct pci_root *root, struct msix_gsis *gsis,
		      struct loop *loop, struct virtio_device *dev);
void virtio_pci_destroy(struct virtio_pci *vpci);

/* virtio_pci_reset - the machine is reset: as a driver's reset, and all registers as at start. The
 * device's ops->reset is called; dev->status is 0 when it is done. */
void virtio_pci_reset(struct virtio_pci *vpci);

/* virtio_pci_count_kicks - have notifications leave the guest so that queues[].kicks counts them all,
 * or (as at start) not. */
void virtio_pci_count_kicks(struct virtio_pci *vpci, bool count);

#endif
