/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checksum.c - sums over frames, mbufs and borrowed parts. RFC 1071; virtio 1.3, section 5.1.6.2.
 * lcore threads. Layer L5. Borrowed bytes may change while they are summed: the sum is wrong then,
 * which is the sender's affair.
 */
#include "net/checksum.h"

#include <rte_ip.h>
#include <string.h>

#include "net/offload.h"

#define UDP_OFFSET 6 /* of the checksum in a UDP header */

void net_cursor_init(struct net_cursor *cursor, struct rte_mbuf *frame, uint32_t offset)
{
	const struct net_frame_meta *meta = net_meta(frame);
	const uint8_t *piece;
	uint32_t n;

	*cursor = (struct net_cursor){
		.mbuf = frame,
		.rest = meta->rest,
		.num_rest = meta->rest_bytes ? meta->num_rest : 0,
	};
	for (; offset; offset -= n) {
		n = net_cursor_next(cursor, offset, &piece);
		if (!n)
			return;
	}
}

uint32_t net_cursor_next(struct net_cursor *cursor, uint32_t max, const uint8_t **piece)
{
	while (cursor->mbuf || cursor->num_rest) {
		const struct rte_mbuf *m = cursor->mbuf;
		uint32_t there = m ? m->data_len : (uint32_t)cursor->rest->iov_len;
		const uint8_t *base =
			m ? rte_pktmbuf_mtod(m, const uint8_t *) : cursor->rest->iov_base;
		uint32_t n = min_of(there - cursor->at, max);

		if (n) {
			*piece = base + cursor->at;
			cursor->at += n;
			return n;
		}
		if (!max)
			return 0;
		cursor->at = 0;
		if (m) {
			cursor->mbuf = m->next;
		} else {
			cursor->rest++;
			cursor->num_rest--;
		}
	}
	return 0;
}

uint16_t net_sum_frame(struct rte_mbuf *frame, uint32_t offset, uint32_t bytes)
{
	struct net_cursor cursor;
	const uint8_t *piece;
	uint32_t done, n;
	uint16_t sum = 0;

	net_cursor_init(&cursor, frame, offset);
	for (done = 0; done < bytes; done += n) {
		uint16_t part;

		n = net_cursor_next(&cursor, bytes - done, &piece);
		if (!n)
			break;
		part = rte_raw_cksum(piece, n);
		sum = net_sum_add(sum, done & 1 ? rte_bswap16(part) : part);
	}
	return sum;
}

void net_checksum_fill(struct rte_mbuf *frame)
{
	struct net_offload *o = &net_meta(frame)->offload;
	uint16_t sum = (uint16_t)~net_sum_frame(frame, o->csum_start, UINT32_MAX);

	/* To UDP, and to it alone, zero means that there is none. */
	if (!sum && o->csum_offset == UDP_OFFSET)
		sum = 0xffff;
	memcpy(rte_pktmbuf_mtod_offset(frame, void *, o->csum_start + o->csum_offset), &sum,
	       sizeof(sum));
	*o = (struct net_offload){0};
}

void net_ip_set_bytes(struct rte_mbuf *frame, uint8_t ip, uint32_t l3)
{
	uint32_t bytes = net_frame_bytes(frame) - l3;

	if (ip == 4) {
		struct rte_ipv4_hdr *header =
			rte_pktmbuf_mtod_offset(frame, struct rte_ipv4_hdr *, l3);

		header->total_length = rte_cpu_to_be_16((uint16_t)bytes);
		header->hdr_checksum = 0;
		header->hdr_checksum = rte_ipv4_cksum(header);
	} else {
		struct rte_ipv6_hdr *header =
			rte_pktmbuf_mtod_offset(frame, struct rte_ipv6_hdr *, l3);

		header->payload_len = rte_cpu_to_be_16((uint16_t)(bytes - sizeof(*header)));
	}
}
