/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lcore.c - see lcore.h: passes, and when an lcore polls or sleeps. Layer L5, lcore threads; start,
 * stop, topology and grace: control thread.
 */
#include "net/lcore.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "net/eal.h"
#include "net/forward.h"
#include "net/guest.h"
#include "vhost/base/clock.h"
#include "vhost/base/eventfd.h"
#include "vhost/wire/loop.h"

/* Beside a port that has to be looked at: doubling steps, up to a millisecond, or more where waking up
 * is so dear that it would take more than a hundredth of the CPU. */
#define MIN_SLEEP_US     16
#define MAX_SLEEP_US     1000
#define DEAREST_SLEEP_US 4000
#define COST_SLEEPS      32 /* after so many in a row it is looked what they cost */

#define MAX_EVENTS 32

struct net_lcore net_lcores[NET_MAX_LCORES];
unsigned net_num_lcores;

static const struct net_topology no_ports;
static const struct net_topology *current = &no_ports;
static sem_t started;

/* What an epoll event is about; a pointer has the lowest bits clear. */
enum tag { TAG_KICK, TAG_HOST, TAG_MAIL, TAG_WAKE };
#define TAG_MASK 3ull

/* --- staging --- */

void net_stage_frames(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf **frames,
		      unsigned n)
{
	struct net_stage *stage = &lcore->stages[to->id];

	if (stage->num + n > NET_BURST) {
		net_output(lcore, to, stage->frames, stage->num);
		stage->num = 0;
	} else if (!stage->num) {
		lcore->staged[lcore->num_staged++] = to->id;
	}
	memcpy(stage->frames + stage->num, frames, n * sizeof(frames[0]));
	stage->num += n;
}

void net_stage_frame(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf *frame)
{
	net_stage_frames(lcore, to, &frame, 1);
}

void net_flush(struct net_lcore *lcore)
{
	unsigned i;

	for (i = 0; i < lcore->num_staged; i++) {
		struct net_stage *stage = &lcore->stages[lcore->staged[i]];

		net_output(lcore, lcore->topology->ports[lcore->staged[i]], stage->frames,
			   stage->num);
		stage->num = 0;
	}
	lcore->num_staged = 0;
}

/* --- a pass --- */

/* begin - what a pass goes by. Old topologies are freed when every lcore has run a mail, so before
 * that, too. */
static void begin(struct net_lcore *lcore)
{
	lcore->now = clock_ticks();
	lcore->topology = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
}

static void tell_held(struct net_lcore *lcore, bool now)
{
	unsigned i;

	for (i = 0; i < lcore->num_tx; i++)
		net_guest_queue_tell_held(lcore->tx_queues[i], now);
	for (i = 0; i < lcore->num_rx; i++)
		net_guest_queue_tell_held(lcore->rx_queues[i], now);
}

/* pass - Return: frames. */
static unsigned pass(struct net_lcore *lcore)
{
	unsigned i, work = 0;

	for (i = 0; i < lcore->num_tx; i++)
		work += net_tx_take(lcore->tx_queues[i]);
	for (i = 0; i < lcore->num_host_queues; i++)
		work += net_host_take(lcore, lcore->host_queues[i]);
	work += net_inbox_take(lcore);
	if (work) {
		net_flush(lcore);
		for (i = 0; i < lcore->num_tx; i++)
			net_tx_give_back(lcore->tx_queues[i]);
	}
	if (unlikely(lcore->num_held))
		tell_held(lcore, false);
	return work;
}

/* --- sleeping --- */

static bool may_sleep(const struct net_lcore *lcore)
{
	bool any = lcore->num_tx || lcore->num_rx || lcore->num_host_queues;

	if (lcore->num_pollers || (lcore->opt.busy_poll && any))
		return false;
	return !any || lcore->now - lcore->idle_since >= lcore->poll_ticks;
}

