/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.h - a port whose other end is a guest: a virtio-net device (virtio 1.3, section 5.1) at a
 * vhost-user socket. Layer L5, control thread, but where it says lcore.
 */
#ifndef RINGSIDE_NET_GUEST_H
#define RINGSIDE_NET_GUEST_H

#include "net/guest_config.h"
#include "net/guest_queue.h"
#include "net/options.h"
#include "net/port.h"
#include "vhost/backend/device.h"
#include "vhost/backend/loop_queue.h"

/* The command whose answer waits until lcores have seen what it changed. */
struct net_ctrl_answer {
	bool due;
	bool at_once; /* the queue is asked back: nothing waits any more */
	uint16_t head;
	uint8_t ack; /* VIRTIO_NET_OK, _ERR */
	uint8_t *at; /* where the guest reads it */
	const struct net_guest_config *replaced; /* when that is not in use any more */
};

/* A place in the control queue, to tell a driver that goes on from one that begins. */
struct net_ctrl_place {
	bool known;
	bool wrap;
	uint16_t next;
};

struct net_guest {
	struct net_port port;
	struct vu_device dev;
	const struct net_port_options *opt;
	struct loop *loop;
	unsigned first_lcore; /* of pair 0; the next pair goes to the next lcore */
	unsigned num_started; /* queues with frames in them that run */
	uint64_t features; /* negotiated */
	uint16_t mtu; /* that the front-end told of; 0: it did not */
	bool link_told_up; /* VIRTIO_NET_S_LINK_UP */
	struct log_limit log_limit;

	/* The snapshot in force; lcores load it with acquire. Replaced by net_guest_set_config(). */
	const struct net_guest_config *config;
	struct list old_configs; /* that an lcore may still have */

	/* Running receive queues by pair. Written by the queue's lcore; read by that lcore alone. */
	struct net_guest_queue *rx[NET_MAX_PAIRS];
	/* Which pairs have a running receive queue, as bits; any lcore, relaxed. */
	uint32_t rx_running;

	struct net_counters from[NET_MAX_PAIRS], to[NET_MAX_PAIRS]; /* by pair */

	struct vu_loop_queue ctrl; /* the control queue (ctrl.c) */
	struct net_ctrl_answer answer; /* to the command that the lcores have not seen yet */
	struct net_ctrl_place ctrl_place; /* where the control queue was when it stopped */
	bool features_told; /* since then */
	uint32_t
		rx_filled; /* pairs, as bits, whose receive queue a driver had filled when it started */
	bool state_loaded; /* for a driver that has not come yet */
	bool state_unbound; /* and the features it negotiated have not been told either */
	bool announce; /* the driver is asked to (VIRTIO_NET_S_ANNOUNCE) */
	struct loop_timer idle; /* no queue runs, if only for a moment */
	void (*closed)(struct net_guest *guest);
};

/* net_guest_create - a port as @opt says, not listening yet: daemon_listen(&guest->dev) does that.
 * Return: 0 or -ENOMEM. */
int net_guest_create(struct net_guest **out, struct loop *loop, uint16_t id, uint32_t generation,
		     const struct net_port_options *opt);

/* net_guest_close - end the session, drain, then free; @closed may be NULL. The port is out of the
 * topology before, and a grace has passed. */
void net_guest_close(struct net_guest *guest, void (*closed)(struct net_guest *guest));

/* net_guest_set_link - what the guest is told of its link (VIRTIO_NET_S_LINK_UP), with a config
 * change. */
void net_guest_set_link(struct net_guest *guest, bool up);

/* net_guest_lcore_of - which lcore has pair @pair. Any thread. */
unsigned net_guest_lcore_of(const struct net_guest *guest, unsigned pair);

/* net_guest_pick - the pair @frame goes to: by the driver's RSS, or by our hash over the pairs in use
 * that run. lcore thread. Return: a pair, or -1: none runs. */
int net_guest_pick(const struct net_guest *guest, const struct net_guest_config *config,
		   struct rte_mbuf *frame);

/* --- guest_config.c: what the driver has set --- */

/* net_guest_set_config - lcores see a copy of @config from their next frames on; the one before is
 * freed when none can have it any more, and then the answer that is due is given. Control thread.
 * Return: 0 or -ENOMEM. */
int net_guest_set_config(struct net_guest *guest, const struct net_guest_config *config);

/* net_guest_set_mac - as a driver of old says it. Return: 0, -EINVAL (a group's), -ENOMEM. */
int net_guest_set_mac(struct net_guest *guest, const struct rte_ether_addr *mac);

/* net_guest_default_config - of a driver that negotiated @features and has set nothing. */
void net_guest_default_config(const struct net_guest *guest, uint64_t features,
			      struct net_guest_config *config);

/* net_guest_free_config - the port is closed, and no lcore knows it. */
void net_guest_free_config(struct net_guest *guest);

/* --- guest_state.c: for a migration (device.h) --- */

ssize_t net_guest_save_state(struct vu_device *dev, uint8_t *out, size_t max);
int net_guest_load_state(struct vu_device *dev, const uint8_t *data, size_t size);

/* --- ctrl.c, ctrl_queue.c: the control queue --- */

#define NET_CTRL_BYTES 8192 /* of a command: address tables of more than a thousand */

/* net_ctrl_start, net_ctrl_stop - it runs as @vq; it is asked back. */
void net_ctrl_start(struct net_guest *guest, struct virtqueue *vq);
void net_ctrl_stop(struct net_guest *guest);

/* net_ctrl_seen - no lcore has @replaced any more: the command that replaced it is answered, if it
 * was one. */
void net_ctrl_seen(struct net_guest *guest, const struct net_guest_config *replaced);

/* net_ctrl_command - carry out one command: @data is class, command and what follows, copied.
 * Return: VIRTIO_NET_OK or VIRTIO_NET_ERR. For the fuzzer, too. */
uint8_t net_ctrl_command(struct net_guest *guest, const uint8_t *data, size_t bytes);

/* net_ctrl_reset - as no driver had ever said anything; @features are those negotiated. */
void net_ctrl_reset(struct net_guest *guest, uint64_t features);

/* net_ctrl_features - @features were negotiated by a driver that is not the one there was, or for the
 * one whose state was loaded. */
void net_ctrl_features(struct net_guest *guest, uint64_t features);

#endif
