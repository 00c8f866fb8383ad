/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aml.c - ACPI Machine Language, byte by byte, see aml.h.
 * VMM, main thread.
 *
 * A thing's length stands in front of it and is itself of one to four bytes: it is put in when the
 * thing has ended, and what was written since moves up.
 */
#include "vmm/aml.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "vhost/base/util.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	PREFIX_BYTE = 0x0a,
	PREFIX_WORD = 0x0b,
	PREFIX_DWORD = 0x0c,
	PREFIX_STRING = 0x0d,
	PREFIX_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	PREFIX_EXTENDED = 0x5b,
	OP_DEVICE = 0x82, /* behind PREFIX_EXTENDED */
	OP_IF = 0xa0,
};

#define METHOD_SERIALIZED 0x08
#define NAME_CHARS        4
#define UUID_BYTES        16

void aml_init(struct aml *aml, void *data, size_t room)
{
	*aml = (struct aml){.data = data, .room = room};
}

/* put_at - insert @bytes at @at. */
static void put_at(struct aml *aml, size_t at, const void *bytes, size_t count)
{
	if (aml->full || count > aml->room - aml->bytes) {
		aml->full = true;
		return;
	}
	memmove(aml->data + at + count, aml->data + at, aml->bytes - at);
	memcpy(aml->data + at, bytes, count);
	aml->bytes += count;
}

static void put(struct aml *aml, const void *bytes, size_t count)
{
	put_at(aml, aml->bytes, bytes, count);
}

static void put_byte(struct aml *aml, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	put(aml, &byte, 1);
}

static void put_number(struct aml *aml, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		put_byte(aml, (uint8_t)(value >> (8 * i)));
}

/* --- names and values --- */

void aml_ref(struct aml *aml, const char *name)
{
	size_t chars;

	if (*name == '\\') {
		put_byte(aml, '\\');
		name++;
	}
	chars = strlen(name);
	assert(chars >= 1 && chars <= NAME_CHARS);
	put(aml, name, chars);
	put(aml, "____", NAME_CHARS - chars);
}

void aml_name(struct aml *aml, const char *name)
{
	put_byte(aml, OP_NAME);
	aml_ref(aml, name);
}

