/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_pci.c - configuration space by ports and ECAM at any size, BARs wherever a guest puts
 * them, INTx lines that are shared. Tests vmm/pci on a bus of its own.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "tests/unit/support.h"
#include "tests/unit/vmm_recorder.h"
#include "vmm/memory_map.h"
#include "vmm/pci.h"

#define VENDOR 0x1234
#define DEVICE 0x5678

#define MEM_BYTES 0x4000u
#define IO_BYTES  0x20u

/* A device with a memory BAR 0 and a port BAR 2, that counts what reaches it. */
struct toy {
	struct pci_device pci;
	unsigned mapped[PCI_NUM_BARS];
	unsigned unmapped[PCI_NUM_BARS];
	unsigned reads, writes;
	uint64_t last_offset, last_value;
	unsigned last_bytes;
	unsigned config_writes;
};

static struct recorder rec;
static struct bus bus;
static struct pci_root root;
static struct toy one, two;

static uint64_t toy_read(void *ctx, uint64_t offset, unsigned bytes)
{
	struct toy *toy = ctx;

	toy->reads++;
	toy->last_offset = offset;
	toy->last_bytes = bytes;
	return 0x0102030405060708ull;
}

static void toy_write(void *ctx, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct toy *toy = ctx;

	toy->writes++;
	toy->last_offset = offset;
	toy->last_bytes = bytes;
	toy->last_value = value;
}

static const struct bus_handler toy_handler = {.read = toy_read, .write = toy_write};

static void toy_mapped(struct pci_device *pci, unsigned bar)
{
	ck_assert(pci->bars[bar].range.active);
	container_of(pci, struct toy, pci)->mapped[bar]++;
}

static void toy_unmapping(struct pci_device *pci, unsigned bar)
{
	ck_assert(pci->bars[bar].range.active);
	container_of(pci, struct toy, pci)->unmapped[bar]++;
}

static void toy_config_written(struct pci_device *pci, unsigned offset, unsigned bytes)
{
	ck_assert_uint_eq(offset / 4, (offset + bytes - 1) / 4);
	container_of(pci, struct toy, pci)->config_writes++;
}

static const struct pci_ops toy_ops = {
	.bar_mapped = toy_mapped,
	.bar_unmapping = toy_unmapping,
	.config_written = toy_config_written,
};

static void make_toy(struct toy *toy)
{
	const struct pci_ids ids = {VENDOR, DEVICE, 0xaaaa, 0xbbbb, 0x010203, 7};

	memset(toy, 0, sizeof(*toy));
	pci_device_init(&toy->pci, &ids, &toy_ops);
	pci_add_bar(&toy->pci, 0, MEM_BYTES - 100, false, &toy_handler, toy);
	pci_add_bar(&toy->pci, 2, IO_BYTES, true, &toy_handler, toy);
	ck_assert_uint_eq(pci_add_capability(&toy->pci, PCI_CAP_ID_VNDR, "\x05\xaa\xbb",
					     "\x00\x0f\x00", 3),
			  0x40);
	ck_assert_uint_eq(pci_add_capability(&toy->pci, PCI_CAP_ID_PM, "\x01\x02", NULL, 2), 0x48);
	ck_assert_int_eq(pci_attach(&root, &toy->pci), 0);
}

static void setup(void)
{
	recorder_init(&rec);
	bus_init(&bus);
	ck_assert_int_eq(pci_root_init(&root, &bus, &rec.hv), 0);
	make_toy(&one); /* slot 1 */
	make_toy(&two); /* slot 2 */
}

static uint64_t ecam(unsigned slot, unsigned offset)
{
	return PCI_ECAM_BEGIN + slot * 8 * PCI_ECAM_FUNCTION + offset;
}

static uint64_t config_get(unsigned slot, unsigned offset, unsigned bytes)
{
	return bus_read(&bus, BUS_MMIO, ecam(slot, offset), bytes);
}

