/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * headers.c - finds the IP and transport headers of a frame. RFC 791, 8200, IEEE 802.1Q.
 * Any thread. Layer L5. Trusts no length: each is compared with what is there before it is used.
 */
#include "net/headers.h"

#include <netinet/in.h>

#include "vhost/base/util.h"

#define ETHER_BYTES   14
#define TAG_BYTES     4
#define MAX_TAGS      2
#define IPV4_BYTES    20
#define IPV6_BYTES    40
#define TCP_BYTES     20
#define UDP_BYTES     8
#define OPTION_BYTES  8 /* of an extension header, the least */
#define MAX_EXTENSION 8 /* headers; a longer chain is not followed: offsets fit 16 bits */

#define TYPE_VLAN 0x8100
#define TYPE_QINQ 0x88a8
#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd

#define OPTION_PAD1      0
#define OPTION_HOME      0xc9 /* RFC 6275, section 6.3 */
#define HOME_BYTES       16
#define ROUTING_MOBILITY 2 /* section 6.4 */
#define ROUTING_BYTES    24

static uint16_t be16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* read_transport - of what begins at @h->l4, with the packet's last byte before @end. */
static void read_transport(struct net_headers *h, const uint8_t *data, uint32_t end)
{
	uint32_t room = end - h->l4, length;

	if (h->protocol == IPPROTO_UDP) {
		length = UDP_BYTES;
	} else if (h->protocol == IPPROTO_TCP && room >= TCP_BYTES) {
		length = (data[h->l4 + 12] >> 4) * 4u;
		if (length < TCP_BYTES)
			return;
	} else {
		return;
	}
	if (length <= room)
		h->payload = (uint16_t)(h->l4 + length);
}

static void read_ipv4(struct net_headers *h, const uint8_t *data, uint32_t bytes, uint32_t room)
{
	const uint8_t *ip = data + h->l3;
	uint32_t length, total;

	if (bytes - h->l3 < IPV4_BYTES || ip[0] >> 4 != 4)
		return;
	length = (ip[0] & 15) * 4u;
	total = be16_at(ip + 2);
	if (length < IPV4_BYTES || length > bytes - h->l3 || total < length || total > room)
		return;
	h->ip = 4;
	h->l3_bytes = total;
	h->protocol = ip[9];
	h->fragment = be16_at(ip + 6) & 0x3fff; /* more of them, or not the first */
	h->fragmentable = (uint16_t)(h->l3 + length);
	if (h->fragment || total == length || length == bytes - h->l3)
		return;
	h->l4 = (uint16_t)(h->l3 + length);
	read_transport(h, data, min_of(h->l3 + total, bytes));
}

/* read_home_address - of the destination options in [@at, @end). */
static void read_home_address(struct net_headers *h, const uint8_t *data, uint32_t at, uint32_t end)
{
	for (at += 2; at + 2 <= end; at += data[at] == OPTION_PAD1 ? 1 : 2u + data[at + 1]) {
		if (data[at] == OPTION_HOME && data[at + 1] == HOME_BYTES &&
		    end - at >= 2 + HOME_BYTES)
			h->home = (uint16_t)(at + 2);
	}
}

static bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_AH;
}

static uint32_t extension_bytes(uint8_t protocol, const uint8_t *p)
{
	switch (protocol) {
	case IPPROTO_FRAGMENT:
		return 8;
	case IPPROTO_AH:
		return (p[1] + 2u) * 4;
	default:
		return (p[1] + 1u) * 8;
	}
}

/* read_extensions - from @at on. Return: the offset behind them, or 0 where they break off. */
static uint32_t read_extensions(struct net_headers *h, const uint8_t *data, uint32_t at,
				uint32_t end)
{
	for (unsigned i = 0; is_extension(h->protocol); i++) {
		const uint8_t *p = data + at;
		uint8_t type = h->protocol;
		uint32_t length;

		h->extended = true;
		if (i == MAX_EXTENSION || end - at < OPTION_BYTES)
			return 0;
		length = extension_bytes(type, p);
		if (length > end - at)
			return 0;
		h->protocol = p[0];
		if (type == IPPROTO_FRAGMENT) {
			h->fragment = true;
			return 0;
		}
		if (type == IPPROTO_ROUTING && p[2] == ROUTING_MOBILITY && length == ROUTING_BYTES)
			h->route = (uint16_t)(at + 8);
		if (type == IPPROTO_DSTOPTS)
			read_home_address(h, data, at, at + length);
		at += length;
		if (type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING)
			h->fragmentable = (uint16_t)at;
	}
	return at;
}

static void read_ipv6(struct net_headers *h, const uint8_t *data, uint32_t bytes, uint32_t room)
{
	const uint8_t *ip = data + h->l3;
	uint32_t end, l4;

	if (bytes - h->l3 < IPV6_BYTES || ip[0] >> 4 != 6)
		return;
	h->l3_bytes = IPV6_BYTES + be16_at(ip + 4);
	if (h->l3_bytes > room)
		return;
	h->ip = 6;
	h->protocol = ip[6];
	h->fragmentable = (uint16_t)(h->l3 + IPV6_BYTES);
	end = min_of(h->l3 + h->l3_bytes, bytes);
	l4 = read_extensions(h, data, h->fragmentable, end);
	if (!l4 || l4 == end)
		return;
	h->l4 = (uint16_t)l4;
	read_transport(h, data, end);
}

bool net_headers_parse(struct net_headers *h, const uint8_t *data, uint32_t bytes,
		       uint32_t frame_bytes)
{
	*h = (struct net_headers){0};
	if (bytes < ETHER_BYTES || frame_bytes < bytes)
		return false;
	h->l3 = ETHER_BYTES;
	h->ether_type = be16_at(data + h->l3 - 2);
	for (unsigned i = 0; i < MAX_TAGS && bytes - h->l3 >= TAG_BYTES; i++) {
		if (h->ether_type != TYPE_VLAN && h->ether_type != TYPE_QINQ)
			break;
		if (!h->tagged)
			h->vlan = be16_at(data + h->l3);
		h->tagged = true;
		h->l3 += TAG_BYTES;
		h->ether_type = be16_at(data + h->l3 - 2);
	}
	if (h->ether_type == TYPE_IPV4)
		read_ipv4(h, data, bytes, frame_bytes - h->l3);
	else if (h->ether_type == TYPE_IPV6)
		read_ipv6(h, data, bytes, frame_bytes - h->l3);
	return true;
}