/* kicks_on - ask every guest to kick. Return: false when one has sent something already. */
static bool kicks_on(struct net_lcore *lcore)
{
	bool quiet = true;
	unsigned i;

	for (i = 0; i < lcore->num_tx; i++)
		if (vq_kicks_on(lcore->tx_queues[i]->vq))
			quiet = false;
	return quiet;
}

/* fall_asleep - Return: false when something came in meanwhile. */
static bool fall_asleep(struct net_lcore *lcore)
{
	if (!kicks_on(lcore))
		return false;
	__atomic_store_n(&lcore->asleep, true, __ATOMIC_RELAXED);
	/* Pairs with the one in net_wake(): one side sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return rte_ring_empty(lcore->inbox);
}

/* Syscalls: read */
static void drain_own(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n; /* EAGAIN: nothing was there */
}

/* Syscalls: preadv2 */
static void handle_event(struct net_lcore *lcore, uint64_t data)
{
	struct net_guest_queue *queue;

	switch ((enum tag)(data & TAG_MASK)) {
	case TAG_KICK:
		queue = (struct net_guest_queue *)(uintptr_t)data;
		eventfd_drain(queue->vq->kick_fd);
		vq_count_add(&queue->vq->count.kicks, 1);
		break;
	case TAG_MAIL:
		__atomic_store_n(&lcore->has_mail, true, __ATOMIC_RELAXED);
		break;
	case TAG_WAKE:
		drain_own(lcore->wake_fd);
		break;
	case TAG_HOST: /* what the device has is taken by the next pass */
		break;
	}
}

/* cpu_ns - that this thread has used.
 * Syscalls: clock_gettime */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* weigh_sleeps - another one is over, and nothing came: how long shall they be, at most? */
static void weigh_sleeps(struct net_lcore *lcore)
{
	uint64_t now, cost_us, longest_us;

	if (lcore->num_sleeps++ % COST_SLEEPS)
		return;
	now = cpu_ns();
	cost_us = (now - lcore->slept_cpu_ns) / COST_SLEEPS / 1000;
	lcore->slept_cpu_ns = now;
	if (lcore->num_sleeps == 1) /* there was work in between */
		return;
	longest_us = max_of(cost_us * 120, (uint64_t)MAX_SLEEP_US);
	lcore->max_sleep_us = (unsigned)min_of(longest_us, (uint64_t)DEAREST_SLEEP_US);
}

/* wait - until something happens; a port that has no interrupt is looked at in doubling steps.
 * Syscalls: epoll_pwait2 */
static void wait(struct net_lcore *lcore)
{
	struct timespec timeout = {.tv_nsec = lcore->sleep_us * 1000};
	struct epoll_event events[MAX_EVENTS];
	int i, n;

	n = epoll_pwait2(lcore->epoll_fd, events, MAX_EVENTS, lcore->num_timed ? &timeout : NULL,
			 NULL);
	__atomic_store_n(&lcore->asleep, false, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++)
		handle_event(lcore, events[i].data.u64);
	if (n > 0) {
		lcore->idle_since = clock_ticks();
		lcore->num_sleeps = 0;
	} else {
		lcore->sleep_us = min_of(lcore->sleep_us * 2, lcore->max_sleep_us);
		weigh_sleeps(lcore);
	}
}

static void sleep_unless_late(struct net_lcore *lcore)
{
	if (lcore->num_held)
		tell_held(lcore, true);
	if (fall_asleep(lcore))
		wait(lcore);
	else
		__atomic_store_n(&lcore->asleep, false, __ATOMIC_RELAXED);
}

static void run(struct net_lcore *lcore)
{
	lcore->idle_since = clock_ticks();
	while (!lcore->quit) {
		begin(lcore);
		if (unlikely(__atomic_load_n(&lcore->has_mail, __ATOMIC_RELAXED))) {
			__atomic_store_n(&lcore->has_mail, false, __ATOMIC_RELAXED);
			mailbox_run(&lcore->mailbox);
			continue;
		}
		if (pass(lcore)) {
			lcore->idle_since = lcore->now;
			lcore->sleep_us = MIN_SLEEP_US;
			lcore->num_sleeps = 0;
		} else if (may_sleep(lcore)) {
			sleep_unless_late(lcore);
		} else {
			rte_pause();
		}
	}
}

/* --- what comes from other threads --- */

/* Syscalls: write */
void net_wake(struct net_lcore *lcore)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Pairs with the one in fall_asleep(): one side sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&lcore->asleep, __ATOMIC_RELAXED) ||
	    !__atomic_exchange_n(&lcore->asleep, false, __ATOMIC_RELAXED))
		return;
	n = write(lcore->wake_fd, &one, sizeof(one));
	(void)n; /* EAGAIN: it is readable already */
}

