/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial.h - COM1. Test guest.
 */
#ifndef RINGSIDE_GUEST_SERIAL_H
#define RINGSIDE_GUEST_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#define COM1     0x3f8
#define COM1_IRQ 4

/* serial_init - 115200 8N1, FIFOs on, no interrupts. */
void serial_init(void);

/* serial_put - one byte, when there is room. */
void serial_put(char byte);

/* serial_wait_sent - everything is out of the port. */
void serial_wait_sent(void);

/* serial_take - a byte that has come. Return: false when there is none. */
bool serial_take(char *byte);

#endif
