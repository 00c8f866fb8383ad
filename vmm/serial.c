/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial.c - registers and interrupts of a 16550A, see serial.h.
 * VMM; every call with the board lock held. Knows nothing of KVM.
 *
 * The line has no speed: a byte is sent when it is written, unless tx() has no room, and has arrived
 * when serial_rx() was called. So the receiver's time-out, four characters long, is over at once.
 */
#include "vmm/serial.h"

#include <linux/serial_reg.h>
#include <string.h>

#define IER_BITS    0x0f
#define MCR_BITS    0x1f
#define IIR_FIFO_ON 0xc0 /* says, too, that it is a 16550A */

/* What the other end of the line holds up all the time. */
#define MODEM_PRESENT (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

static bool fifo_on(const struct serial *serial)
{
	return serial->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned fifo_bytes(const struct serial *serial)
{
	return fifo_on(serial) ? SERIAL_FIFO_BYTES : 1;
}

static bool looped(const struct serial *serial)
{
	return serial->mcr & UART_MCR_LOOP;
}

/* --- interrupts --- */

static unsigned rx_trigger(const struct serial *serial)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return fifo_on(serial) ? levels[serial->fcr >> 6] : 1;
}

/* interrupt_id - what IIR says: of what is pending, the most urgent. Data sheet, table IV. */
static uint8_t interrupt_id(const struct serial *serial)
{
	if ((serial->ier & UART_IER_RLSI) && serial->line_errors)
		return UART_IIR_RLSI;
	if ((serial->ier & UART_IER_RDI) && serial->rx_count > 0)
		return serial->rx_count >= rx_trigger(serial) ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if ((serial->ier & UART_IER_THRI) && serial->thre_pending)
		return UART_IIR_THRI;
	if ((serial->ier & UART_IER_MSI) && serial->modem_changes)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* update_irq - a PC has OUT2 as a gate between the chip's interrupt and the line; its pin is off in
 * loopback mode. */
static void update_irq(struct serial *serial)
{
	bool gate = (serial->mcr & UART_MCR_OUT2) && !looped(serial);
	bool level = gate && interrupt_id(serial) != UART_IIR_NO_INT;

	if (level == serial->irq_level)
		return;
	serial->irq_level = level;
	serial->hv->ops->irq_line(serial->hv, serial->irq, level);
}

/* --- receiver --- */

static size_t rx_room(const struct serial *serial)
{
	unsigned capacity = fifo_bytes(serial);

	return serial->rx_count < capacity ? capacity - serial->rx_count : 0;
}

static void rx_put(struct serial *serial, uint8_t byte)
{
	serial->rx[(serial->rx_begin + serial->rx_count++) % SERIAL_FIFO_BYTES] = byte;
}

static void rx_clear(struct serial *serial)
{
	serial->rx_begin = serial->rx_count = 0;
}

/* rx_loop - a byte from the own transmitter, which looks not for room. */
static void rx_loop(struct serial *serial, uint8_t byte)
{
	if (rx_room(serial) > 0) {
		rx_put(serial, byte);
		return;
	}
	serial->line_errors |= UART_LSR_OE;
	/* A full FIFO stays as it is; without one, the new byte lies over the old. */
	if (!fifo_on(serial)) {
		rx_clear(serial);
		rx_put(serial, byte);
	}
}

static uint8_t read_rx(struct serial *serial)
{
	uint8_t byte = 0;

	if (serial->rx_count > 0) {
		byte = serial->rx[serial->rx_begin];
		serial->rx_begin = (serial->rx_begin + 1) % SERIAL_FIFO_BYTES;
		serial->rx_count--;
	}
	return byte;
}

size_t serial_rx_room(const struct serial *serial)
{
	return looped(serial) ? 0 : rx_room(serial);
}

size_t serial_rx(struct serial *serial, const uint8_t *data, size_t bytes)
{
	size_t taken = 0;

	while (taken < bytes && serial_rx_room(serial) > 0)
		rx_put(serial, data[taken++]);
	update_irq(serial);
	return taken;
}

/* --- transmitter --- */

static void write_tx(struct serial *serial, uint8_t byte)
{
	serial->thre_pending = false;
	if (looped(serial)) {
		rx_loop(serial, byte);
	} else if (serial->tx_count > 0 || !serial->tx(serial->ctx, byte)) {
		/* One more than there is room for is lost, as in the chip: THRE told. */
		if (serial->tx_count < fifo_bytes(serial)) {
			unsigned end = serial->tx_begin + serial->tx_count++;

			serial->tx_fifo[end % SERIAL_FIFO_BYTES] = byte;
		}
	}
	if (serial->tx_count == 0)
		serial->thre_pending = true;
}

void serial_tx_ready(struct serial *serial)
{
	if (serial->tx_count == 0)
		return;
	while (serial->tx_count > 0 && serial->tx(serial->ctx, serial->tx_fifo[serial->tx_begin])) {
		serial->tx_begin = (serial->tx_begin + 1) % SERIAL_FIFO_BYTES;
		serial->tx_count--;
	}
	if (serial->tx_count == 0)
		serial->thre_pending = true;
	update_irq(serial);
}

/* --- the other registers --- */

/* modem_lines - the upper half of MSR. In loopback mode the own outputs come back. */
static uint8_t modem_lines(const struct serial *serial)
{
	uint8_t lines = 0;

	if (!looped(serial))
		return MODEM_PRESENT;
	if (serial->mcr & UART_MCR_RTS)
		lines |= UART_MSR_CTS;
	if (serial->mcr & UART_MCR_DTR)
		lines |= UART_MSR_DSR;
	if (serial->mcr & UART_MCR_OUT1)
		lines |= UART_MSR_RI;
	if (serial->mcr & UART_MCR_OUT2)
		lines |= UART_MSR_DCD;
	return lines;
}

static void write_mcr(struct serial *serial, uint8_t value)
{
	uint8_t before = modem_lines(serial), changed;

	serial->mcr = value & MCR_BITS;
	changed = before ^ modem_lines(serial);
	/* Each line's change lies four bits below it; of RI only the falling edge counts. */
	changed &= (uint8_t) ~(UART_MSR_RI & modem_lines(serial));
	serial->modem_changes |= changed >> 4;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	bool on = value & UART_FCR_ENABLE_FIFO;

	/* The other bits count only together with the one that enables. What was sent counts as on
	 * the line already: nothing is taken back with CLEAR_XMIT. */
	if (on != fifo_on(serial) || (on && (value & UART_FCR_CLEAR_RCVR)))
		rx_clear(serial);
	serial->fcr = on ? value & (UART_FCR_TRIGGER_MASK | UART_FCR_ENABLE_FIFO) : 0;
}

static void write_ier(struct serial *serial, uint8_t value)
{
	bool thre_enabled = value & ~serial->ier & UART_IER_THRI;

	serial->ier = value & IER_BITS;
	if (thre_enabled)
		serial->thre_pending = serial->tx_count == 0;
}

static void write_lcr(struct serial *serial, uint8_t value)
{
	bool breaks = value & ~serial->lcr & UART_LCR_SBC;

	serial->lcr = value;
	if (breaks && looped(serial)) { /* a break arrives as a zero with an error */
		rx_loop(serial, 0);
		serial->line_errors |= UART_LSR_BI;
	}
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t id = interrupt_id(serial);

	if (id == UART_IIR_THRI)
		serial->thre_pending = false;
	return fifo_on(serial) ? id | IIR_FIFO_ON : id;
}

static uint8_t read_lsr(struct serial *serial)
{
	uint8_t value = serial->line_errors;

	if (serial->rx_count > 0)
		value |= UART_LSR_DR;
	if (serial->tx_count == 0)
		value |= UART_LSR_THRE | UART_LSR_TEMT;
	serial->line_errors = 0;
	return value;
}

static uint8_t read_msr(struct serial *serial)
{
	uint8_t value = modem_lines(serial) | serial->modem_changes;

	serial->modem_changes = 0;
	return value;
}

static uint8_t read_register(struct serial *serial, unsigned reg)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? serial->dll : read_rx(serial);
	case UART_IER:
		return divisor ? serial->dlm : serial->ier;
	case UART_IIR:
		return read_iir(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return read_lsr(serial);
	case UART_MSR:
		return read_msr(serial);
	default:
		return serial->scr;
	}
}

