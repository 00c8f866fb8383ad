/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msix.h - MSI-X of one device: the table and the pending bits in a BAR, and which eventfd raises
 * which vector. VMM; every call with the board lock held. PCI Local Bus 3.0, section 6.8.2.
 *
 * A source is an eventfd that somebody else signals (a back-end's call fd). While its vector may be
 * raised it is an irqfd, and the signal never comes by here. While it may not, the signal stays in
 * the eventfd's counter: that is the pending bit, and nothing has to watch for it.
 */
#ifndef RINGSIDE_VMM_MSIX_H
#define RINGSIDE_VMM_MSIX_H

#include "vmm/pci.h"

#define MSIX_MAX_VECTORS 256
#define MSIX_MAX_SOURCES 256
#define MSIX_NO_VECTOR   0xffff

struct msix;

/* GSIs for MSI routes, shared by all devices of a board. */
struct msix_gsis {
	struct hv *hv;
	uint64_t used[(HV_MAX_GSIS + 63) / 64];
};
void msix_gsis_init(struct msix_gsis *gsis, struct hv *hv);

/* msix_create - an MSI-X capability of @num_vectors vectors for @dev, table and pending bits in BAR
 * @bar, which it adds. Before pci_attach(). Return: 0 or -ENOMEM. */
int msix_create(struct msix **out, struct pci_device *dev, unsigned bar, unsigned num_vectors,
		struct msix_gsis *gsis);
void msix_destroy(struct msix *msix);

/* msix_reset - everything masked and disabled, every source without a vector. */
void msix_reset(struct msix *msix);

/* msix_enabled - has the guest switched MSI-X on? INTx is then not used. */
bool msix_enabled(const struct msix *msix);

/* msix_bind - signals on @fd, source number @source, raise @vector (MSIX_NO_VECTOR: nothing).
 * Replaces what the source was bound to. Return: 0, -EINVAL (no such vector; the source is then
 * without one), or an error of the hypervisor (the source is then without one). */
int msix_bind(struct msix *msix, unsigned source, unsigned vector, int fd);

/* msix_config_written - the capability was written; to be called from pci_ops.config_written. Does
 * nothing for writes elsewhere. Return: true when msix_enabled() changed. */
bool msix_config_written(struct msix *msix, unsigned offset, unsigned bytes);

unsigned msix_num_vectors(const struct msix *msix);

#endif
