/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rss.c - hashes of flows: Toeplitz as drivers ask for, and a quick one.
 * lcore threads. Layer L5. virtio 1.3, section 5.1.6.4.3.
 */
#include "net/rss.h"

#include <assert.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_jhash.h>
#include <rte_thash.h>
#include <string.h>

#include "net/headers.h"

#define TYPE(report) (1u << (VIRTIO_NET_HASH_REPORT_##report - 1))

#define IPV4_SOURCE        12 /* offsets in the header */
#define IPV4_DESTINATION   16
#define IPV6_SOURCE        8
#define IPV6_DESTINATION   24
#define IPV4_ADDRESS_BYTES 4
#define IPV6_ADDRESS_BYTES 16
#define PORTS_BYTES        4

const uint32_t net_rss_types = VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 |
			       VIRTIO_NET_RSS_HASH_TYPE_UDPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6 |
			       VIRTIO_NET_RSS_HASH_TYPE_TCPv6 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6 |
			       VIRTIO_NET_RSS_HASH_TYPE_IP_EX | VIRTIO_NET_RSS_HASH_TYPE_TCP_EX |
			       VIRTIO_NET_RSS_HASH_TYPE_UDP_EX;

static_assert(TYPE(UDPv4) == VIRTIO_NET_RSS_HASH_TYPE_UDPv4 &&
		      TYPE(UDPv6_EX) == VIRTIO_NET_RSS_HASH_TYPE_UDP_EX,
	      "a report is the number of its type's bit, from one");

/* What is hashed, in the order of the frame. */
struct tuple {
	uint8_t bytes[2 * IPV6_ADDRESS_BYTES + PORTS_BYTES];
	unsigned used;
};

static void put(struct tuple *t, const uint8_t *bytes, unsigned n)
{
	memcpy(t->bytes + t->used, bytes, n);
	t->used += n;
}

/* choose - which of the two reports is of an enabled type, the protocol's first. */
static uint16_t choose(uint32_t types, uint16_t of_protocol, uint16_t of_ip)
{
	if (of_protocol && types & 1u << (of_protocol - 1))
		return of_protocol;
	return types & 1u << (of_ip - 1) ? of_ip : VIRTIO_NET_HASH_REPORT_NONE;
}

static uint16_t by_protocol(const struct net_headers *h, uint16_t tcp, uint16_t udp)
{
	if (!h->payload)
		return VIRTIO_NET_HASH_REPORT_NONE;
	return h->protocol == IPPROTO_TCP ? tcp : udp;
}

static uint16_t report_of(const struct net_headers *h, uint32_t types)
{
	uint16_t report;

	if (h->ip == 4)
		return choose(types,
			      by_protocol(h, VIRTIO_NET_HASH_REPORT_TCPv4,
					  VIRTIO_NET_HASH_REPORT_UDPv4),
			      VIRTIO_NET_HASH_REPORT_IPv4);
	if (h->ip != 6)
		return VIRTIO_NET_HASH_REPORT_NONE;
	if (h->extended) {
		report = choose(types,
				by_protocol(h, VIRTIO_NET_HASH_REPORT_TCPv6_EX,
					    VIRTIO_NET_HASH_REPORT_UDPv6_EX),
				VIRTIO_NET_HASH_REPORT_IPv6_EX);
		if (report)
			return report;
	}
	return choose(types,
		      by_protocol(h, VIRTIO_NET_HASH_REPORT_TCPv6, VIRTIO_NET_HASH_REPORT_UDPv6),
		      VIRTIO_NET_HASH_REPORT_IPv6);
}

static void put_addresses(struct tuple *t, const struct net_headers *h, const uint8_t *data,
			  bool extended)
{
	const uint8_t *ip = data + h->l3;

	if (h->ip == 4) {
		put(t, ip + IPV4_SOURCE, 2 * IPV4_ADDRESS_BYTES);
		return;
	}
	put(t, extended && h->home ? data + h->home : ip + IPV6_SOURCE, IPV6_ADDRESS_BYTES);
	put(t, extended && h->route ? data + h->route : ip + IPV6_DESTINATION, IPV6_ADDRESS_BYTES);
}

static uint32_t toeplitz(const struct tuple *t, const uint8_t *key)
{
	uint32_t words[sizeof(t->bytes) / sizeof(uint32_t)], aligned_key[NET_RSS_MAX_KEY / 4];
	unsigned num = t->used / sizeof(uint32_t);

	memcpy(words, t->bytes, t->used);
	for (unsigned i = 0; i < num; i++)
		words[i] = rte_be_to_cpu_32(words[i]);
	memcpy(aligned_key, key, sizeof(aligned_key));
	return rte_softrss(words, num, (const uint8_t *)aligned_key);
}

void net_rss_hash(struct rte_mbuf *frame, const struct net_rss *rss)
{
	const uint8_t *data = rte_pktmbuf_mtod(frame, const uint8_t *);
	struct net_frame_meta *meta = net_meta(frame);
	struct net_headers h;
	struct tuple t = {.used = 0};

	meta->hash_type = VIRTIO_NET_HASH_REPORT_NONE;
	if (!rss->types || !net_headers_parse(&h, data, frame->data_len, net_frame_bytes(frame)))
		return;
	meta->hash_type = report_of(&h, rss->types);
	if (meta->hash_type == VIRTIO_NET_HASH_REPORT_NONE)
		return;
	put_addresses(&t, &h, data, meta->hash_type >= VIRTIO_NET_HASH_REPORT_IPv6_EX);
	if (meta->hash_type != VIRTIO_NET_HASH_REPORT_IPv4 &&
	    meta->hash_type != VIRTIO_NET_HASH_REPORT_IPv6 &&
	    meta->hash_type != VIRTIO_NET_HASH_REPORT_IPv6_EX)
		put(&t, data + h.l4, PORTS_BYTES);
	meta->hash = toeplitz(&t, rss->key);
}

uint32_t net_flow_hash(struct rte_mbuf *frame)
{
	const uint8_t *data = rte_pktmbuf_mtod(frame, const uint8_t *);
	struct net_headers h;
	struct tuple t = {.used = 0};

	if (!net_headers_parse(&h, data, frame->data_len, net_frame_bytes(frame)))
		return 0;
	if (h.ip) {
		put_addresses(&t, &h, data, false);
		if (h.payload)
			put(&t, data + h.l4, PORTS_BYTES);
	} else {
		put(&t, data, 2 * sizeof(struct rte_ether_addr));
	}
	return rte_jhash(t.bytes, t.used, 0);
}
