/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board.c - put the board together, see board.h.
 * VMM; every call with the board lock held. Knows nothing of KVM.
 *
 * What stock kernels also probe (POST code and delay ports, other serial ports, VGA, DMA, floppy)
 * is not there: it reads as all ones. PIC, PIT, speaker and ELCR are KVM's.
 */
#include "vmm/board.h"

#include <string.h>

#include "vmm/board_part.h"
#include "vmm/memory_map.h"

int board_init(struct board *board, struct hv *hv, const struct board_options *opt)
{
	int ret;

	memset(board, 0, sizeof(*board));
	board->hv = hv;
	board->events = opt->events;
	bus_init(&board->bus);
	msix_gsis_init(&board->gsis, hv);
	ret = pci_root_init(&board->pci, &board->bus, hv);
	if (ret == 0)
		ret = serial_init(&board->serial, &board->bus, hv, PORT_COM1, IRQ_COM1,
				  opt->serial_tx, opt->serial_ctx);
	if (ret == 0)
		ret = board_pm_init(board);
	if (ret == 0)
		ret = board_rtc_init(board, opt->ram_bytes);
	if (ret == 0)
		ret = board_small_init(board);
	return ret;
}

void board_reset(struct board *board)
{
	serial_reset(&board->serial);
	board_pm_reset(board);
	board_rtc_reset(board);
	board_small_reset(board);
	pci_reset(&board->pci);
}