static void config_put(unsigned slot, unsigned offset, unsigned bytes, uint64_t value)
{
	bus_write(&bus, BUS_MMIO, ecam(slot, offset), bytes, value);
}

static uint64_t port_get(uint16_t port, unsigned bytes)
{
	return bus_read(&bus, BUS_PIO, port, bytes);
}

static void port_put(uint16_t port, unsigned bytes, uint64_t value)
{
	bus_write(&bus, BUS_PIO, port, bytes, value);
}

static uint32_t address_of(unsigned slot, unsigned offset)
{
	return 0x80000000u | slot << 11 | (offset & 0xfc);
}

static void decode(unsigned slot)
{
	config_put(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

/* --- configuration space --- */

START_TEST(ports_and_ecam_show_the_same_registers)
{
	for (unsigned offset = 0; offset < PCI_CONFIG_BYTES; offset += 4) {
		port_put(PORT_PCI_ADDRESS, 4, address_of(1, offset));
		ck_assert_uint_eq(port_get(PORT_PCI_DATA, 4), config_get(1, offset, 4));
	}
	ck_assert_uint_eq(config_get(1, 0, 4), DEVICE << 16 | VENDOR);
	ck_assert_uint_eq(config_get(1, PCI_CLASS_REVISION, 4), 0x01020307);
	ck_assert_uint_eq(config_get(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xbbbbaaaa);
	ck_assert_uint_eq(config_get(1, PCI_HEADER_TYPE, 1), 0);
	ck_assert_uint_eq(config_get(0, PCI_CLASS_REVISION + 1, 2), 0x0000); /* host bridge */
	ck_assert_uint_eq(config_get(0, PCI_CLASS_REVISION + 3, 1), 0x06);
	ck_assert_uint_eq(config_get(0, PCI_INTERRUPT_PIN, 1), 0);
	ck_assert_uint_eq(config_get(1, PCI_INTERRUPT_PIN, 1), 1);
	ck_assert_uint_eq(config_get(1, PCI_INTERRUPT_LINE, 1), pci_slot_line(1, 0));
}
END_TEST

START_TEST(data_ports_take_bytes_and_words)
{
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, PCI_VENDOR_ID));
	ck_assert_uint_eq(port_get(PORT_PCI_DATA + 1, 1), VENDOR >> 8);
	ck_assert_uint_eq(port_get(PORT_PCI_DATA + 2, 2), DEVICE);
	ck_assert_uint_eq(port_get(PORT_PCI_DATA + 1, 2), (DEVICE & 0xff) << 8 | VENDOR >> 8);
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, PCI_INTERRUPT_LINE));
	port_put(PORT_PCI_DATA, 1, 0x5a);
	port_put(PORT_PCI_DATA + 1, 1, 0x77); /* the pin is fixed */
	ck_assert_uint_eq(config_get(1, PCI_INTERRUPT_LINE, 2), 0x015a);
}
END_TEST

