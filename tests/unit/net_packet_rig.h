/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_packet_rig.h - frames made header by header, with lengths filled in and sums as a driver leaves
 * them: that of the pseudo header in TCP and UDP. What is to be wrong is changed afterwards.
 * Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_PACKET_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_PACKET_RIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PACKET_BYTES 70000

#define PACKET_FIN 0x01
#define PACKET_SYN 0x02
#define PACKET_PSH 0x08
#define PACKET_ACK 0x10
#define PACKET_CWR 0x80

struct packet {
	uint8_t data[PACKET_BYTES];
	uint32_t bytes;
	uint32_t l3, l4, payload; /* offsets */
	uint8_t ip, protocol;
};

static inline void packet_be16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline uint16_t packet_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t packet_get32(const uint8_t *p)
{
	return (uint32_t)packet_get16(p) << 16 | packet_get16(p + 2);
}

/* packet_sum - word by word, folded; what a checksum is the complement of. */
static inline uint32_t packet_sum(const uint8_t *p, uint32_t bytes, uint32_t sum)
{
	for (uint32_t i = 0; i < bytes; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* packet_add - @bytes more, counting up from @first. Return: where they begin. */
static inline uint8_t *packet_add(struct packet *p, uint32_t bytes, uint8_t first)
{
	uint8_t *at = p->data + p->bytes;

	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(first + i * 7 + (i >> 8));
	p->bytes += bytes;
	return at;
}

static inline uint8_t *packet_add_zeros(struct packet *p, uint32_t bytes)
{
	return memset(packet_add(p, bytes, 0), 0, bytes);
}

static inline void packet_ether(struct packet *p, uint16_t type)
{
	memset(p, 0, sizeof(*p));
	packet_add(p, 12, 2);
	packet_be16(packet_add(p, 2, 0), type);
	p->l3 = p->bytes;
}

/* packet_tag - of a type; what it tags is of type @type. */
static inline void packet_tag(struct packet *p, uint16_t tci, uint16_t type)
{
	uint8_t *tag = packet_add(p, 4, 0);

	packet_be16(tag, tci);
	packet_be16(tag + 2, type);
	p->l3 = p->bytes;
}

static inline void packet_ipv4(struct packet *p, uint8_t protocol, uint32_t option_bytes)
{
	uint8_t *ip = packet_add_zeros(p, 20);

	ip[0] = (uint8_t)(0x45 + option_bytes / 4);
	packet_be16(ip + 4, 0xfffe);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	memset(packet_add(p, option_bytes, 0), 1, option_bytes);
	p->ip = 4;
	p->protocol = protocol;
	p->l4 = p->bytes;
}

static inline void packet_ipv6(struct packet *p, uint8_t next)
{
	uint8_t *ip = packet_add_zeros(p, 40);

	ip[0] = 0x60;
	ip[6] = next;
	ip[7] = 64;
	ip[8] = ip[24] = 0xfd;
	ip[23] = 1;
	ip[39] = 2;
	p->ip = 6;
	p->protocol = next;
	p->l4 = p->bytes;
}

/* packet_extension - as the header before it said: options, or routing of no type that is known. */
static inline uint8_t *packet_extension(struct packet *p, uint8_t next, uint32_t bytes)
{
	uint8_t *extension = packet_add_zeros(p, bytes);

	extension[0] = next;
	extension[1] = (uint8_t)(bytes / 8 - 1);
	p->protocol = next;
	p->l4 = p->bytes;
	return extension;
}

static inline void packet_tcp(struct packet *p, uint32_t option_bytes, uint8_t flags)
{
	uint8_t *tcp = packet_add_zeros(p, 20);

	packet_be16(tcp, 40000);
	packet_be16(tcp + 2, 80);
	memcpy(tcp + 4, (uint8_t[]){0xff, 0xff, 0xff, 0x00}, 4);
	tcp[12] = (uint8_t)((5 + option_bytes / 4) << 4);
	tcp[13] = flags;
	packet_be16(tcp + 14, 512);
	memset(packet_add(p, option_bytes, 0), 1, option_bytes);
	p->payload = p->bytes;
}

static inline void packet_udp(struct packet *p)
{
	uint8_t *udp = packet_add_zeros(p, 8);

	packet_be16(udp, 4000);
	packet_be16(udp + 2, 53);
	p->payload = p->bytes;
}

static inline uint32_t packet_pseudo(const struct packet *p, const uint8_t *data, uint32_t bytes)
{
	uint32_t sum = p->ip == 4 ? packet_sum(data + p->l3 + 12, 8, 0)
				  : packet_sum(data + p->l3 + 8, 32, 0);

	return packet_sum(NULL, 0, sum + p->protocol + bytes - p->l4);
}

static inline uint32_t packet_csum_offset(const struct packet *p)
{
	return p->protocol == IPPROTO_UDP ? 6 : 16;
}

/* packet_end - lengths and sums. */
static inline void packet_end(struct packet *p)
{
	uint8_t *ip = p->data + p->l3, *l4 = p->data + p->l4;

	if (p->ip == 4) {
		packet_be16(ip + 2, p->bytes - p->l3);
		packet_be16(ip + 10, 0);
		packet_be16(ip + 10, ~packet_sum(ip, p->l4 - p->l3, 0));
	} else {
		packet_be16(ip + 4, p->bytes - p->l3 - 40);
	}
	if (p->protocol == IPPROTO_UDP)
		packet_be16(l4 + 4, p->bytes - p->l4);
	packet_be16(l4 + packet_csum_offset(p), packet_pseudo(p, p->data, p->bytes));
}

/* packet_summed - is the sum of TCP or UDP in @bytes of @data, headers as @p's, complete? */
static inline bool packet_summed(const struct packet *p, const uint8_t *data, uint32_t bytes)
{
	return packet_sum(data + p->l4, bytes - p->l4, packet_pseudo(p, data, bytes)) == 0xffff;
}

#endif
