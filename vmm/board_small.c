/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board_small.c - what is left of a PC's small ports: three ways to reset the machine.
 * VMM; every call with the board lock held.
 */
#include "vmm/board_part.h"
#include "vmm/memory_map.h"

#define PORT_KBD_COMMAND 0x64
#define PORT_92          0x92

/* There is no keyboard controller, and FADT says so. A kernel that probes for one all the same finds
 * its output never empty and gives up at once; one that only wants to reset waits for bit 1 (input
 * buffer full) to be clear. */
#define KBD_STATUS 0xfd

/* Commands F0 to FF pulse those output lines low whose bit is 0; line 0 is reset. */
#define KBD_PULSE      0xf0
#define KBD_PULSE_MASK 0xf0
#define KBD_RESET_HIGH 0x01

#define PORT_92_RESET 0x01
#define PORT_92_A20   0x02 /* always open */

#define CF9_SYSTEM 0x02
#define CF9_RESET  0x04 /* when it becomes 1 */
#define CF9_FULL   0x08

static void reset(struct board *board, const char *how)
{
	board->events.reset(board->events.ctx, how);
}

static uint64_t kbd_read(void *dev, uint64_t offset, unsigned bytes)
{
	(void)dev, (void)offset, (void)bytes;
	return KBD_STATUS;
}

static void kbd_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	(void)offset, (void)bytes;
	if ((value & KBD_PULSE_MASK) == KBD_PULSE && !(value & KBD_RESET_HIGH))
		reset(dev, "i8042");
}

static uint64_t port92_read(void *dev, uint64_t offset, unsigned bytes)
{
	(void)dev, (void)offset, (void)bytes;
	return PORT_92_A20;
}

static void port92_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	(void)offset, (void)bytes;
	if (value & PORT_92_RESET)
		reset(dev, "port 92");
}

static uint64_t cf9_read(void *dev, uint64_t offset, unsigned bytes)
{
	struct board *board = dev;

	(void)offset, (void)bytes;
	return board->small.reset_control;
}

/* This is FADT's RESET_REG too. */
static void cf9_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct board *board = dev;
	uint8_t before = board->small.reset_control;

	(void)offset, (void)bytes;
	board->small.reset_control = value & (CF9_SYSTEM | CF9_RESET | CF9_FULL);
	if ((value & CF9_RESET) && !(before & CF9_RESET))
		reset(board, "port cf9");
}

static const struct bus_handler kbd_handler = {.read = kbd_read, .write = kbd_write};
static const struct bus_handler port92_handler = {.read = port92_read, .write = port92_write};
static const struct bus_handler cf9_handler = {.read = cf9_read, .write = cf9_write};

void board_small_reset(struct board *board)
{
	board->small.reset_control = 0;
}

int board_small_init(struct board *board)
{
	struct board_small *small = &board->small;
	int ret;

	board_small_reset(board);
	pci_root_set_reset_port(&board->pci, &cf9_handler, board);
	ret = bus_add(&board->bus, &small->kbd, BUS_PIO, PORT_KBD_COMMAND, 1, &kbd_handler, board);
	if (ret == 0)
		ret = bus_add(&board->bus, &small->port92, BUS_PIO, PORT_92, 1, &port92_handler,
			      board);
	return ret;
}
