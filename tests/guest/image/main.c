/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - the test guest: read what the loader left, run the tests that the command line names,
 * power off. The first CPU.
 */
#include <stddef.h>

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/serial.h"

#define CMDLINE_BYTES    1024
#define MAX_MAP          32
#define START_INFO_MAGIC 0x336ec578

struct map_entry {
	uint64_t begin, bytes;
	uint32_t type, reserved;
};

/* Xen, start_info.h */
struct start_info {
	uint32_t magic, version, flags, num_modules;
	uint64_t modules, cmdline, rsdp;
	uint64_t map; /* from version 1 on */
	uint32_t map_entries, reserved;
};

void guest_main(const struct start_info *from);

static const struct guest_test *const suites[] = {
	board_tests, cpu_tests,  pci_tests,  blk_tests,     interrupt_tests, virtio_tests,
	life_tests,  poke_tests, port_tests, hostile_tests, balloon_tests,
};

/* Copies: a test may write anywhere below 1 MiB. */
static struct start_info info;
static struct map_entry map[MAX_MAP];
static char cmdline[CMDLINE_BYTES];

static void copy_start_info(const struct start_info *from)
{
	const char *text = (const char *)from->cmdline;

	info = *from;
	if (!info.version)
		info.map_entries = 0;
	if (info.map_entries > MAX_MAP)
		info.map_entries = MAX_MAP;
	for (unsigned i = 0; i < info.map_entries; i++)
		map[i] = ((const struct map_entry *)info.map)[i];
	for (unsigned i = 0; text && text[i] && i < CMDLINE_BYTES - 1; i++)
		cmdline[i] = text[i];
}

unsigned start_info_version(void)
{
	return info.version;
}

unsigned start_info_map_entries(void)
{
	return info.map_entries;
}

bool start_info_map_entry(unsigned index, uint64_t *begin, uint64_t *bytes, uint32_t *type)
{
	if (index >= info.map_entries)
		return false;
	*begin = map[index].begin;
	*bytes = map[index].bytes;
	*type = map[index].type;
	return true;
}

/* --- the command line --- */

const char *option(const char *name)
{
	size_t bytes = text_length(name);

	for (const char *p = cmdline; *p; p++)
		if ((p == cmdline || p[-1] == ' ') && text_equal(p, name, bytes) && p[bytes] == '=')
			return p + bytes + 1;
	return NULL;
}

static bool word_is(const char *text, const char *word)
{
	size_t bytes = text_length(word);

	return text_equal(text, word, bytes) &&
	       (!text[bytes] || text[bytes] == ' ' || text[bytes] == ',');
}

bool option_is(const char *name, const char *value)
{
	const char *text = option(name);

	return text && word_is(text, value);
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	const char *text = option(name);

	return text ? text_number(text) : otherwise;
}

const char *next_word(const char *text)
{
	while (*text && *text != ' ' && *text != ',')
		text++;
	return *text == ',' ? text + 1 : NULL;
}

uint64_t option_number_at(const char *name, unsigned index, uint64_t otherwise)
{
	const char *text = option(name);

	while (text && index--)
		text = next_word(text);
	return text ? text_number(text) : otherwise;
}

/* --- life --- */

void guest_stand_still(void)
{
	interrupts_off();
	for (;;)
		__asm__ volatile("hlt");
}

void guest_end(void)
{
	print_plan();
	serial_wait_sent();
	acpi_poweroff();
	wait_ms(100);
	print("not ok - the machine does not power off\n");
	guest_stand_still();
}

static void run(const char *name)
{
	for (unsigned i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		for (const struct guest_test *test = suites[i]; test->name; test++) {
			if (word_is(name, test->name)) {
				note("test %s", test->name);
				test->run();
				return;
			}
		}
	}
	check(false, "the command line names a test there is: %s", name);
}

void guest_main(const struct start_info *from)
{
	serial_init();
	copy_start_info(from);
	acpi_init(info.magic == START_INFO_MAGIC ? info.rsdp : 0);
	interrupt_init();
	print("BOOT\n");
	for (const char *name = option("test"); name; name = next_word(name))
		run(name);
	guest_end();
}
