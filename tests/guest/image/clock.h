/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.h - time by the ACPI timer. Test guest, the first CPU.
 */
#ifndef RINGSIDE_GUEST_CLOCK_H
#define RINGSIDE_GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* clock_ticks - of PM_TIMER_HZ since the first call; to be called at least every four seconds, which
 * everything that waits here does. */
uint64_t clock_ticks(void);

/* clock_after_ms - when @ms from now will be; clock_is_past - is it? */
uint64_t clock_after_ms(unsigned ms);
bool clock_is_past(uint64_t deadline);

void wait_ms(unsigned ms);

/* wait_for - until *@value reaches @least, by an interrupt, another CPU or a device.
 * Return: false when that took longer than @ms. */
bool wait_for(const volatile unsigned *value, unsigned least, unsigned ms);

#endif
