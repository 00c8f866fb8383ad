/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.h - the control thread's event loop: file descriptors, timers, mail from other threads.
 * Layer L1. Everything but loop_post() runs on the thread that runs the loop, and callbacks may
 * add and remove anything, themselves included.
 */
#ifndef RINGSIDE_WIRE_LOOP_H
#define RINGSIDE_WIRE_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "vhost/base/list.h"
#include "vhost/base/mailbox.h"

struct loop;

/* loop_create - Return: 0 or -errno. */
int loop_create(struct loop **out);

/* loop_destroy - every watch, timer and poster must be gone. */
void loop_destroy(struct loop *loop);

/* loop_run - dispatch until loop_quit(). Return: 0, or -errno of epoll_wait(2). */
int loop_run(struct loop *loop);

/* loop_quit - make loop_run() return after the current callback, or at once if it is not running
 * yet. */
void loop_quit(struct loop *loop);

/*
 * loop_set_lock - @lock is held by the loop's thread whenever a callback runs, and released while it
 * waits: for what callbacks share with other threads. The caller of loop_run() holds it, too. NULL:
 * none, as at first. Not while the loop runs.
 */
void loop_set_lock(struct loop *loop, pthread_mutex_t *lock);

/* A watched fd. Zero-initialise; embedded in its owner; the fd stays the owner's. */
struct loop_watch {
	int fd;
	bool active;
	uint32_t events; /* waited for; 0: paused */
	void (*fn)(struct loop_watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP... */
};

/* loop_watch_add - level-triggered; with @events 0 it starts paused.
 * Return: 0 or -errno of epoll_ctl(2) (-EPERM for a regular file). */
int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
		   void (*fn)(struct loop_watch *watch, uint32_t events));

/* loop_watch_events - change what is waited for; 0 pauses the watch, EPOLLHUP and EPOLLERR
 * included. */
void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events);

/* loop_watch_del - harmless when not active. Must come before the fd is closed. */
void loop_watch_del(struct loop *loop, struct loop_watch *watch);

/* A one-shot timer. Zero-initialise; embedded in its owner. */
struct loop_timer {
	struct list node;
	bool active;
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	void (*fn)(struct loop_timer *timer);
};

/* loop_timer_set - fire once in @delay_ms; an active timer is moved. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer));

/* loop_timer_cancel - harmless when not active. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* loop_post - run @fn on the loop's thread. Any thread. */
void loop_post(struct loop *loop, struct mail *mail, void (*fn)(struct mail *mail));

/* loop_cancel_post - what was posted shall not run any more. Harmless when nothing waits; @mail is
 * zero-initialised or was posted before. */
void loop_cancel_post(struct loop *loop, struct mail *mail);

#endif
