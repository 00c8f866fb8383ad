/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board_part.h - the small devices of a board, for board.c only.
 * VMM; every call with the board lock held.
 */
#ifndef RINGSIDE_VMM_BOARD_PART_H
#define RINGSIDE_VMM_BOARD_PART_H

#include "vmm/board.h"

/* board_*_init - claim its ports and go to the state of a reset; after board->hv, events and bus.
 * Return: 0 or an error of bus_add(). */
int board_pm_init(struct board *board);
void board_pm_reset(struct board *board);

/* @ram_bytes: of the whole guest. What the guest did to the time of day outlives a reset. */
int board_rtc_init(struct board *board, uint64_t ram_bytes);
void board_rtc_reset(struct board *board);

int board_small_init(struct board *board);
void board_small_reset(struct board *board);

#endif
