/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * smp.h - the other CPUs: started as the MADT lists them, asleep but for the work they are given.
 * Test guest.
 */
#ifndef RINGSIDE_GUEST_SMP_H
#define RINGSIDE_GUEST_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/guest/image/cpu.h"

struct smp_cpu {
	volatile bool there;
	uint8_t lapic_id;
	uint8_t cpuid_id; /* leaf 1 */
	uint32_t cpuid_x2id; /* leaf 0xb */
	volatile unsigned done; /* pieces of work */
};

extern struct smp_cpu smp_cpus[MAX_CPUS];

/* smp_describe_this - fill in the calling CPU's entry. */
void smp_describe_this(unsigned index);

/* smp_start - INIT and SIPI to each. Return: how many CPUs run, this one included. */
unsigned smp_start(void);

/* smp_work - all other CPUs call @work with their index; once each. */
void smp_work(void (*work)(unsigned index));

/* smp_wait - until they have. Return: false after @ms. */
bool smp_wait(unsigned ms);

#endif
