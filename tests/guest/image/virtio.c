/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c - the registers of virtio-pci. Test guest. Virtio 1.3, section 4.1.
 */
#include "tests/guest/image/virtio.h"

#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"

#define RESET_MS 1000

static uint64_t structure(unsigned slot, unsigned cap)
{
	unsigned bar = pci_read8(slot, cap + VIRTIO_PCI_CAP_BAR);

	if (bar > 5)
		return 0;
	return pci_bar_get(slot, bar).base + pci_read32(slot, cap + VIRTIO_PCI_CAP_OFFSET);
}

static void find_msix(struct virtio *v)
{
	uint32_t table, pba;

	v->msix = pci_capability(v->slot, PCI_CAP_ID_MSIX, 0);
	if (!v->msix)
		return;
	v->num_vectors =
		(pci_read16(v->slot, v->msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1u;
	table = pci_read32(v->slot, v->msix + PCI_MSIX_TABLE);
	pba = pci_read32(v->slot, v->msix + PCI_MSIX_PBA);
	v->msix_table = pci_bar_get(v->slot, table & 7).base + (table & ~7u);
	v->msix_pba = pci_bar_get(v->slot, pba & 7).base + (pba & ~7u);
}

bool virtio_open(struct virtio *v, unsigned slot)
{
	unsigned cap = 0;

	v->slot = slot;
	v->common = v->isr = v->config = v->notify = 0;
	while ((cap = pci_capability(slot, PCI_CAP_ID_VNDR, cap)) != 0) {
		switch (pci_read8(slot, cap + VIRTIO_PCI_CAP_CFG_TYPE)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			v->common = structure(slot, cap);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			v->notify = structure(slot, cap);
			v->notify_multiplier = pci_read32(slot, cap + VIRTIO_PCI_NOTIFY_CAP_MULT);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			v->isr = structure(slot, cap);
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			v->config = structure(slot, cap);
			break;
		}
	}
	find_msix(v);
	pci_enable(slot);
	return v->common && v->isr && v->config && v->notify;
}

/* --- registers --- */

uint8_t virtio_status(const struct virtio *v)
{
	return read8(v->common + VIRTIO_PCI_COMMON_STATUS);
}

void virtio_set_status(const struct virtio *v, uint8_t status)
{
	write8(v->common + VIRTIO_PCI_COMMON_STATUS, status);
}

uint64_t virtio_offered(const struct virtio *v)
{
	uint64_t features;

	write32(v->common + VIRTIO_PCI_COMMON_DFSELECT, 0);
	features = read32(v->common + VIRTIO_PCI_COMMON_DF);
	write32(v->common + VIRTIO_PCI_COMMON_DFSELECT, 1);
	return features | (uint64_t)read32(v->common + VIRTIO_PCI_COMMON_DF) << 32;
}

void virtio_accept(struct virtio *v, uint64_t features)
{
	v->features = features;
	write32(v->common + VIRTIO_PCI_COMMON_GFSELECT, 0);
	write32(v->common + VIRTIO_PCI_COMMON_GF, (uint32_t)features);
	write32(v->common + VIRTIO_PCI_COMMON_GFSELECT, 1);
	write32(v->common + VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32));
}

uint16_t virtio_num_queues(const struct virtio *v)
{
	return read16(v->common + VIRTIO_PCI_COMMON_NUMQ);
}

uint8_t virtio_generation(const struct virtio *v)
{
	return read8(v->common + VIRTIO_PCI_COMMON_CFGGENERATION);
}

bool virtio_reset(struct virtio *v)
{
	uint64_t deadline = clock_after_ms(RESET_MS);

	virtio_set_status(v, 0);
	while (virtio_status(v) != 0)
		if (clock_is_past(deadline))
			return false;
	return true;
}

bool virtio_negotiate(struct virtio *v, uint64_t features)
{
	if (!virtio_reset(v))
		return false;
	virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept(v, features);
	virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				     VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_status(v) & VIRTIO_CONFIG_S_FEATURES_OK;
}

uint16_t virtio_queue_register(const struct virtio *v, unsigned index, unsigned offset)
{
	write16(v->common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)index);
	return read16(v->common + offset);
}

void virtio_set_queue_register(const struct virtio *v, unsigned index, unsigned offset,
			       uint16_t value)
{
	write16(v->common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)index);
	write16(v->common + offset, value);
}

static void set_address(const struct virtio *v, unsigned low, uint64_t addr)
{
	write32(v->common + low, (uint32_t)addr);
	write32(v->common + low + 4, (uint32_t)(addr >> 32));
}

void virtio_set_queue_addresses(const struct virtio *v, unsigned index, uint64_t desc,
				uint64_t driver, uint64_t device)
{
	write16(v->common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)index);
	set_address(v, VIRTIO_PCI_COMMON_Q_DESCLO, desc);
	set_address(v, VIRTIO_PCI_COMMON_Q_AVAILLO, driver);
	set_address(v, VIRTIO_PCI_COMMON_Q_USEDLO, device);
}

bool virtio_queue_start(struct virtio *v, unsigned index, uint16_t size, uint16_t vector)
{
	struct queue *q = &v->queues[index];
	uint16_t most = virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_SIZE);
	uint16_t taken;

	if (!size || size > most)
		size = most < MAX_ENTRIES ? most : MAX_ENTRIES;
	queue_init(q, index, v->first_ring + index, size,
		   v->features & FEATURE(VIRTIO_F_RING_PACKED),
		   v->features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	q->notify = v->notify + (uint64_t)v->notify_multiplier *
					virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_NOFF);
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_SIZE, size);
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_MSIX, vector);
	taken = virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_MSIX);
	virtio_set_queue_addresses(v, index, q->desc, q->driver, q->device);
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	return taken == vector && virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_ENABLE) == 1;
}

void virtio_driver_ok(const struct virtio *v)
{
	virtio_set_status(v, virtio_status(v) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* --- MSI-X --- */

static void set_msix_flags(const struct virtio *v, uint16_t set, uint16_t clear)
{
	uint16_t flags = pci_read16(v->slot, v->msix + PCI_MSIX_FLAGS);

	pci_write16(v->slot, v->msix + PCI_MSIX_FLAGS, (uint16_t)((flags & ~clear) | set));
}

void virtio_msix_enable(const struct virtio *v)
{
	set_msix_flags(v, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
	for (unsigned i = 0; i < v->num_vectors; i++) {
		uint64_t entry = v->msix_table + i * PCI_MSIX_ENTRY_SIZE;

		write32(entry + PCI_MSIX_ENTRY_LOWER_ADDR, MSI_ADDRESS | (uint32_t)lapic_id()
										 << 12);
		write32(entry + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
		write32(entry + PCI_MSIX_ENTRY_DATA, VECTOR_MSI + i);
		write32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	}
	set_msix_flags(v, 0, PCI_MSIX_FLAGS_MASKALL);
}

void virtio_msix_disable(const struct virtio *v)
{
	set_msix_flags(v, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

void virtio_msix_mask(const struct virtio *v, unsigned vector, bool masked)
{
	uint64_t entry = v->msix_table + vector * PCI_MSIX_ENTRY_SIZE;

	write32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, masked);
}

void virtio_msix_mask_function(const struct virtio *v, bool masked)
{
	set_msix_flags(v, masked ? PCI_MSIX_FLAGS_MASKALL : 0, masked ? 0 : PCI_MSIX_FLAGS_MASKALL);
}

bool virtio_msix_pending(const struct virtio *v, unsigned vector)
{
	return read64(v->msix_pba + vector / 64 * 8) >> (vector % 64) & 1;
}
