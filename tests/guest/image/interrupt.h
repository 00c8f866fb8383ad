/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interrupt.h - the IDT, the local APIC and the IOAPIC. Test guest.
 *
 * An interrupt is counted by its vector, then its handler runs, then the local APIC hears of it. An
 * exception that nobody expects ends the guest.
 */
#ifndef RINGSIDE_GUEST_INTERRUPT_H
#define RINGSIDE_GUEST_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* Vectors. */
#define VECTOR_TIMER    0x30
#define VECTOR_PIT      0x31
#define VECTOR_IPI      0x32
#define VECTOR_SERIAL   0x33
#define VECTOR_SCI      0x34
#define VECTOR_RTC      0x35
#define VECTOR_MSI      0x40 /* MSI-X vector N comes as 0x40 + N */
#define VECTOR_PINS     0xa0 /* IOAPIC pin N, for INTx, as 0xa0 + N */
#define VECTOR_SPURIOUS 0xff

#define MSI_ADDRESS 0xfee00000u

struct interrupt_frame {
	uint64_t rbp, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* How often each vector came, on all CPUs. */
extern volatile unsigned interrupt_counts[256];

/* interrupt_init - the IDT, everything on the PICs masked, the local APIC on; interrupts are on. */
void interrupt_init(void);

/* interrupt_init_cpu - the same for another CPU, which shares the IDT; interrupts stay off. */
void interrupt_init_cpu(void);

/* interrupt_handle - @handler runs at every interrupt of @vector; NULL: it is only counted. */
void interrupt_handle(uint8_t vector, void (*handler)(uint8_t vector));

/* --- local APIC, xAPIC mode --- */

#define LAPIC_ID            0x020
#define LAPIC_EOI           0x0b0
#define LAPIC_SPURIOUS      0x0f0
#define LAPIC_ICR_LOW       0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0

#define LAPIC_PERIODIC (1u << 17)
#define LAPIC_MASKED   (1u << 16)

uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);
uint8_t lapic_id(void);

/* lapic_send - an inter-processor interrupt: @low as the ICR has it, to APIC @id. */
void lapic_send(uint8_t id, uint32_t low);

/* --- IOAPIC, where the MADT says it is --- */

/* ioapic_enable - @pin raises @vector on this CPU. */
void ioapic_enable(unsigned pin, uint8_t vector, bool level, bool active_low);
void ioapic_mask(unsigned pin);
bool ioapic_is_masked(unsigned pin);
unsigned ioapic_pins(void);

#endif
