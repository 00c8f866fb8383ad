/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread.c - an I/O thread: its start and end, and when it polls or sleeps. Layer L5.
 *
 * One thread owns one io_uring and any number of queues. While there is work, or was within
 * --poll-us, it spins over the available indices and the completion ring, and drivers are asked
 * not to kick. Before it sleeps it asks for kicks, looks once more, and waits in the io_uring for
 * a completion: of I/O, of a poll on a kick eventfd, or of one on its mailbox.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk/bounce.h"
#include "blk/queue.h"
#include "blk/uring.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/log.h"

/* kicks_on - ask every driver to kick. Return: false when one has chains waiting already. */
static bool kicks_on(struct blk_thread *thread)
{
	bool quiet = true;
	unsigned i;

	/* Nothing can be taken now: a completion is what to wait for. */
	if (thread->in_flight + BLK_BURST > BLK_MAX_IN_FLIGHT)
		return true;
	for (i = 0; i < thread->num_queues; i++) {
		struct blk_queue *queue = thread->queues[i];

		/* A queue whose every request is in flight is woken by one of them. */
		if (!queue->stopping && queue->num_free && vq_kicks_on(queue->vq))
			quiet = false;
	}
	return quiet;
}

/* kicks_off - awake and polling: no driver needs to kick. */
static void kicks_off(struct blk_thread *thread)
{
	unsigned i;

	for (i = 0; i < thread->num_queues; i++)
		vq_kicks_off(thread->queues[i]->vq);
}

static bool may_sleep(const struct blk_thread *thread, uint64_t idle_since)
{
	if (thread->num_pollers || (thread->opt.busy_poll && thread->num_queues))
		return false;
	return !thread->num_queues || thread->now - idle_since >= thread->poll_ticks;
}

static void run(struct blk_thread *thread)
{
	uint64_t idle_since = clock_ticks();

	while (!thread->quit) {
		unsigned work;

		thread->now = clock_ticks();
		if (unlikely(!thread->mail_armed)) {
			uring_arm_poll(thread, thread->mailbox.event_fd, URING_MAIL, thread);
			thread->mail_armed = true;
		}
		work = blk_queues_take(thread);
		uring_flush(thread);
		work += blk_queues_reap(thread);
		if (unlikely(thread->num_stopping))
			blk_queues_remove_drained(thread);
		if (work)
			idle_since = thread->now;
		else if (!may_sleep(thread, idle_since))
			__builtin_ia32_pause();
		else if (kicks_on(thread)) {
			uring_wait(thread);
			kicks_off(thread);
			idle_since = clock_ticks();
		}
	}
}

static void *thread_main(void *arg)
{
	struct blk_thread *thread = arg;
	int ret;

	pthread_setname_np(pthread_self(), thread->name);
	if (thread->opt.cpu >= 0) {
		ret = affinity_pin_self(thread->opt.cpu);
		if (ret < 0)
			log_warn(thread->name, "cannot be pinned to CPU %d: %s", thread->opt.cpu,
				 strerror(-ret));
	} else {
		affinity_run_on_node(thread->opt.node);
	}
	eventfd_prepare();
	thread->error = uring_setup(thread);
	sem_post(&thread->started);
	if (thread->error)
		return NULL;
	run(thread);
	uring_teardown(thread);
	return NULL;
}

int blk_thread_start(struct blk_thread *thread, unsigned index,
		     const struct blk_thread_options *opt)
{
	int ret;

	memset(thread, 0, sizeof(*thread));
	thread->index = index;
	thread->opt = *opt;
	thread->poll_ticks = clock_ns_to_ticks(opt->poll_us * 1000);
	snprintf(thread->name, sizeof(thread->name), "blk-io%u", index);
	thread->queues = calloc(opt->max_queues, sizeof(struct blk_queue *));
	if (!thread->queues)
		return -ENOMEM;
	ret = mailbox_init(&thread->mailbox);
	if (ret < 0)
		goto fail_queues;
	ret = bounce_init(thread);
	if (ret < 0)
		goto fail_mailbox;
	sem_init(&thread->started, 0, 0);
	ret = -pthread_create(&thread->pthread, NULL, thread_main, thread);
	if (ret < 0)
		goto fail_bounce;
	while (sem_wait(&thread->started) < 0)
		;
	if (!thread->error)
		return 0;
	ret = thread->error;
	pthread_join(thread->pthread, NULL);
fail_bounce:
	bounce_free(thread);
fail_mailbox:
	mailbox_destroy(&thread->mailbox);
fail_queues:
	free(thread->queues);
	return ret;
}

static void thread_quit(struct mail *mail)
{
	container_of(mail, struct blk_thread, quit_mail)->quit = true;
}

void blk_thread_stop(struct blk_thread *thread)
{
	mailbox_post(&thread->mailbox, &thread->quit_mail, thread_quit);
	pthread_join(thread->pthread, NULL);
	bounce_free(thread);
	mailbox_destroy(&thread->mailbox);
	free(thread->queues);
}
