/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * smp.c - the other CPUs. Test guest. Intel SDM volume 3, section 9.4.4.
 */
#include "tests/guest/image/smp.h"

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/interrupt.h"

#define AP_PAGE  0x50000 /* as in start.S */
#define ICR_INIT 0x4500
#define ICR_SIPI (0x4600 | AP_PAGE >> 12)
/* All but this one. */
#define ICR_OTHERS (3u << 18 | 1u << 14)
#define START_MS   3000

extern const char ap_trampoline[], ap_trampoline_end[];
extern volatile unsigned smp_count;
void smp_main(unsigned index);

struct smp_cpu smp_cpus[MAX_CPUS];
static void (*volatile current_work)(unsigned index);
static volatile unsigned work_number;

void smp_describe_this(unsigned index)
{
	struct smp_cpu *cpu = &smp_cpus[index];

	cpu->lapic_id = lapic_id();
	cpu->cpuid_id = (uint8_t)(cpuid(1, 0).ebx >> 24);
	cpu->cpuid_x2id = cpuid(0, 0).eax >= 0xb ? cpuid(0xb, 0).edx : cpu->cpuid_id;
	cpu->there = true;
}

void smp_main(unsigned index)
{
	struct smp_cpu *cpu = &smp_cpus[index];

	interrupt_init_cpu();
	smp_describe_this(index);
	for (;;) {
		cpu_sleep(); /* with interrupts on */
		if (cpu->done != work_number) {
			current_work(index);
			cpu->done = work_number;
		}
	}
}

unsigned smp_start(void)
{
	uint8_t *page = (uint8_t *)AP_PAGE;
	uint64_t deadline;

	for (long i = 0; i < ap_trampoline_end - ap_trampoline; i++)
		page[i] = (uint8_t)ap_trampoline[i];
	smp_describe_this(0);
	for (unsigned i = 0; i < acpi.num_cpus; i++) {
		if (acpi.apic_ids[i] == lapic_id())
			continue;
		lapic_send(acpi.apic_ids[i], ICR_INIT);
	}
	wait_ms(10);
	for (unsigned i = 0; i < acpi.num_cpus; i++) {
		if (acpi.apic_ids[i] == lapic_id())
			continue;
		lapic_send(acpi.apic_ids[i], ICR_SIPI);
	}
	deadline = clock_after_ms(START_MS);
	for (unsigned i = 1; i < acpi.num_cpus; i++)
		while (!smp_cpus[i].there && !clock_is_past(deadline))
			cpu_pause();
	return smp_count;
}

void smp_work(void (*work)(unsigned index))
{
	current_work = work;
	work_number++;
	memory_barrier();
	lapic_write(LAPIC_ICR_LOW, ICR_OTHERS | VECTOR_IPI);
}

bool smp_wait(unsigned ms)
{
	uint64_t deadline = clock_after_ms(ms);

	for (unsigned i = 1; i < smp_count; i++)
		while (smp_cpus[i].done != work_number)
			if (clock_is_past(deadline))
				return false;
	return true;
}
