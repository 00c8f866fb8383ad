/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial.c - COM1, polled. Test guest.
 */
#include "tests/guest/image/serial.h"

#include <linux/serial_reg.h>

#include "tests/guest/image/cpu.h"

void serial_init(void)
{
	outb(COM1 + UART_IER, 0);
	outb(COM1 + UART_LCR, UART_LCR_DLAB);
	outb(COM1 + UART_DLL, 1);
	outb(COM1 + UART_DLM, 0);
	outb(COM1 + UART_LCR, UART_LCR_WLEN8);
	outb(COM1 + UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	outb(COM1 + UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

void serial_put(char byte)
{
	while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
		cpu_pause();
	outb(COM1 + UART_TX, (uint8_t)byte);
}

void serial_wait_sent(void)
{
	while (!(inb(COM1 + UART_LSR) & UART_LSR_TEMT))
		cpu_pause();
}

bool serial_take(char *byte)
{
	if (!(inb(COM1 + UART_LSR) & UART_LSR_DR))
		return false;
	*byte = (char)inb(COM1 + UART_RX);
	return true;
}
