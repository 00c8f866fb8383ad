/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial.h - a 16550A. VMM; every call with the board lock held. National PC16550D data sheet.
 */
#ifndef RINGSIDE_VMM_SERIAL_H
#define RINGSIDE_VMM_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/hv.h"

#define SERIAL_PORTS      8
#define SERIAL_FIFO_BYTES 16

struct serial {
	struct bus_range range;
	struct hv *hv;
	unsigned irq;
	/* A byte the guest sends. Return: false when it cannot be taken now: it then waits here, and the
	 * guest sees no room (THRE clear), until serial_tx_ready(). */
	bool (*tx)(void *ctx, uint8_t byte);
	void *ctx;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t line_errors; /* LSR bits that reading it clears */
	uint8_t modem_changes; /* MSR bits that reading it clears */
	bool thre_pending; /* the interrupt that says there is room */
	bool irq_level;
	uint8_t rx[SERIAL_FIFO_BYTES];
	unsigned rx_begin, rx_count;
	uint8_t tx_fifo[SERIAL_FIFO_BYTES]; /* what tx() did not take */
	unsigned tx_begin, tx_count;
};

/* serial_init - claim the eight ports at @port. Return: 0 or an error of bus_add(). */
int serial_init(struct serial *serial, struct bus *bus, struct hv *hv, uint16_t port, unsigned irq,
		bool (*tx)(void *ctx, uint8_t byte), void *ctx);

/* serial_reset - registers as at power-on. What the guest sent before still goes out. */
void serial_reset(struct serial *serial);

/* serial_rx - bytes from outside. Return: how many it had room for. */
size_t serial_rx(struct serial *serial, const uint8_t *data, size_t bytes);
size_t serial_rx_room(const struct serial *serial);

/* serial_tx_ready - tx() can take bytes again. */
void serial_tx_ready(struct serial *serial);

#endif