void net_lcore_post(struct net_lcore *lcore, struct mail *mail, void (*fn)(struct mail *mail))
{
	mailbox_post(&lcore->mailbox, mail, fn);
	/* Set after the post: whoever sees it finds the mail. One that sleeps is woken by the mailbox. */
	__atomic_store_n(&lcore->has_mail, true, __ATOMIC_RELEASE);
}

void net_set_topology(const struct net_topology *topology)
{
	__atomic_store_n(&current, topology, __ATOMIC_RELEASE);
}

static void grace_done(struct mail *mail)
{
	struct net_grace *grace = container_of(mail, struct net_grace, mail);

	grace->done(grace);
}

/* grace_next - an lcore runs mail between two passes, and so has nothing of the last one. */
static void grace_next(struct mail *mail)
{
	struct net_grace *grace = container_of(mail, struct net_grace, mail);

	/* Mail behind this one has what a new pass would have, not what began before the mail. */
	if (grace->next)
		begin(&net_lcores[grace->next - 1]);
	if (grace->next < net_num_lcores)
		net_lcore_post(&net_lcores[grace->next++], mail, grace_next);
	else
		loop_post(grace->loop, mail, grace_done);
}

void net_grace(struct loop *loop, struct net_grace *grace, void (*done)(struct net_grace *grace))
{
	grace->loop = loop;
	grace->done = done;
	grace->next = 0;
	grace_next(&grace->mail);
}

/* --- what it watches --- */

