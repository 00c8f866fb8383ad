/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a PCI root with one bus: configuration space by ports (CF8/CFC) and by ECAM, BARs, INTx.
 * VMM; every call with the board lock held. PCI Local Bus 3.0, PCI Express 3.0 section 7.2.2.
 */
#ifndef RINGSIDE_VMM_PCI_H
#define RINGSIDE_VMM_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/hv.h"

#define PCI_NUM_SLOTS     32
#define PCI_NUM_BARS      6
#define PCI_CONFIG_BYTES  256
#define PCI_ECAM_FUNCTION 4096 /* bytes of ECAM for one function; beyond PCI_CONFIG_BYTES zero */

struct pci_device;

struct pci_bar {
	struct bus_range
		range; /* active while the guest has it enabled, at an address that is free */
	const struct bus_handler *handler;
	void *ctx; /* what @handler is called with */
	uint64_t size; /* a power of two, at least 16 (ports: 4); 0: no such BAR */
	uint64_t reset_base; /* where firmware would have put it */
	bool is_io;
};

struct pci_ops {
	/* A BAR has been mapped at range.base or is about to be unmapped. NULL: nobody asks. */
	void (*bar_mapped)(struct pci_device *dev, unsigned bar);
	void (*bar_unmapping)(struct pci_device *dev, unsigned bar);
	/* The device's own registers in configuration space (capabilities). @offset..+@bytes lies
	 * within one aligned dword. config_written comes after dev->config has taken what is writable;
	 * config_reading before it is read. NULL: nobody asks. */
	void (*config_reading)(struct pci_device *dev, unsigned offset, unsigned bytes);
	void (*config_written)(struct pci_device *dev, unsigned offset, unsigned bytes);
};

struct pci_device {
	const struct pci_ops *ops;
	struct pci_root *root;
	unsigned slot;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits the guest may change */
	uint8_t reset_config[PCI_CONFIG_BYTES]; /* what pci_reset() goes back to */
	struct pci_bar bars[PCI_NUM_BARS];
	unsigned next_cap; /* where the next capability will lie */
	bool intx; /* what the device wants of its line */
	bool intx_asserted; /* as it drives the line: intx, unless INTx is disabled in COMMAND */
};

struct pci_root {
	struct bus *bus;
	struct hv *hv;
	struct bus_range ports; /* CF8..CFF */
	struct bus_range ecam;
	uint32_t address; /* CF8 */
	const struct bus_handler *reset_port; /* NULL: nobody */
	void *reset_port_ctx;
	struct pci_device *slots[PCI_NUM_SLOTS];
	struct pci_device host_bridge; /* slot 0 */
	uint64_t next_mmio; /* for pci_add_bar() */
	uint64_t next_io;
};

/* pci_root_init - an empty bus but for the host bridge, reachable by ports and ECAM.
 * Return: 0 or an error of bus_add(). */
int pci_root_init(struct pci_root *root, struct bus *bus, struct hv *hv);

/*
 * pci_root_set_reset_port - byte accesses of port CF9 (PORT_RESET) are @handler's, with offset 0.
 * They come by way of the root, which has all of CF8..CFF, since a doubleword write at CF8 is the
 * root's address register, and only that; so nobody else claims CF9 on the bus. What else is
 * accessed in CF8..CFB reads as all ones.
 */
void pci_root_set_reset_port(struct pci_root *root, const struct bus_handler *handler, void *ctx);

/*
 * A device is made in this order, before the guest runs: pci_device_init, pci_add_bar and
 * pci_add_capability as it needs, pci_attach.
 */
struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
};
void pci_device_init(struct pci_device *dev, const struct pci_ids *ids, const struct pci_ops *ops);

/* pci_add_bar - BAR @bar of @size bytes (rounded up to a power of two), 32-bit memory or ports.
 * @handler is called with @ctx. */
void pci_add_bar(struct pci_device *dev, unsigned bar, uint64_t size, bool is_io,
		 const struct bus_handler *handler, void *ctx);

/* pci_add_capability - @bytes of @body behind a capability header (@id, next), linked into the list.
 * @body[0] is the byte behind the header. @writable: as many bytes, the bits a guest may change;
 * NULL: none. Return: its offset in configuration space. */
unsigned pci_add_capability(struct pci_device *dev, uint8_t id, const void *body,
			    const void *writable, unsigned bytes);

/* pci_attach - put it into the next free slot, choose where its BARs start out, wire its INTA.
 * Return: 0 or -ENOSPC. */
int pci_attach(struct pci_root *root, struct pci_device *dev);

/* pci_detach - out of its slot: nothing decoded, its line released. Harmless when not attached. */
void pci_detach(struct pci_device *dev);

/* pci_reset - power-on values: configuration as attached, nothing decoded, CF8 zero. The devices'
 * own registers are reset by their own functions, before this. */
void pci_reset(struct pci_root *root);

/* pci_set_intx - what the device wants of its line now; lines are shared. */
void pci_set_intx(struct pci_device *dev, bool level);

/* pci_slot_line - the interrupt line INT@pin (0: A) of slot @slot is wired to; the DSDT's _PRT says
 * the same. */
unsigned pci_slot_line(unsigned slot, unsigned pin);

/* pci_bus_master - may the device write memory and send MSIs? */
bool pci_bus_master(const struct pci_device *dev);

#endif