static void write_register(struct serial *serial, unsigned reg, uint8_t value)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (divisor)
			serial->dll = value;
		else
			write_tx(serial, value);
		break;
	case UART_IER:
		if (divisor)
			serial->dlm = value;
		else
			write_ier(serial, value);
		break;
	case UART_FCR:
		write_fcr(serial, value);
		break;
	case UART_LCR:
		write_lcr(serial, value);
		break;
	case UART_MCR:
		write_mcr(serial, value);
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	default: /* LSR and MSR are for reading */
		break;
	}
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned bytes)
{
	struct serial *serial = dev;
	uint8_t value = read_register(serial, (unsigned)offset);

	(void)bytes;
	update_irq(serial);
	return value;
}

static void serial_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct serial *serial = dev;

	(void)bytes;
	write_register(serial, (unsigned)offset, (uint8_t)value);
	update_irq(serial);
}

static const struct bus_handler serial_handler = {
	.read = serial_read,
	.write = serial_write,
	.byte_wide = true,
};

void serial_reset(struct serial *serial)
{
	serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scr = 0;
	serial->dll = serial->dlm = 0;
	serial->line_errors = serial->modem_changes = 0;
	serial->thre_pending = serial->tx_count == 0;
	rx_clear(serial);
	/* Said even where nothing changed: the interrupt controllers are reset too. */
	serial->irq_level = false;
	serial->hv->ops->irq_line(serial->hv, serial->irq, false);
}

int serial_init(struct serial *serial, struct bus *bus, struct hv *hv, uint16_t port, unsigned irq,
		bool (*tx)(void *ctx, uint8_t byte), void *ctx)
{
	memset(serial, 0, sizeof(*serial));
	serial->hv = hv;
	serial->irq = irq;
	serial->tx = tx;
	serial->ctx = ctx;
	serial_reset(serial);
	return bus_add(bus, &serial->range, BUS_PIO, port, SERIAL_PORTS, &serial_handler, serial);
}
