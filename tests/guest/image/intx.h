/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intx.h - the one INTx that a test uses. Test guest.
 */
#ifndef RINGSIDE_GUEST_INTX_H
#define RINGSIDE_GUEST_INTX_H

#include <stdbool.h>
#include <stdint.h>

/* intx_claim - the virtio device in @slot, whose ISR status is at @isr, is to interrupt by INTx. It
 * may come in at any pin of the IOAPIC: which one only a reader of the DSDT knows. */
void intx_claim(unsigned slot, uint64_t isr);

/* intx_release - mask the pins again. */
void intx_release(void);

/* intx_count - interrupts with the ISR's queue bit; intx_config_count - with its other bit. */
unsigned intx_count(void);
unsigned intx_config_count(void);

/* intx_pin - where the last one came in, or -1. */
int intx_pin(void);

#endif