START_TEST(what_is_not_there_is_all_ones)
{
	ck_assert_uint_eq(config_get(5, 0, 4), 0xffffffff);
	for (unsigned function = 1; function < 8; function++)
		ck_assert_uint_eq(config_get(1, function * PCI_ECAM_FUNCTION, 4), 0xffffffff);
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, 0) | 1 << 16); /* bus 1 */
	ck_assert_uint_eq(port_get(PORT_PCI_DATA, 4), 0xffffffff);
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, 0) | 1 << 8); /* function 1 */
	ck_assert_uint_eq(port_get(PORT_PCI_DATA, 4), 0xffffffff);
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, 0) & 0x7fffffff); /* not enabled */
	ck_assert_uint_eq(port_get(PORT_PCI_DATA, 4), 0xffffffff);
	port_put(PORT_PCI_ADDRESS, 4, address_of(1, PCI_COMMAND) & 0x7fffffff);
	port_put(PORT_PCI_DATA, 4, 0xffffffff);
	ck_assert_uint_eq(config_get(1, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(extended_space_is_zero_and_takes_nothing)
{
	config_put(1, PCI_CONFIG_BYTES, 8, ~0ull);
	config_put(1, PCI_ECAM_FUNCTION - 8, 8, ~0ull);
	for (unsigned offset = PCI_CONFIG_BYTES; offset < PCI_ECAM_FUNCTION; offset += 8)
		ck_assert_uint_eq(config_get(1, offset, 8), 0);
}
END_TEST

/* Each byte is the same whatever access it is part of; across a function's end too. */
START_TEST(any_size_and_alignment_reads_the_same_bytes)
{
	uint8_t bytes[PCI_CONFIG_BYTES + 16];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)config_get(1, i, 1);
	for (unsigned offset = 0; offset < PCI_CONFIG_BYTES; offset++) {
		for (unsigned n = 1; n <= 8; n++) {
			uint64_t value = config_get(1, offset, n);

			ck_assert_int_eq(memcmp(&value, bytes + offset, n), 0);
		}
	}
	ck_assert_uint_eq(config_get(1, PCI_ECAM_FUNCTION - 4, 8), 0xffffffff00000000ull);
	ck_assert_uint_eq(config_get(0, 8 * PCI_ECAM_FUNCTION - 3, 8),
			  (uint64_t)config_get(1, 0, 5) << 24 | 0xffffff);
}
END_TEST

START_TEST(any_size_and_alignment_writes_the_same_bytes)
{
	for (unsigned n = 1; n <= 8; n++) {
		for (unsigned offset = 0; offset < PCI_CONFIG_BYTES; offset++) {
			config_put(1, offset, n, ~0ull);
			config_put(1, offset, n, 0);
		}
	}
	ck_assert_uint_eq(config_get(1, 0, 4), DEVICE << 16 | VENDOR);
	ck_assert_uint_eq(config_get(1, PCI_CLASS_REVISION, 4), 0x01020307);
	ck_assert_uint_eq(config_get(1, PCI_CAPABILITY_LIST, 1), 0x40);
	ck_assert_uint_eq(config_get(1, 0x40, 4), 0xa0054809); /* of 0xaa the low nibble */
	/* One write across COMMAND, STATUS and class: only COMMAND takes it. */
	config_put(1, PCI_VENDOR_ID + 1, 8, ~0ull);
	ck_assert_uint_eq(config_get(1, PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
								 PCI_COMMAND_MASTER |
								 PCI_COMMAND_INTX_DISABLE);
	ck_assert_uint_eq(config_get(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}
END_TEST

START_TEST(capabilities_are_linked_in_order)
{
	ck_assert_uint_eq(config_get(1, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, PCI_STATUS_CAP_LIST);
	ck_assert_uint_eq(config_get(1, PCI_CAPABILITY_LIST, 1), 0x40);
	ck_assert_uint_eq(config_get(1, 0x40, 5), 0xbbaa054809ull);
	ck_assert_uint_eq(config_get(1, 0x48, 4), 0x02010001);
	ck_assert_uint_eq(config_get(0, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0);
}
END_TEST

/* --- CF8 and CF9 --- */

static unsigned reset_writes;
static uint64_t reset_value;

static uint64_t reset_read(void *ctx, uint64_t offset, unsigned bytes)
{
	ck_assert_ptr_eq(ctx, &reset_writes);
	ck_assert_uint_eq(offset, 0);
	ck_assert_uint_eq(bytes, 1);
	return 0x42;
}

static void reset_write(void *ctx, uint64_t offset, unsigned bytes, uint64_t value)
{
	(void)ctx;
	ck_assert_uint_eq(offset, 0);
	ck_assert_uint_eq(bytes, 1);
	reset_writes++;
	reset_value = value;
}

START_TEST(cf9_is_the_reset_port_and_a_dword_at_cf8_the_address)
{
	static const struct bus_handler handler = {.read = reset_read, .write = reset_write};

	ck_assert_uint_eq(port_get(PORT_RESET, 1), 0xff); /* nobody yet */
	port_put(PORT_RESET, 1, 6);
	pci_root_set_reset_port(&root, &handler, &reset_writes);
	reset_writes = 0;
	port_put(PORT_PCI_ADDRESS, 4, 0x80000600); /* 06 in the byte at CF9 */
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 4), 0x80000600);
	ck_assert_uint_eq(reset_writes, 0);
	port_put(PORT_RESET, 1, 6);
	ck_assert_uint_eq(reset_writes, 1);
	ck_assert_uint_eq(reset_value, 6);
	ck_assert_uint_eq(port_get(PORT_RESET, 1), 0x42);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 4), 0x80000600);
}
END_TEST

START_TEST(other_accesses_of_cf8_are_nobodys)
{
	port_put(PORT_PCI_ADDRESS, 4, 0xffffffff);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 4), 0x80fffffc);
	port_put(PORT_PCI_ADDRESS, 1, 0);
	port_put(PORT_PCI_ADDRESS, 2, 0);
	port_put(PORT_PCI_ADDRESS + 2, 2, 0);
	port_put(PORT_PCI_ADDRESS + 3, 1, 0);
	port_put(PORT_PCI_ADDRESS + 1, 4, 0);
	port_put(PORT_PCI_ADDRESS - 2, 4, 0);
	port_put(PORT_PCI_ADDRESS, 8, 0);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 4), 0x80fffffc);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 1), 0xff);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 2), 0xffff);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS + 2, 2), 0xffff);
}
END_TEST

