/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture.h - write what passes a port to a pcapng file (rte_pcapng), started and stopped at run
 * time. Layer L5. lcores copy frames into a bounded queue; the control thread writes them. A slow
 * disk loses frames of the capture, which are counted, and delays none of the guests'.
 */
#ifndef RINGSIDE_NET_CAPTURE_H
#define RINGSIDE_NET_CAPTURE_H

#include <stdint.h>

#include "net/port.h"
#include "vhost/wire/loop.h"

struct net_capture;

/* net_capture_start - of both directions of @port, into @fd, which it takes over; @snap_bytes of
 * each frame (0: all). Return: 0, -EBUSY (one runs), -errno. Control thread. */
int net_capture_start(struct net_port *port, struct loop *loop, int fd, uint32_t snap_bytes);

/* net_capture_stop - write what is queued, close. Return: 0, -ENOENT (none runs), -errno of the
 * last write. */
int net_capture_stop(struct net_port *port);

struct net_capture_counts {
	uint64_t frames, lost;
};

/* net_capture_counts - Return: false when none runs. */
bool net_capture_counts(const struct net_port *port, struct net_capture_counts *counts);

/* net_capture_frames - note @frames; @in: from the port. lcore thread; only with port->capture. */
void net_capture_frames(struct net_port *port, unsigned lcore, struct rte_mbuf *const *frames,
			unsigned n, bool in);

#endif
