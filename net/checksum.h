/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checksum.h - ones' complement sums over frames, and the pieces of memory a frame is in.
 * Layer L5, lcore threads. RFC 1071. Sums are in memory order and not inverted.
 */
#ifndef RINGSIDE_NET_CHECKSUM_H
#define RINGSIDE_NET_CHECKSUM_H

#include "net/frame.h"

/* A place in a frame that moves on. The frame stays as it is meanwhile. */
struct net_cursor {
	const struct rte_mbuf *mbuf; /* NULL: in the borrowed part */
	const struct iovec *rest;
	uint32_t num_rest; /* from rest on */
	uint32_t at; /* in that mbuf or iovec */
};

/* net_cursor_init - at byte @offset of @frame. */
void net_cursor_init(struct net_cursor *cursor, struct rte_mbuf *frame, uint32_t offset);

/* net_cursor_next - at most @max bytes that lie together, in *piece. Return: how many; 0 at the end
 * of the frame. */
uint32_t net_cursor_next(struct net_cursor *cursor, uint32_t max, const uint8_t **piece);

/* net_sum_add - a + b. */
static inline uint16_t net_sum_add(uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;

	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* net_sum_frame - of the @bytes of @frame from @offset on, or of as many as there are. */
uint16_t net_sum_frame(struct rte_mbuf *frame, uint32_t offset, uint32_t bytes);

/* net_ip_set_bytes - the length that the header at @l3, of version @ip, tells of, and an IPv4
 * header's checksum: it goes on to the end of @frame. */
void net_ip_set_bytes(struct rte_mbuf *frame, uint8_t ip, uint32_t l3);

#endif