/* --- BARs --- */

START_TEST(bar_sizing)
{
	static const unsigned absent[] = {1, 3, 4, 5};

	config_put(1, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	ck_assert_uint_eq(config_get(1, PCI_BASE_ADDRESS_0, 4), 0xffffffff & ~(MEM_BYTES - 1));
	config_put(1, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	ck_assert_uint_eq(config_get(1, PCI_BASE_ADDRESS_2, 4), (0xffffffff & ~(IO_BYTES - 1)) | 1);
	for (unsigned i = 0; i < 4; i++) {
		config_put(1, PCI_BASE_ADDRESS_0 + 4 * absent[i], 4, 0xffffffff);
		ck_assert_uint_eq(config_get(1, PCI_BASE_ADDRESS_0 + 4 * absent[i], 4), 0);
	}
	config_put(1, PCI_ROM_ADDRESS, 4, 0xffffffff);
	ck_assert_uint_eq(config_get(1, PCI_ROM_ADDRESS, 4), 0);
}
END_TEST

START_TEST(bars_start_out_apart_and_within_their_windows)
{
	uint64_t a = one.pci.bars[0].reset_base, b = two.pci.bars[0].reset_base;

	ck_assert_uint_ge(a, PCI_WINDOW_BEGIN);
	ck_assert_uint_le(a + MEM_BYTES, b);
	ck_assert_uint_le(b + MEM_BYTES, PCI_WINDOW_END);
	ck_assert_uint_eq(a % MEM_BYTES, 0);
	ck_assert_uint_le(one.pci.bars[2].reset_base + IO_BYTES, two.pci.bars[2].reset_base);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, a, 4), 0xffffffff); /* COMMAND is 0 */
	ck_assert_uint_eq(one.reads, 0);
	decode(1);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, a + 5, 3), 0x060708);
	ck_assert_uint_eq(one.last_offset, 5);
	ck_assert_uint_eq(one.last_bytes, 3);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, one.pci.bars[2].reset_base, 1), 0x08);
	ck_assert_uint_eq(one.mapped[0], 1);
	ck_assert_uint_eq(one.mapped[2], 1);
	ck_assert_uint_eq(two.mapped[0], 0);
}
END_TEST

