/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.c - epoll, a sorted list of timers, and a mailbox.
 * Layer L1. One thread runs a loop; only loop_post() may be called from others.
 */
#include "vhost/wire/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"

#define BATCH 32

struct loop {
	int epoll_fd;
	bool quit;
	pthread_mutex_t *lock; /* or NULL */
	struct mailbox mailbox;
	struct loop_watch mail_watch;
	struct list timers; /* earliest first */
	/* What epoll_wait(2) returned and is still to be dispatched: [next_event, num_events). */
	struct epoll_event events[BATCH];
	int num_events;
	int next_event;
};

static void on_mail(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = container_of(watch, struct loop, mail_watch);

	(void)events;
	mailbox_run(&loop->mailbox);
}

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	list_init(&loop->timers);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		ret = -errno;
		goto err_free;
	}
	ret = mailbox_init(&loop->mailbox);
	if (ret < 0)
		goto err_epoll;
	ret = loop_watch_add(loop, &loop->mail_watch, loop->mailbox.event_fd, EPOLLIN, on_mail);
	if (ret < 0)
		goto err_mailbox;
	*out = loop;
	return 0;

err_mailbox:
	mailbox_destroy(&loop->mailbox);
err_epoll:
	close_fd(&loop->epoll_fd);
err_free:
	free(loop);
	return ret;
}

void loop_destroy(struct loop *loop)
{
	assert(list_empty(&loop->timers));
	loop_watch_del(loop, &loop->mail_watch);
	mailbox_destroy(&loop->mailbox);
	close_fd(&loop->epoll_fd);
	free(loop);
}

/* epoll_mask - a paused watch must not report EPOLLHUP and EPOLLERR either, which epoll always
 * does; with EPOLLONESHOT it does so once, which dispatch() leaves out, and is silent then. */
static uint32_t epoll_mask(uint32_t events)
{
	return events ? events : EPOLLONESHOT;
}

/* Syscalls: epoll_ctl */
int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
		   void (*fn)(struct loop_watch *watch, uint32_t events))
{
	struct epoll_event ev = {.events = epoll_mask(events), .data.ptr = watch};

	assert(!watch->active);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	watch->fd = fd;
	watch->events = events;
	watch->fn = fn;
	watch->active = true;
	return 0;
}

void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event ev = {.events = epoll_mask(events), .data.ptr = watch};
	int ret;

	if (!watch->active || watch->events == events)
		return;
	watch->events = events;
	ret = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev);
	assert(ret == 0); /* an active watch's fd is open and in the set */
	(void)ret;
}

void loop_watch_del(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->active)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->active = false;
	/* Its owner may be freed now, while an event of it waits in this batch. */
	for (int i = loop->next_event; i < loop->num_events; i++) {
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
	}
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	struct list *after;

	loop_timer_cancel(loop, timer);
	timer->due_ns = clock_ns() + delay_ms * 1000000u;
	timer->fn = fn;
	timer->active = true;
	list_for_each (after, &loop->timers) {
		if (list_entry(after, struct loop_timer, node)->due_ns > timer->due_ns)
			break;
	}
	list_add_tail(after, &timer->node); /* in front of the first that is later */
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	if (!timer->active)
		return;
	list_del(&timer->node);
	timer->active = false;
}

void loop_post(struct loop *loop, struct mail *mail, void (*fn)(struct mail *mail))
{
	mailbox_post(&loop->mailbox, mail, fn);
}

void loop_cancel_post(struct loop *loop, struct mail *mail)
{
	mailbox_cancel(&loop->mailbox, mail);
}

void loop_quit(struct loop *loop)
{
	loop->quit = true;
}

void loop_set_lock(struct loop *loop, pthread_mutex_t *lock)
{
	loop->lock = lock;
}

static struct loop_timer *first_timer(struct loop *loop)
{
	if (list_empty(&loop->timers))
		return NULL;
	return list_entry(loop->timers.next, struct loop_timer, node);
}

/* wait_ms - until the first timer is due; -1 for ever. Rounded up, so as not to wake early and
 * spin for the rest of a millisecond. */
static int wait_ms(struct loop *loop)
{
	struct loop_timer *timer = first_timer(loop);
	uint64_t now, ms;

	if (!timer)
		return -1;
	now = clock_ns();
	if (timer->due_ns <= now)
		return 0;
	ms = (timer->due_ns - now + 999999) / 1000000;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void dispatch(struct loop *loop)
{
	while (loop->next_event < loop->num_events && !loop->quit) {
		struct epoll_event *ev = &loop->events[loop->next_event++];
		struct loop_watch *watch = ev->data.ptr;
		uint32_t events;

		if (!watch)
			continue;
		/* An earlier callback may have changed what this one waits for. */
		events = ev->events & (watch->events | EPOLLERR | EPOLLHUP);
		if (watch->events && events)
			watch->fn(watch, events);
	}
	loop->next_event = loop->num_events = 0;
}

static void run_timers(struct loop *loop)
{
	uint64_t now = clock_ns(); /* once: a timer that sets itself again waits its turn */
	struct loop_timer *timer;

	while (!loop->quit && (timer = first_timer(loop)) && timer->due_ns <= now) {
		loop_timer_cancel(loop, timer);
		timer->fn(timer);
	}
}

/* Syscalls: epoll_wait, epoll_pwait: which of them is up to the C library */
static int wait_for_events(struct loop *loop)
{
	int timeout_ms = wait_ms(loop), n, err;

	if (loop->lock)
		pthread_mutex_unlock(loop->lock);
	n = epoll_wait(loop->epoll_fd, loop->events, BATCH, timeout_ms);
	err = errno;
	if (loop->lock)
		pthread_mutex_lock(loop->lock);
	return n < 0 ? -err : n;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	while (!loop->quit) {
		int n = wait_for_events(loop);

		if (n < 0 && n != -EINTR) {
			ret = n;
			break;
		}
		loop->num_events = n > 0 ? n : 0;
		dispatch(loop);
		run_timers(loop);
	}
	loop->quit = false;
	return ret;
}
