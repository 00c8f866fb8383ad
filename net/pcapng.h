/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcapng.h - the blocks of a capture file (draft-ietf-opsawg-pcapng) with one interface, in our own
 * byte order. Layer L5, any thread.
 */
#ifndef RINGSIDE_NET_PCAPNG_H
#define RINGSIDE_NET_PCAPNG_H

#include <stdint.h>

enum { PCAPNG_PACKET = 6 }; /* enhanced packet block */
enum { PCAPNG_FLAGS = 2, PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

/* In front of a packet's bytes, which are padded to a multiple of 4. */
struct pcapng_packet {
	uint32_t type, bytes, interface, time_high, time_low, captured, original;
};

/* Behind them. */
struct pcapng_packet_end {
	uint16_t flags_option, flags_bytes;
	uint32_t flags;
	uint32_t end_of_options;
	uint32_t bytes; /* of the block, once more */
};

/* A block that is written by itself. */
struct pcapng_block {
	uint32_t words;
	uint32_t data[64];
};

/* pcapng_section - a file begins with it. */
void pcapng_section(struct pcapng_block *block, const char *application);

/* pcapng_interface - number 0: Ethernet, times in nanoseconds. @name: at most 31 bytes;
 * @snap_bytes 0: frames are whole. */
void pcapng_interface(struct pcapng_block *block, const char *name, uint32_t snap_bytes);

/* pcapng_statistics - at @ns since 1970 so many frames had come, of which @dropped are missing. */
void pcapng_statistics(struct pcapng_block *block, uint64_t ns, uint64_t received,
		       uint64_t dropped);

#endif