START_TEST(memory_and_ports_are_enabled_apart)
{
	config_put(1, PCI_COMMAND, 2, PCI_COMMAND_IO);
	ck_assert(!one.pci.bars[0].range.active);
	ck_assert(one.pci.bars[2].range.active);
	config_put(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	ck_assert(one.pci.bars[0].range.active);
	ck_assert(!one.pci.bars[2].range.active);
	config_put(1, PCI_COMMAND, 2, 0);
	ck_assert(!one.pci.bars[0].range.active);
	ck_assert_uint_eq(one.mapped[0], one.unmapped[0]);
	ck_assert_uint_eq(one.mapped[2], one.unmapped[2]);
}
END_TEST

START_TEST(bar_relocation)
{
	uint64_t from = one.pci.bars[0].reset_base, to = 0xd0000000;

	decode(1);
	config_put(1, PCI_BASE_ADDRESS_0, 4, to | 0x3fff); /* the low bits are fixed */
	ck_assert_uint_eq(config_get(1, PCI_BASE_ADDRESS_0, 4), to);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, from, 8), ~0ull);
	bus_write(&bus, BUS_MMIO, to + 8, 8, 0x1122334455667788ull);
	ck_assert_uint_eq(one.writes, 1);
	ck_assert_uint_eq(one.last_value, 0x1122334455667788ull);
	/* By bytes: it is somewhere else in between. */
	for (unsigned i = 0; i < 4; i++)
		config_put(1, PCI_BASE_ADDRESS_0 + i, 1, 0xd1008000u >> 8 * i);
	ck_assert_uint_eq(one.pci.bars[0].range.base, 0xd1008000u);
	ck_assert_uint_eq(one.mapped[0], one.unmapped[0] + 1);
	config_put(1, PCI_BASE_ADDRESS_0, 4, 0xd1008000u); /* the same again: nothing moves */
	ck_assert_uint_eq(one.mapped[0], one.unmapped[0] + 1);
}
END_TEST

START_TEST(bar_is_decoded_only_within_the_window)
{
	static const uint32_t elsewhere[] = {
		0,
		0x100000,
		0xbfffc000,
		0xe0000000,
		0xe00f8000,
		0xfec00000,
		0xfee00000,
		0xffffc000,
		0xe0000000 - MEM_BYTES / 2,
		0x80000000,
		(uint32_t)IOAPIC_BASE,
		(uint32_t)LAPIC_BASE,
	};

	decode(1);
	for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		bool inside = (elsewhere[i] & ~(MEM_BYTES - 1)) >= PCI_WINDOW_BEGIN &&
			      (elsewhere[i] & ~(MEM_BYTES - 1)) < PCI_WINDOW_END;

		config_put(1, PCI_BASE_ADDRESS_0, 4, elsewhere[i]);
		ck_assert_int_eq(one.pci.bars[0].range.active, inside);
	}
	config_put(1, PCI_BASE_ADDRESS_2, 4, PORT_COM1 & ~(IO_BYTES - 1));
	ck_assert(!one.pci.bars[2].range.active);
	config_put(1, PCI_BASE_ADDRESS_2, 4, 0x10000); /* beyond the last port */
	ck_assert(!one.pci.bars[2].range.active);
	config_put(1, PCI_BASE_ADDRESS_2, 4, 0xffe0);
	ck_assert(one.pci.bars[2].range.active);
	ck_assert_uint_eq(config_get(1, 0, 2), VENDOR); /* the ECAM is where it was */
}
END_TEST

START_TEST(bar_over_bar_waits_until_either_moves)
{
	uint64_t a = one.pci.bars[0].reset_base, b = two.pci.bars[0].reset_base;

	decode(1);
	decode(2);
	config_put(2, PCI_BASE_ADDRESS_0, 4, a);
	ck_assert(!two.pci.bars[0].range.active);
	bus_read(&bus, BUS_MMIO, a, 1);
	ck_assert_uint_eq(one.reads, 1);
	config_put(2, PCI_BASE_ADDRESS_0, 4, b); /* the later moves */
	ck_assert(two.pci.bars[0].range.active);
	config_put(2, PCI_BASE_ADDRESS_0, 4, a);
	config_put(1, PCI_BASE_ADDRESS_0, 4, 0xd0000000); /* the first moves */
	ck_assert(two.pci.bars[0].range.active);
	bus_read(&bus, BUS_MMIO, a, 1);
	ck_assert_uint_eq(two.reads, 1);
	config_put(1, PCI_BASE_ADDRESS_0, 4, a);
	ck_assert(!one.pci.bars[0].range.active);
	config_put(2, PCI_COMMAND, 2, 0); /* the first is switched off */
	ck_assert(one.pci.bars[0].range.active);
	ck_assert_uint_eq(one.mapped[0], one.unmapped[0] + 1);
}
END_TEST

