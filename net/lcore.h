/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lcore.h - the threads that move frames. Layer L5.
 *
 * Theory of operation. An lcore owns queues of guests (a pair's two queues are always one lcore's),
 * receive queues and a transmit queue of host ports, and an inbox of frames from other lcores. A
 * pass takes a burst of each, decides where each frame goes (forward.h), which stages it, and
 * flushes what was staged: into a guest's buffers, a host port's queue or another lcore's inbox. Then
 * the chains that the guests sent are given back, once for the pass.
 *
 * While there is work, and --poll-us after it, an lcore polls and guests are asked not to kick. Then
 * it asks for kicks, looks once more, and sleeps in epoll on kick eventfds, RX interrupts of host
 * ports and its own eventfd; where a port has no interrupt, at most 1 ms, in doubling steps (more where
 * waking up is so dear that this would take more than a hundredth of the CPU).
 */
#ifndef RINGSIDE_NET_LCORE_H
#define RINGSIDE_NET_LCORE_H

#include "net/guest_queue.h"
#include "net/host.h"
#include "net/port.h"
#include "vhost/base/mailbox.h"

#define NET_INBOX_FRAMES 4096 /* power of two */

/* Frames on their way to one port, within a pass. */
struct net_stage {
	unsigned num;
	struct rte_mbuf *frames[NET_BURST];
};

struct net_lcore_options {
	uint64_t poll_us;
	bool busy_poll;
};

struct net_lcore {
	unsigned index; /* ours, from 0 */
	unsigned lcore_id; /* DPDK's */
	const struct net_topology *topology; /* of this pass */
	struct rte_mempool *pool; /* on this lcore's NUMA node */
	uint64_t now; /* ticks, of this pass */

	struct net_guest_queue *tx_queues[NET_MAX_PORTS * NET_MAX_PAIRS]; /* guests send in these */
	unsigned num_tx;
	struct net_guest_queue *rx_queues[NET_MAX_PORTS * NET_MAX_PAIRS];
	unsigned num_rx;
	struct net_host_queue *host_queues[NET_MAX_PORTS * NET_MAX_LCORES]; /* it receives here */
	unsigned num_host_queues;

	struct net_stage *stages; /* by port id, NET_MAX_PORTS */
	uint16_t staged[NET_MAX_PORTS]; /* ids whose stage is not empty */
	unsigned num_staged;

	struct rte_ring *inbox; /* many senders */
	struct mailbox mailbox;
	int epoll_fd;
	struct net_lcore_options opt;
	bool quit;
	/* More, private to lcore.c. */
	uint64_t poll_ticks;
	uint64_t idle_since;
	unsigned sleep_us, max_sleep_us; /* the next sleep beside a port that must be polled */
	unsigned num_sleeps; /* of those, in a row with nothing between them */
	uint64_t slept_cpu_ns; /* of this thread's CPU time, when it was last looked at */
	unsigned num_pollers; /* queues without a kick fd: no sleep */
	unsigned num_timed; /* host queues without an interrupt */
	unsigned num_held; /* queues of guests that have something published and were not told */
	int wake_fd; /* eventfd: other lcores have put something into the inbox */
	struct mail quit_mail;

	/* What other threads write. */
	bool asleep cacheline_aligned; /* who puts something into the inbox has to signal wake_fd */
	bool has_mail; /* the mailbox is worth a look */
};

/* The process's lcores; started once, never fewer. */
extern struct net_lcore net_lcores[NET_MAX_LCORES];
extern unsigned net_num_lcores;

/* net_lcores_make - one for each of the EAL's workers; what they own can be given to them, and is
 * looked at once they run. Control thread, before any port is opened. Return: 0 or -errno. */
int net_lcores_make(const struct net_lcore_options *opt);

/* net_lcores_start - launch them. Control thread, before the sandbox. */
void net_lcores_start(void);

/* net_lcores_stop - end and wait; no queue is left on any. */
void net_lcores_stop(void);

/* net_lcore_post - run @fn on the lcore's thread, between two passes. Any thread. */
void net_lcore_post(struct net_lcore *lcore, struct mail *mail, void (*fn)(struct mail *mail));

/* net_set_topology - lcores use @topology from their next pass on. Control thread. */
void net_set_topology(const struct net_topology *topology);

/* A wait for every lcore to have begun another pass. */
struct net_grace {
	void (*done)(struct net_grace *grace); /* control thread */
	/* Private: */
	unsigned next; /* lcore */
	struct mail mail; /* goes from one to the next, and back */
	struct loop *loop;
};

/* net_grace - call @done on @loop's thread once no lcore can have what it read before this call.
 * @grace is the caller's and lives until then. Control thread. */
void net_grace(struct loop *loop, struct net_grace *grace, void (*done)(struct net_grace *grace));

/* --- on the lcore's own thread --- */

/* net_lcore_add_host - from now on it receives from @queue, too, and wakes by its interrupt_fd, or
 * by a timer where that is -1. By mail. Return: 0 or -errno of epoll_ctl(2). */
int net_lcore_add_host(struct net_lcore *lcore, struct net_host_queue *queue);

/* net_lcore_remove_host - it does not look at @queue any more. By mail. */
void net_lcore_remove_host(struct net_lcore *lcore, struct net_host_queue *queue);

/* net_lcore_add_kick - wake by the kicks of @queue; without a kick fd it is looked at all the time.
 * Return: 0 or -errno of epoll_ctl(2). */
int net_lcore_add_kick(struct net_lcore *lcore, struct net_guest_queue *queue);

/* net_lcore_remove_kick - the queue goes. */
void net_lcore_remove_kick(struct net_lcore *lcore, struct net_guest_queue *queue);

/* net_stage_frame - @frame goes to port @to at the end of this pass, or earlier when many do. */
void net_stage_frame(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf *frame);

/* net_stage_frames - several at a time. */
void net_stage_frames(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf **frames,
		      unsigned n);

/* net_flush - deliver everything that is staged; what was borrowed is not needed any more. */
void net_flush(struct net_lcore *lcore);

/* net_wake - @lcore has something in its inbox. */
void net_wake(struct net_lcore *lcore);

#endif
