/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interrupt.c - the IDT, the local APIC and the IOAPIC. Test guest.
 */
#include "tests/guest/image/interrupt.h"

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/print.h"

#define CODE64         0x18
#define GATE_INTERRUPT 0x8e00 /* present, 64-bit interrupt gate */
#define STUB_BYTES     16
#define MSR_APIC_BASE  0x1b
#define APIC_GLOBAL    (1u << 11)
#define APIC_X2APIC    (1u << 10)

struct gate {
	uint16_t offset_low, selector, type, offset_middle;
	uint32_t offset_high, reserved;
};

extern const char interrupt_stubs[];
void interrupt_dispatch(struct interrupt_frame *frame);

volatile unsigned interrupt_counts[256];
static void (*handlers[256])(uint8_t vector);
static struct gate idt[256];

void interrupt_dispatch(struct interrupt_frame *frame)
{
	uint8_t vector = (uint8_t)frame->vector;

	__atomic_fetch_add(&interrupt_counts[vector], 1, __ATOMIC_RELAXED);
	if (vector < 32 && !handlers[vector]) {
		uint64_t cr2;

		__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
		check(false, "exception %u, error 0x%lx at 0x%lx, cr2 0x%lx", vector, frame->error,
		      frame->rip, cr2);
		guest_end();
	}
	if (handlers[vector])
		handlers[vector](vector);
	if (vector >= 32 && vector != VECTOR_SPURIOUS)
		lapic_write(LAPIC_EOI, 0);
}

void interrupt_handle(uint8_t vector, void (*handler)(uint8_t vector))
{
	handlers[vector] = handler;
}

static void load_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void interrupt_init_cpu(void)
{
	load_idt();
	wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) | APIC_GLOBAL) & ~(uint64_t)APIC_X2APIC);
	lapic_write(LAPIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
}

void interrupt_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)interrupt_stubs + i * STUB_BYTES;

		idt[i].offset_low = (uint16_t)stub;
		idt[i].selector = CODE64;
		idt[i].type = GATE_INTERRUPT;
		idt[i].offset_middle = (uint16_t)(stub >> 16);
		idt[i].offset_high = (uint32_t)(stub >> 32);
	}
	/* The 8259s: only masked. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	interrupt_init_cpu();
	interrupts_on();
}

/* --- local APIC --- */

uint32_t lapic_read(unsigned reg)
{
	return read32(acpi.lapic + reg);
}

void lapic_write(unsigned reg, uint32_t value)
{
	write32(acpi.lapic + reg, value);
}

uint8_t lapic_id(void)
{
	return (uint8_t)(lapic_read(LAPIC_ID) >> 24);
}

void lapic_send(uint8_t id, uint32_t low)
{
	lapic_write(LAPIC_ICR_HIGH, (uint32_t)id << 24);
	lapic_write(LAPIC_ICR_LOW, low);
}

/* --- IOAPIC --- */

static uint32_t ioapic_read(uint32_t reg)
{
	write32(acpi.ioapic, reg);
	return read32(acpi.ioapic + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	write32(acpi.ioapic, reg);
	write32(acpi.ioapic + 0x10, value);
}

void ioapic_enable(unsigned pin, uint8_t vector, bool level, bool active_low)
{
	ioapic_write(0x10 + pin * 2, 1u << 16);
	ioapic_write(0x11 + pin * 2, (uint32_t)lapic_id() << 24);
	ioapic_write(0x10 + pin * 2,
		     (uint32_t)vector | (uint32_t)active_low << 13 | (uint32_t)level << 15);
}

void ioapic_mask(unsigned pin)
{
	ioapic_write(0x10 + pin * 2, 1u << 16);
}

bool ioapic_is_masked(unsigned pin)
{
	return ioapic_read(0x10 + pin * 2) >> 16 & 1;
}

unsigned ioapic_pins(void)
{
	return (ioapic_read(1) >> 16 & 0xff) + 1;
}