/* A guest that moves BARs about as fast as it can: each is where its register says, or nowhere. */
START_TEST(bar_relocation_storm)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < 200000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		unsigned slot = 1 + (random >> 33 & 1), what = random >> 34 & 3;
		uint32_t value = (uint32_t)(random >> 36);
		struct toy *toy = slot == 1 ? &one : &two;

		if (what == 0)
			config_put(slot, PCI_COMMAND, 2, value);
		else if (what == 1)
			config_put(slot, PCI_BASE_ADDRESS_0, 4, 0xc0000000 | (value & 0xffff));
		else if (what == 2)
			config_put(slot, PCI_BASE_ADDRESS_2, 4, value & 0x10fff);
		else
			config_put(slot, PCI_BASE_ADDRESS_0 + (value & 31), 1 + (value >> 5 & 7),
				   random);
		for (unsigned bar = 0; bar < 3; bar += 2) {
			ck_assert_uint_eq(toy->mapped[bar],
					  toy->unmapped[bar] + toy->pci.bars[bar].range.active);
			if (toy->pci.bars[bar].range.active)
				ck_assert_uint_eq(toy->pci.bars[bar].range.base,
						  config_get(slot, PCI_BASE_ADDRESS_0 + 4 * bar,
							     4) &
							  ~(bar ? 3u : 15u));
		}
	}
}
END_TEST

START_TEST(a_full_bus_and_a_full_window_are_refused)
{
	static struct toy more[PCI_NUM_SLOTS];
	static struct toy big;
	const struct pci_ids ids = {0};

	memset(&big, 0, sizeof(big));
	pci_device_init(&big.pci, &ids, &toy_ops);
	pci_add_bar(&big.pci, 0, 0x20000000, false, &toy_handler, &big);
	ck_assert_int_eq(pci_attach(&root, &big.pci), -ENOSPC);
	for (unsigned i = 0; i < PCI_NUM_SLOTS - 3; i++) {
		pci_device_init(&more[i].pci, &ids, &toy_ops);
		ck_assert_int_eq(pci_attach(&root, &more[i].pci), 0);
	}
	pci_device_init(&more[31].pci, &ids, &toy_ops);
	ck_assert_int_eq(pci_attach(&root, &more[31].pci), -ENOSPC);
	pci_detach(&more[31].pci);
	pci_detach(&more[0].pci);
	ck_assert_uint_eq(config_get(3, 0, 4), 0xffffffff);
	ck_assert_int_eq(pci_attach(&root, &more[31].pci), 0);
}
END_TEST

/* --- INTx --- */

START_TEST(intx_lines_are_swizzled_over_four)
{
	static const uint8_t lines[] = IRQ_PCI_LINES;

	for (unsigned slot = 0; slot < PCI_NUM_SLOTS; slot++)
		for (unsigned pin = 0; pin < 4; pin++)
			ck_assert_uint_eq(pci_slot_line(slot, pin), lines[(slot + pin) % 4]);
}
END_TEST

