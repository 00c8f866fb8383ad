/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcapng.c - see pcapng.h. Layer L5, any thread.
 */
#include "net/pcapng.h"

#include <assert.h>
#include <string.h>

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5 };
enum { SECTION_APPLICATION = 4, INTERFACE_NAME = 2, INTERFACE_RESOLUTION = 9 };
enum { STATISTICS_RECEIVED = 4, STATISTICS_DROPPED = 5 };

static_assert(sizeof(struct pcapng_packet) == 28, "as in the file");
static_assert(sizeof(struct pcapng_packet_end) == 16, "as in the file");

static void put(struct pcapng_block *block, uint32_t word)
{
	block->data[block->words++] = word;
}

static void put_option(struct pcapng_block *block, uint16_t code, const void *value, uint16_t bytes)
{
	put(block, (uint32_t)bytes << 16 | code);
	block->data[block->words + bytes / 4] = 0; /* padding */
	memcpy(&block->data[block->words], value, bytes);
	block->words += (bytes + 3u) / 4;
}

static void begin(struct pcapng_block *block, uint32_t type)
{
	block->words = 0;
	put(block, type);
	put(block, 0); /* bytes: end() knows */
}

/* end - no more options; a block's length stands at both its ends. */
static void end(struct pcapng_block *block)
{
	put(block, 0);
	put(block, (block->words + 1) * 4);
	block->data[1] = block->words * 4;
}

void pcapng_section(struct pcapng_block *block, const char *application)
{
	begin(block, SECTION);
	put(block, 0x1a2b3c4d); /* tells the byte order */
	put(block, 1); /* version 1.0 */
	put(block, UINT32_MAX); /* of unknown length */
	put(block, UINT32_MAX);
	put_option(block, SECTION_APPLICATION, application, (uint16_t)strnlen(application, 64));
	end(block);
}

void pcapng_interface(struct pcapng_block *block, const char *name, uint32_t snap_bytes)
{
	const uint8_t nanoseconds = 9;

	begin(block, INTERFACE);
	put(block, 1); /* LINKTYPE_ETHERNET */
	put(block, snap_bytes);
	put_option(block, INTERFACE_NAME, name, (uint16_t)strnlen(name, 64));
	put_option(block, INTERFACE_RESOLUTION, &nanoseconds, 1);
	end(block);
}

void pcapng_statistics(struct pcapng_block *block, uint64_t ns, uint64_t received, uint64_t dropped)
{
	begin(block, STATISTICS);
	put(block, 0);
	put(block, (uint32_t)(ns >> 32));
	put(block, (uint32_t)ns);
	put_option(block, STATISTICS_RECEIVED, &received, sizeof(received));
	put_option(block, STATISTICS_DROPPED, &dropped, sizeof(dropped));
	end(block);
}
