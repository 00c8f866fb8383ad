/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board_pm.c - ACPI fixed hardware: power button, soft off, timer. ACPI 6.3 section 4.8.
 * VMM; every call with the board lock held.
 *
 * There is no other mode than ACPI's: SCI_EN is always set, and FADT names no SMI command port.
 */
#include <string.h>

#include "vhost/base/clock.h"
#include "vmm/board_part.h"
#include "vmm/memory_map.h"

/* Raised here is only the button. The others stick because Linux complains where they do not. */
#define PM1_GBL     (1u << 5)
#define PM1_PWRBTN  (1u << 8)
#define PM1_RTC     (1u << 10)
#define PM1_ENABLES (PM1_GBL | PM1_PWRBTN | PM1_RTC)

#define CNT_SCI_EN    (1u << 0)
#define CNT_BM_RLD    (1u << 1)
#define CNT_SLP_SHIFT 10
#define CNT_SLP_TYP   (7u << CNT_SLP_SHIFT)
#define CNT_SLP_EN    (1u << 13) /* reads as 0, as GBL_RLS does */

#define TIMER_HZ 3579545u

static void update_sci(struct board *board)
{
	struct board_pm *pm = &board->pm;
	bool level = pm->status & pm->enable;

	if (level == pm->sci)
		return;
	pm->sci = level;
	board->hv->ops->irq_line(board->hv, IRQ_SCI, level);
}

/* timer_now - all 32 bits (FADT: TMR_VAL_EXT). It raises nothing: the bit that would enable that does
 * not stick, which is how a guest learns it. */
static uint32_t timer_now(void)
{
	return (uint32_t)((unsigned __int128)clock_ns() * TIMER_HZ / 1000000000u);
}

static uint64_t pm_read(void *dev, uint64_t offset, unsigned bytes)
{
	struct board *board = dev;
	const struct board_pm *pm = &board->pm;
	uint8_t registers[PM_BYTES] = {0};
	uint32_t timer = timer_now();
	uint64_t value = 0;

	memcpy(registers + PM1_EVENT_OFFSET, &pm->status, sizeof(pm->status));
	memcpy(registers + PM1_EVENT_OFFSET + PM1_EVENT_BYTES / 2, &pm->enable, sizeof(pm->enable));
	memcpy(registers + PM1_CONTROL_OFFSET, &pm->control, sizeof(pm->control));
	memcpy(registers + PM_TIMER_OFFSET, &timer, sizeof(timer));
	memcpy(&value, registers + offset, bytes);
	return value;
}

/* replace - one byte of a register, where @writable lets it. */
static uint16_t replace(uint16_t old, unsigned shift, uint8_t byte, unsigned writable)
{
	writable &= 0xffu << shift;
	return (uint16_t)((old & ~writable) | (((unsigned)byte << shift) & writable));
}

static void write_control(struct board *board, unsigned shift, uint8_t byte)
{
	struct board_pm *pm = &board->pm;
	bool sleeps = ((unsigned)byte << shift) & CNT_SLP_EN;

	pm->control = replace(pm->control, shift, byte, CNT_BM_RLD | CNT_SLP_TYP);
	/* The other sleep states are not there: nothing follows. */
	if (sleeps && (pm->control & CNT_SLP_TYP) >> CNT_SLP_SHIFT == PM_SLP_TYP_S5)
		board->events.poweroff(board->events.ctx);
}

static void pm_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct board *board = dev;
	struct board_pm *pm = &board->pm;

	for (unsigned i = 0; i < bytes; i++) {
		uint64_t at = offset + i;
		uint8_t byte = (uint8_t)(value >> (8 * i));
		unsigned shift = 8 * (at & 1);

		switch (at & ~1ull) {
		case PM1_EVENT_OFFSET: /* ones clear */
			pm->status &= (uint16_t) ~((unsigned)byte << shift);
			break;
		case PM1_EVENT_OFFSET + PM1_EVENT_BYTES / 2:
			pm->enable = replace(pm->enable, shift, byte, PM1_ENABLES);
			break;
		case PM1_CONTROL_OFFSET:
			write_control(board, shift, byte);
			break;
		default: /* the timer is for reading */
			break;
		}
	}
	update_sci(board);
}

static const struct bus_handler pm_handler = {.read = pm_read, .write = pm_write};

bool board_power_button(struct board *board)
{
	struct board_pm *pm = &board->pm;

	if (!(pm->enable & PM1_PWRBTN))
		return false;
	pm->status |= PM1_PWRBTN;
	update_sci(board);
	return true;
}

void board_pm_reset(struct board *board)
{
	struct board_pm *pm = &board->pm;

	pm->status = pm->enable = 0;
	pm->control = CNT_SCI_EN;
	/* Said even where nothing changed: the interrupt controllers are reset too. */
	pm->sci = false;
	board->hv->ops->irq_line(board->hv, IRQ_SCI, false);
}

int board_pm_init(struct board *board)
{
	board_pm_reset(board);
	return bus_add(&board->bus, &board->pm.range, BUS_PIO, PORT_PM_BASE, PM_BYTES, &pm_handler,
		       board);
}