/* encode_integer - Return: how many bytes of @out it takes, at most 9. */
static unsigned encode_integer(uint8_t out[9], uint64_t value)
{
	unsigned bytes = value > UINT32_MAX   ? 8
			 : value > UINT16_MAX ? 4
			 : value > UINT8_MAX  ? 2
					      : 1;

	if (value <= 1) {
		out[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	out[0] = bytes == 8   ? PREFIX_QWORD
		 : bytes == 4 ? PREFIX_DWORD
		 : bytes == 2 ? PREFIX_WORD
			      : PREFIX_BYTE;
	for (unsigned i = 0; i < bytes; i++)
		out[1 + i] = (uint8_t)(value >> (8 * i));
	return 1 + bytes;
}

void aml_integer(struct aml *aml, uint64_t value)
{
	uint8_t encoded[9];

	put(aml, encoded, encode_integer(encoded, value));
}

void aml_string(struct aml *aml, const char *text)
{
	put_byte(aml, PREFIX_STRING);
	put(aml, text, strlen(text) + 1);
}

/* Three letters of five bits each and four hexadecimal digits, most significant first (EISA). */
void aml_eisa_id(struct aml *aml, const char *text)
{
	char letters[3];
	unsigned digits;
	uint32_t id;
	int used;

	used = sscanf(text, "%3c%4x", letters, &digits);
	assert(used == 2);
	(void)used;
	id = (letters[0] & 0x1fu) << 26 | (letters[1] & 0x1fu) << 21 | (letters[2] & 0x1fu) << 16 |
	     digits;
	aml_integer(aml, __builtin_bswap32(id));
}

/* aml_uuid - a buffer; the first three groups are little-endian numbers, the rest is bytes. */
void aml_uuid(struct aml *aml, const char *text)
{
	static const uint8_t order[UUID_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
						  8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t bytes[UUID_BYTES];
	size_t begun;

	for (unsigned i = 0; i < UUID_BYTES; i++) {
		unsigned value;
		int used;

		text += *text == '-';
		used = sscanf(text, "%2x", &value);
		assert(used == 1);
		(void)used;
		text += 2;
		bytes[order[i]] = (uint8_t)value;
	}
	put_byte(aml, OP_BUFFER);
	begun = aml->bytes;
	aml_integer(aml, sizeof(bytes));
	put(aml, bytes, sizeof(bytes));
	aml_end(aml, begun);
}

void aml_op(struct aml *aml, enum aml_op op)
{
	put_byte(aml, op);
}

/* --- things with a length --- */

void aml_end(struct aml *aml, size_t begun)
{
	size_t bytes = aml->bytes - begun;
	uint8_t length[4];
	unsigned more = 0; /* bytes of the length behind its first */

	/* The length counts itself. Alone, its first byte has six bits of it; with others, four. */
	if (bytes + 1 > 0x3f)
		for (more = 1; bytes + 1 + more >= (size_t)1 << (4 + 8 * more); more++)
			;
	bytes += 1 + more;
	length[0] = (uint8_t)(more ? more << 6 | (bytes & 0xf) : bytes);
	for (unsigned i = 0; i < more; i++)
		length[1 + i] = (uint8_t)(bytes >> (4 + 8 * i));
	put_at(aml, begun, length, 1 + more);
}

size_t aml_scope(struct aml *aml, const char *name)
{
	size_t begun;

	put_byte(aml, OP_SCOPE);
	begun = aml->bytes;
	aml_ref(aml, name);
	return begun;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t begun;

	put_byte(aml, PREFIX_EXTENDED);
	put_byte(aml, OP_DEVICE);
	begun = aml->bytes;
	aml_ref(aml, name);
	return begun;
}

size_t aml_method(struct aml *aml, const char *name, unsigned num_args)
{
	size_t begun;

	put_byte(aml, OP_METHOD);
	begun = aml->bytes;
	aml_ref(aml, name);
	put_byte(aml, num_args | METHOD_SERIALIZED);
	return begun;
}

size_t aml_package(struct aml *aml, unsigned num_elements)
{
	size_t begun;

	assert(num_elements <= UINT8_MAX);
	put_byte(aml, OP_PACKAGE);
	begun = aml->bytes;
	put_byte(aml, num_elements);
	return begun;
}

size_t aml_if(struct aml *aml)
{
	put_byte(aml, OP_IF);
	return aml->bytes;
}

/* --- resources, ACPI 6.3 section 6.4 --- */

enum {
	SMALL_IRQ = 0x22,
	SMALL_IO = 0x47,
	SMALL_END = 0x79,
	LARGE_MEMORY32 = 0x86,
	LARGE_DWORD = 0x87,
	LARGE_WORD = 0x88,
};

enum { WINDOW_MEMORY, WINDOW_IO, WINDOW_BUS };

#define IO_DECODES_16_BITS   0x01
#define MEMORY_WRITABLE      0x01
#define WINDOW_FIXED         0x0c /* neither end can be moved */
#define WINDOW_IO_ALL        0x03 /* aliases of ISA ports or not */
#define WINDOW_MEMORY_FLAGS  0x01 /* not cached, writable */
#define WINDOW_HEADER_BYTES  3
#define WINDOW_ADDRESS_COUNT 5

size_t aml_resources(struct aml *aml)
{
	put_byte(aml, OP_BUFFER);
	return aml->bytes;
}

void aml_end_resources(struct aml *aml, size_t begun)
{
	uint8_t size[9];

	put_byte(aml, SMALL_END);
	put_byte(aml, 0); /* a checksum that nobody has to check */
	put_at(aml, begun, size, encode_integer(size, aml->bytes - begun));
	aml_end(aml, begun);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t bytes)
{
	put_byte(aml, SMALL_IO);
	put_byte(aml, IO_DECODES_16_BITS);
	put_number(aml, base, 2); /* lowest base */
	put_number(aml, base, 2); /* highest */
	put_byte(aml, 1); /* alignment */
	put_byte(aml, bytes);
}

void aml_irq(struct aml *aml, unsigned irq)
{
	put_byte(aml, SMALL_IRQ);
	put_number(aml, 1u << irq, 2);
}

void aml_memory(struct aml *aml, uint32_t base, uint32_t bytes)
{
	put_byte(aml, LARGE_MEMORY32);
	put_number(aml, 9, 2);
	put_byte(aml, MEMORY_WRITABLE);
	put_number(aml, base, 4);
	put_number(aml, bytes, 4);
}

/* window - what a bridge hands down, its numbers of @width bytes each. */
static void window(struct aml *aml, unsigned type, unsigned flags, unsigned width, uint32_t first,
		   uint32_t last)
{
	put_byte(aml, width == 2 ? LARGE_WORD : LARGE_DWORD);
	put_number(aml, WINDOW_HEADER_BYTES + WINDOW_ADDRESS_COUNT * width, 2);
	put_byte(aml, type);
	put_byte(aml, WINDOW_FIXED);
	put_byte(aml, flags);
	put_number(aml, 0, width); /* granularity */
	put_number(aml, first, width);
	put_number(aml, last, width);
	put_number(aml, 0, width); /* translation */
	put_number(aml, (uint64_t)last - first + 1, width);
}

void aml_bus_window(struct aml *aml, uint16_t first, uint16_t last)
{
	window(aml, WINDOW_BUS, 0, 2, first, last);
}

void aml_io_window(struct aml *aml, uint16_t base, uint32_t bytes)
{
	window(aml, WINDOW_IO, WINDOW_IO_ALL, 2, base, base + bytes - 1);
}

void aml_memory_window(struct aml *aml, uint32_t base, uint32_t bytes)
{
	window(aml, WINDOW_MEMORY, WINDOW_MEMORY_FLAGS, 4, base, base + bytes - 1);
}