START_TEST(intx_follows_the_device_and_command)
{
	unsigned line = pci_slot_line(1, 0);

	pci_set_intx(&one.pci, true);
	ck_assert(rec.lines[line]);
	ck_assert_uint_eq(config_get(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
			  PCI_STATUS_INTERRUPT);
	config_put(1, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	ck_assert(!rec.lines[line]);
	ck_assert_uint_eq(config_get(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
			  PCI_STATUS_INTERRUPT);
	config_put(1, PCI_COMMAND + 1, 1, 0);
	ck_assert(rec.lines[line]);
	pci_set_intx(&one.pci, false);
	ck_assert(!rec.lines[line]);
	ck_assert_uint_eq(config_get(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	pci_set_intx(&one.pci, false);
	ck_assert_uint_eq(rec.num_line_calls, 4);
}
END_TEST

START_TEST(a_shared_line_is_high_while_anyone_wants_it)
{
	static struct toy others[3];
	struct toy *same = &others[2]; /* slot 5, on slot 1's line */
	unsigned line = pci_slot_line(1, 0);

	for (unsigned i = 0; i < 3; i++)
		make_toy(&others[i]);
	ck_assert_uint_eq(pci_slot_line(same->pci.slot, 0), line);
	pci_set_intx(&one.pci, true);
	pci_set_intx(&same->pci, true);
	pci_set_intx(&one.pci, false);
	ck_assert(rec.lines[line]);
	pci_set_intx(&one.pci, true);
	pci_detach(&same->pci);
	ck_assert(rec.lines[line]);
	pci_set_intx(&one.pci, false);
	ck_assert(!rec.lines[line]);
	ck_assert_uint_eq(rec.num_line_calls, 2);
}
END_TEST

/* --- reset --- */

START_TEST(reset_puts_everything_back)
{
	uint8_t before[PCI_CONFIG_BYTES];

	for (unsigned i = 0; i < sizeof(before); i++)
		before[i] = (uint8_t)config_get(1, i, 1);
	decode(1);
	config_put(1, PCI_BASE_ADDRESS_0, 4, 0xd0000000);
	config_put(1, PCI_INTERRUPT_LINE, 1, 99);
	config_put(1, 0x43, 1, 0x05);
	pci_set_intx(&one.pci, true);
	port_put(PORT_PCI_ADDRESS, 4, 0x80000804);
	pci_reset(&root);
	for (unsigned i = 0; i < sizeof(before); i++)
		ck_assert_uint_eq(config_get(1, i, 1), before[i]);
	ck_assert(!one.pci.bars[0].range.active);
	ck_assert(!rec.lines[pci_slot_line(1, 0)]);
	ck_assert_uint_eq(port_get(PORT_PCI_ADDRESS, 4), 0);
	ck_assert_uint_eq(one.mapped[0], one.unmapped[0]);
	decode(1);
	ck_assert_uint_eq(one.pci.bars[0].range.base, one.pci.bars[0].reset_base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_pci");
	TCase *tc = tcase_create("pci");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, ports_and_ecam_show_the_same_registers);
	tcase_add_test(tc, data_ports_take_bytes_and_words);
	tcase_add_test(tc, what_is_not_there_is_all_ones);
	tcase_add_test(tc, extended_space_is_zero_and_takes_nothing);
	tcase_add_test(tc, any_size_and_alignment_reads_the_same_bytes);
	tcase_add_test(tc, any_size_and_alignment_writes_the_same_bytes);
	tcase_add_test(tc, capabilities_are_linked_in_order);
	tcase_add_test(tc, cf9_is_the_reset_port_and_a_dword_at_cf8_the_address);
	tcase_add_test(tc, other_accesses_of_cf8_are_nobodys);
	tcase_add_test(tc, bar_sizing);
	tcase_add_test(tc, bars_start_out_apart_and_within_their_windows);
	tcase_add_test(tc, memory_and_ports_are_enabled_apart);
	tcase_add_test(tc, bar_relocation);
	tcase_add_test(tc, bar_is_decoded_only_within_the_window);
	tcase_add_test(tc, bar_over_bar_waits_until_either_moves);
	tcase_add_test(tc, bar_relocation_storm);
	tcase_add_test(tc, a_full_bus_and_a_full_window_are_refused);
	tcase_add_test(tc, intx_lines_are_swizzled_over_four);
	tcase_add_test(tc, intx_follows_the_device_and_command);
	tcase_add_test(tc, a_shared_line_is_high_while_anyone_wants_it);
	tcase_add_test(tc, reset_puts_everything_back);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