/* Syscalls: epoll_ctl */
static int watch(struct net_lcore *lcore, int fd, const void *object, enum tag tag)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uintptr_t)object | tag,
	};

	return epoll_ctl(lcore->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int net_lcore_add_host(struct net_lcore *lcore, struct net_host_queue *queue)
{
	int ret;

	if (queue->interrupt_fd >= 0) {
		ret = watch(lcore, queue->interrupt_fd, queue, TAG_HOST);
		if (ret < 0)
			return ret;
	} else {
		lcore->num_timed++;
	}
	lcore->host_queues[lcore->num_host_queues++] = queue;
	return 0;
}

void net_lcore_remove_host(struct net_lcore *lcore, struct net_host_queue *queue)
{
	unsigned i;

	for (i = 0; i < lcore->num_host_queues && lcore->host_queues[i] != queue; i++)
		;
	if (i == lcore->num_host_queues)
		return;
	lcore->host_queues[i] = lcore->host_queues[--lcore->num_host_queues];
	if (queue->interrupt_fd >= 0)
		epoll_ctl(lcore->epoll_fd, EPOLL_CTL_DEL, queue->interrupt_fd, NULL);
	else
		lcore->num_timed--;
}

int net_lcore_add_kick(struct net_lcore *lcore, struct net_guest_queue *queue)
{
	if (queue->vq->kick_fd >= 0)
		return watch(lcore, queue->vq->kick_fd, queue, TAG_KICK);
	lcore->num_pollers++;
	return 0;
}

void net_lcore_remove_kick(struct net_lcore *lcore, struct net_guest_queue *queue)
{
	if (queue->vq->kick_fd >= 0)
		epoll_ctl(lcore->epoll_fd, EPOLL_CTL_DEL, queue->vq->kick_fd, NULL);
	else
		lcore->num_pollers--;
}

/* --- start and stop --- */

static int lcore_main(void *arg)
{
	struct net_lcore *lcore = arg;

	eventfd_prepare();
	sem_post(&started);
	run(lcore);
	return 0;
}

static void tear_down(struct net_lcore *lcore)
{
	if (lcore->mailbox.event_fd >= 0)
		mailbox_destroy(&lcore->mailbox);
	close_fd(&lcore->epoll_fd);
	close_fd(&lcore->wake_fd);
	rte_ring_free(lcore->inbox);
	free(lcore->stages);
}

static int set_up(struct net_lcore *lcore, unsigned index, unsigned lcore_id,
		  const struct net_lcore_options *opt)
{
	char name[RTE_RING_NAMESIZE];
	int ret;

	memset(lcore, 0, sizeof(*lcore));
	lcore->index = index;
	lcore->lcore_id = lcore_id;
	lcore->opt = *opt;
	lcore->poll_ticks = clock_ns_to_ticks(opt->poll_us * 1000);
	lcore->sleep_us = MIN_SLEEP_US;
	lcore->max_sleep_us = MAX_SLEEP_US;
	lcore->pool = net_eal_pool(lcore_id);
	lcore->mailbox.event_fd = -1;
	lcore->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	lcore->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lcore->stages = calloc(NET_MAX_PORTS, sizeof(lcore->stages[0]));
	snprintf(name, sizeof(name), "inbox%u", index);
	lcore->inbox = rte_ring_create(name, NET_INBOX_FRAMES,
				       (int)rte_lcore_to_socket_id(lcore_id), RING_F_SC_DEQ);
	if (lcore->epoll_fd < 0 || lcore->wake_fd < 0)
		return -errno;
	if (!lcore->stages || !lcore->inbox)
		return -ENOMEM;
	ret = mailbox_init(&lcore->mailbox);
	if (ret == 0)
		ret = watch(lcore, lcore->mailbox.event_fd, NULL, TAG_MAIL);
	if (ret == 0)
		ret = watch(lcore, lcore->wake_fd, NULL, TAG_WAKE);
	return ret;
}

static void tear_all_down(void)
{
	while (net_num_lcores > 0)
		tear_down(&net_lcores[--net_num_lcores]);
}

int net_lcores_make(const struct net_lcore_options *opt)
{
	unsigned id;
	int ret = 0;

	RTE_LCORE_FOREACH_WORKER(id)
	{
		if (net_num_lcores == NET_MAX_LCORES || ret < 0)
			break;
		ret = set_up(&net_lcores[net_num_lcores], net_num_lcores, id, opt);
		net_num_lcores++;
	}
	if (ret < 0)
		tear_all_down();
	return ret;
}

void net_lcores_start(void)
{
	unsigned i;

	sem_init(&started, 0, 0);
	for (i = 0; i < net_num_lcores; i++)
		rte_eal_remote_launch(lcore_main, &net_lcores[i], net_lcores[i].lcore_id);
	/* What a sandbox takes away has to be there before. */
	for (i = 0; i < net_num_lcores; i++)
		while (sem_wait(&started) < 0)
			;
}

static void quit(struct mail *mail)
{
	container_of(mail, struct net_lcore, quit_mail)->quit = true;
}

void net_lcores_stop(void)
{
	unsigned i;

	for (i = 0; i < net_num_lcores; i++)
		net_lcore_post(&net_lcores[i], &net_lcores[i].quit_mail, quit);
	for (i = 0; i < net_num_lcores; i++)
		rte_eal_wait_lcore(net_lcores[i].lcore_id);
	tear_all_down();
	net_set_topology(&no_ports);
}
