/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * headers.h - where the protocol headers of a frame lie.
 * Layer L5, any thread. Reads only the mbuf's first segment, whatever the frame claims of itself.
 */
#ifndef RINGSIDE_NET_HEADERS_H
#define RINGSIDE_NET_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

struct net_headers {
	uint16_t ether_type; /* behind up to two VLAN tags, host byte order */
	uint16_t vlan; /* TCI of the outer tag; 0 without one */
	bool tagged;
	uint8_t ip; /* 4, 6, or 0: neither, or cut short, or wrong in itself */
	uint8_t protocol; /* IPPROTO_TCP, ... behind IPv6 extension headers */
	bool fragment; /* of an IP packet: the transport header, if any, is not looked at */
	uint16_t l3; /* offset of the IP header */
	uint16_t l4; /* offset of the transport header; 0: none that could be read */
	uint16_t payload; /* offset behind the TCP or UDP header; 0: neither, or cut short */
	uint32_t l3_bytes; /* IP header and all it says that follows; no more than the frame has */
	/* Of IPv6 extension headers: */
	bool extended; /* there are some */
	uint16_t fragmentable; /* offset of what fragments of the packet would share out */
	uint16_t home, route; /* offsets of a home address option's address and of that in a routing
			       * header of type 2; 0: none */
};

/*
 * net_headers_parse - @data: the first @bytes of a frame of @frame_bytes. Bounded work; every offset
 * it returns lies within @bytes. Return: false when not even an Ethernet header is there.
 */
bool net_headers_parse(struct net_headers *h, const uint8_t *data, uint32_t bytes,
		       uint32_t frame_bytes);

#endif
