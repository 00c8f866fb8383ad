/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intx.c - the one INTx that a test uses. Test guest. Virtio 1.3, section 4.1.4.5.
 */
#include "tests/guest/image/intx.h"

#include <linux/virtio_pci.h>

#include "tests/guest/image/cpu.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"

#define ISR_QUEUE 1
#define RTC_PIN   8

static volatile unsigned queue_count, config_count;
static volatile int last_pin = -1;
static uint64_t isr_address;

/* Reading the ISR status is what takes the line down. */
static void on_interrupt(uint8_t vector)
{
	uint8_t isr = read8(isr_address);

	if (isr & ISR_QUEUE)
		queue_count++;
	if (isr & VIRTIO_PCI_ISR_CONFIG)
		config_count++;
	if (isr)
		last_pin = vector - VECTOR_PINS;
}

/* ISA devices have the other pins. */
static bool may_be_intx(unsigned pin)
{
	return (pin >= 5 && pin <= 11 && pin != RTC_PIN) || pin >= 16;
}

void intx_claim(unsigned slot, uint64_t isr)
{
	isr_address = isr;
	pci_write16(slot, PCI_COMMAND,
		    pci_read16(slot, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_INTX_DISABLE);
	for (unsigned pin = 0; pin < ioapic_pins(); pin++) {
		if (!may_be_intx(pin))
			continue;
		interrupt_handle((uint8_t)(VECTOR_PINS + pin), on_interrupt);
		ioapic_enable(pin, (uint8_t)(VECTOR_PINS + pin), true, false);
	}
}

void intx_release(void)
{
	for (unsigned pin = 0; pin < ioapic_pins(); pin++)
		if (may_be_intx(pin))
			ioapic_mask(pin);
}

unsigned intx_count(void)
{
	return queue_count;
}

unsigned intx_config_count(void)
{
	return config_count;
}

int intx_pin(void)
{
	return last_pin;
}
