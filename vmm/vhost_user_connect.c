/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_connect.c - to a back-end for the first time, and again whenever it is gone.
 * VMM, main thread with the board lock held.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vhost/wire/unix.h"
#include "vmm/vhost_user_part.h"

#define FIRST_RETRY_MS 50
#define SAY_WAITING_MS 1000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

static void try_to_connect(struct loop_timer *timer);

/* --- the first time --- */

static void first_is_over(struct vhost_user *vu, int error)
{
	void (*done)(void *ctx, int error) = vu->done;

	vu->done = NULL;
	done(vu->done_ctx, error);
}

static uint64_t waited_ms(const struct vhost_user *vu)
{
	return (clock_ns() - vu->first_try_ns) / 1000000;
}

static bool worth_waiting_for(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

/* wait_for_first - nobody is there yet, or hung up. Return: false when the time is over. */
static bool wait_for_first(struct vhost_user *vu)
{
	uint64_t ms = waited_ms(vu);

	if (ms >= vu->opt->wait_s * 1000ull)
		return false;
	if (ms >= SAY_WAITING_MS && !vu->waiting_said) {
		vu->waiting_said = true;
		log_info(vu->name, "waiting for a back-end at %s, up to %u s", vu->opt->socket_path,
			 vu->opt->wait_s);
	}
	loop_timer_set(vu->loop, &vu->retry, FIRST_RETRY_MS, try_to_connect);
	return true;
}

static void first_failed(struct vhost_user *vu, int error)
{
	const char *path = vu->opt->socket_path;

	if (worth_waiting_for(error) && wait_for_first(vu))
		return;
	if (error == -EAGAIN)
		snprintf(vu->reason, sizeof(vu->reason),
			 "%s: the back-end at %s accepts no connection: it is busy or hangs",
			 vu->name, path);
	else if (worth_waiting_for(error))
		snprintf(vu->reason, sizeof(vu->reason),
			 "%s: no back-end listens at %s (%s); start one first, such as: %s "
			 "--socket-path=%s ...",
			 vu->name, path, strerror(-error), vu->kind->program, path);
	else
		snprintf(vu->reason, sizeof(vu->reason), "%s: cannot connect to %s: %s", vu->name,
			 path, strerror(-error));
	first_is_over(vu, error);
}

/* first_lost - somebody listens there, but no device came of it. */
static void first_lost(struct vhost_user *vu, const char *why)
{
	vhost_user_set_state(vu, VHOST_USER_CONNECTING);
	if (wait_for_first(vu))
		return;
	snprintf(vu->reason, sizeof(vu->reason),
		 "%s: the back-end at %s does not serve us: %s; does it serve another front-end?",
		 vu->name, vu->opt->socket_path, why);
	first_is_over(vu, -ECONNRESET);
}

void vhost_user_connect(struct vhost_user *vu, void (*done)(void *ctx, int error), void *ctx)
{
	vu->done = done;
	vu->done_ctx = ctx;
	vu->first_try_ns = clock_ns();
	vu->backoff_ms = BACKOFF_MIN_MS;
	loop_timer_set(vu->loop, &vu->retry, 0, try_to_connect);
}

/* --- later --- */

/* say - what keeps us from the back-end, unless it is what was said last. */
static void say(struct vhost_user *vu, const char *what)
{
	if (!strcmp(vu->said, vu->reason))
		return;
	snprintf(vu->said, sizeof(vu->said), "%s", vu->reason);
	log_warn(vu->name, "%s %s: %s; trying again until there is one that is fit", what,
		 vu->opt->socket_path, vu->reason);
}

/* try_later - ever less often, where a connection does not last. */
static void try_later(struct vhost_user *vu)
{
	loop_timer_set(vu->loop, &vu->retry, vu->backoff_ms, try_to_connect);
	vu->backoff_ms = min_of(vu->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
}

static void again_failed(struct vhost_user *vu, int error)
{
	/* Of one that was refused, the reason stays: that it is gone says less. */
	if (vu->state == VHOST_USER_LOST) {
		snprintf(vu->reason, sizeof(vu->reason), "connect: %s", strerror(-error));
		log_debug(vu->name, "%s", vu->reason);
	}
	try_later(vu);
}

/* --- both --- */

static int connect_socket(const struct vhost_user *vu)
{
	return vu->broker ? broker_connect(vu->broker, vu->peer)
			  : unix_connect_nonblock(vu->opt->socket_path);
}

static void try_to_connect(struct loop_timer *timer)
{
	struct vhost_user *vu = container_of(timer, struct vhost_user, retry);
	int sock = connect_socket(vu);
	int ret = sock < 0 ? sock : fe_pipeline_open(&vu->pipe, sock);

	if (ret < 0 && vu->done)
		first_failed(vu, ret);
	else if (ret < 0)
		again_failed(vu, ret);
	else
		vhost_user_negotiate(vu);
	vhost_user_act(vu);
}

/* connection_gone - rings are nobody's, as far as can be known: what hangs may wake up and still write
 * to guest memory, which nothing but its end can take from it. */
static void connection_gone(struct vhost_user *vu)
{
	bool had_rings = !vhost_user_idle(vu);

	vhost_user_lose_rings(vu);
	vhost_user_lose_config(vu);
	if (vu->resetting && had_rings)
		log_warn_limited(&vu->limit, vu->name,
				 "reset without a word from its back-end: if that process still "
				 "lives, it may yet write to guest memory; end it");
}

static void on_lost(struct fe_pipeline *p, const char *why)
{
	struct vhost_user *vu = container_of(p, struct vhost_user, pipe);
	bool lasted = vhost_user_connected(vu) &&
		      clock_ns() - vu->connected_ns >= BACKOFF_MAX_MS * 1000000ull;

	connection_gone(vu);
	if (vu->done) {
		first_lost(vu, why);
		return;
	}
	if (lasted)
		vu->backoff_ms = BACKOFF_MIN_MS;
	vhost_user_set_state(vu, VHOST_USER_LOST);
	snprintf(vu->reason, sizeof(vu->reason), "%s", why);
	say(vu, "lost its back-end at");
	try_later(vu);
	vhost_user_act(vu);
}

static void on_config_change(struct fe_pipeline *p)
{
	struct vhost_user *vu = container_of(p, struct vhost_user, pipe);

	vu->config_stale = true;
	vhost_user_act(vu);
}

const struct fe_pipeline_ops vhost_user_pipe_ops = {
	.lost = on_lost,
	.config_change = on_config_change,
};

void vhost_user_refuse(struct vhost_user *vu, const char *fmt, ...)
{
	size_t used = 0;
	va_list args;

	fe_pipeline_close(&vu->pipe);
	connection_gone(vu);
	vhost_user_set_state(vu, VHOST_USER_REFUSED);
	if (vu->done) /* the line has to say all */
		used = (size_t)snprintf(vu->reason, sizeof(vu->reason), "%s: the back-end at %s ",
					vu->name, vu->opt->socket_path);
	va_start(args, fmt);
	vsnprintf(vu->reason + used, sizeof(vu->reason) - used, fmt, args);
	va_end(args);
	if (vu->done) {
		first_is_over(vu, -EPROTONOSUPPORT);
		return;
	}
	say(vu, "refuses the back-end at");
	try_later(vu);
	vhost_user_wake(vu);
}

void vhost_user_ready(struct vhost_user *vu)
{
	vu->connections++;
	vu->connected_ns = clock_ns();
	vu->reason[0] = vu->said[0] = '\0';
	vhost_user_set_state(vu, VHOST_USER_READY);
	if (vu->done) {
		log_info(vu->name, "back-end at %s, %u queues", vu->opt->socket_path,
			 vu->dev.num_queues);
		first_is_over(vu, 0);
	} else {
		log_info(vu->name, "has a back-end at %s again", vu->opt->socket_path);
		if (vu->kind->reconnected)
			vu->kind->reconnected(vu);
	}
	vhost_user_act(vu);
}

int vhost_user_use_broker(struct vhost_user *vu, struct broker *broker)
{
	int peer = broker_add_peer(broker, vu->opt->socket_path);

	if (peer < 0)
		return peer;
	vu->peer = peer;
	vu->broker = broker;
	return 0;
}

void vhost_user_step_is_over(struct loop_timer *timer)
{
	struct vhost_user *vu = container_of(timer, struct vhost_user, limit_timer);

	if (fe_pipeline_is_open(&vu->pipe))
		fe_pipeline_fail(&vu->pipe, "it answers so slowly that nothing comes of it");
}
