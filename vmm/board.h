/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board.h - the PC around the CPUs: bus, PCI root, serial port, and the small devices that stock
 * kernels ask for (ACPI power management, i8042 reset, RTC and CMOS, port 92, POST codes).
 * VMM; every call with the board lock held. Knows nothing of KVM (hv.h), so that a fuzzer drives it.
 */
#ifndef RINGSIDE_VMM_BOARD_H
#define RINGSIDE_VMM_BOARD_H

#include "vmm/bus.h"
#include "vmm/hv.h"
#include "vmm/msix.h"
#include "vmm/pci.h"
#include "vmm/serial.h"

/* What the guest asks of the machine as a whole. Return immediately: the VM acts on it later. */
struct board_events {
	void (*reset)(void *ctx, const char *how); /* "ACPI", "i8042", "port 92", "port cf9" */
	void (*poweroff)(void *ctx);
	void *ctx;
};

struct board_pm { /* ACPI fixed hardware, ACPI 6.3 section 4.8 */
	struct bus_range range;
	uint16_t status; /* PM1_STS */
	uint16_t enable; /* PM1_EN */
	uint16_t control; /* PM1_CNT */
	bool sci;
};

struct board_rtc { /* MC146818 and CMOS */
	struct bus_range range;
	uint64_t ram_bytes;
	uint8_t index;
	uint8_t cmos[128];
	int64_t offset_s; /* the guest's clock, ahead of the host's */
};

struct board_small { /* the keyboard controller's reset, port 92, port CF9 */
	struct bus_range kbd, port92;
	uint8_t reset_control; /* port CF9, by way of pci_root_set_reset_port() */
};

struct board {
	struct bus bus;
	struct hv *hv;
	struct pci_root pci;
	struct msix_gsis gsis;
	struct serial serial;
	struct board_pm pm;
	struct board_rtc rtc;
	struct board_small small;
	struct board_events events;
};

struct board_options {
	uint64_t ram_bytes; /* for the CMOS */
	bool (*serial_tx)(void *ctx, uint8_t byte);
	void *serial_ctx;
	struct board_events events;
};

/* board_init - everything but PCI devices. Return: 0 or -errno. */
int board_init(struct board *board, struct hv *hv, const struct board_options *opt);

/* board_reset - all registers of everything board_init() made, and pci_reset(). */
void board_reset(struct board *board);

/* board_power_button - press it: PWRBTN_STS and SCI. Return: false when the guest has not enabled the
 * button (no ACPI in it, or not yet). */
bool board_power_button(struct board *board);

#endif
