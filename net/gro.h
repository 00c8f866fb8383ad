/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gro.h - join the segments of TCP streams that a host port received, for guests that take large
 * frames: TCP over IPv4 and IPv6, within one burst. Layer L5, lcore threads.
 */
#ifndef RINGSIDE_NET_GRO_H
#define RINGSIDE_NET_GRO_H

#include "net/frame.h"
#include "net/offload.h"

/*
 * net_gro - join in place what of @frames a receiver that @takes can be given as one; order within a
 * flow stays. Only segments with good checksums (told by the port, or computed), the same headers,
 * no flags but ACK and PSH, and adjoining sequence numbers. A joined frame is one chain of mbufs with
 * gso_type, gso_bytes and NEEDS_CSUM set. Return: how many frames are left.
 */
unsigned net_gro(struct rte_mbuf **frames, unsigned n, net_takes takes);

#endif
