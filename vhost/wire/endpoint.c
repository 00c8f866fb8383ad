/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoint.c - connections from a listening socket, a passed fd, or by connecting out.
 * Layer L1. Control thread. A connection is always handed out from the loop, never from within
 * the call that asked for it.
 */
#include "vhost/wire/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/util.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define ACCEPT_REST_MS 1000 /* before the next try when the process is out of fds */

static_assert(sizeof(((struct endpoint *)0)->path) == sizeof(((struct sockaddr_un *)0)->sun_path),
	      "what fits the address fits the endpoint");

static void on_listener_readable(struct loop_watch *watch, uint32_t events);

int endpoint_listen(struct endpoint *ep, struct loop *loop, const char *path, mode_t mode)
{
	auto_close int sock = -1;
	struct stat st;
	int ret;

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	/* What can fail comes before the path is published. */
	ret = loop_watch_add(loop, &ep->watch, sock, 0, on_listener_readable);
	if (ret < 0)
		return ret;
	ret = unix_listen(sock, path, mode, &st);
	if (ret < 0) {
		loop_watch_del(loop, &ep->watch);
		return ret;
	}
	ep->kind = ENDPOINT_LISTEN;
	ep->loop = loop;
	ep->dev = st.st_dev;
	ep->ino = st.st_ino;
	memcpy(ep->path, path, strlen(path) + 1);
	ep->fd = sock;
	sock = -1;
	return 0;
}

/* int_option - Return: 0 or -errno of getsockopt(2). */
static int int_option(int fd, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, SOL_SOCKET, option, value, &len) < 0 ? -errno : 0;
}

/* A socket may come into a sandbox: Syscalls (net): getsockopt, fcntl(cmd=F_GETFL|F_SETFL|F_SETFD) */
int endpoint_fd(struct endpoint *ep, struct loop *loop, int fd)
{
	int domain, type, listening, ret, flags;

	ret = int_option(fd, SO_DOMAIN, &domain);
	if (ret == 0)
		ret = int_option(fd, SO_TYPE, &type);
	if (ret == 0)
		ret = int_option(fd, SO_ACCEPTCONN, &listening);
	if (ret < 0)
		return ret;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EPROTOTYPE;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (listening) {
		ret = loop_watch_add(loop, &ep->watch, fd, 0, on_listener_readable);
		if (ret < 0)
			return ret;
	}
	ep->kind = listening ? ENDPOINT_LISTEN : ENDPOINT_ACCEPTED_FD;
	ep->loop = loop;
	ep->path[0] = '\0'; /* the file, if there is one, is not ours to unlink */
	ep->fd = fd;
	return 0;
}

int endpoint_connect(struct endpoint *ep, struct loop *loop, const char *path)
{
	if (path[0] == '\0')
		return -EINVAL;
	if (strlen(path) >= sizeof(ep->path))
		return -ENAMETOOLONG;
	ep->kind = ENDPOINT_CLIENT;
	ep->loop = loop;
	ep->fd = -1;
	ep->backoff_ms = BACKOFF_MIN_MS;
	memcpy(ep->path, path, strlen(path) + 1);
	return 0;
}

int endpoint_use_broker(struct endpoint *ep, struct broker *broker)
{
	struct stat file = {.st_dev = ep->dev, .st_ino = ep->ino};
	int ret = 0;

	if (ep->kind == ENDPOINT_LISTEN && ep->path[0])
		ret = broker_remove_at_end(broker, ep->path, &file);
	else if (ep->kind == ENDPOINT_CLIENT)
		ep->peer = ret = broker_add_peer(broker, ep->path);
	if (ret < 0)
		return ret; /* what it does not know of is still ours to remove */
	ep->broker = broker;
	return 0;
}

/* hand_out - the endpoint rests before the callee sees the socket: it may resume or close. */
static void hand_out(struct endpoint *ep, int sock)
{
	ep->resting = true;
	if (ep->kind == ENDPOINT_LISTEN)
		loop_watch_events(ep->loop, &ep->watch, 0);
	ep->on_connect(ep, sock);
}

static void on_accept_rest_over(struct loop_timer *timer)
{
	struct endpoint *ep = container_of(timer, struct endpoint, retry);

	if (!ep->resting)
		loop_watch_events(ep->loop, &ep->watch, EPOLLIN);
}

/* Syscalls: accept4 */
static void on_listener_readable(struct loop_watch *watch, uint32_t events)
{
	struct endpoint *ep = container_of(watch, struct endpoint, watch);
	int sock = accept4(ep->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (sock >= 0) {
		hand_out(ep, sock);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* Out of fds or memory: the peer stays in the backlog, and the listener readable. */
	log_warn(ep->path[0] ? ep->path : "--fd", "accept: %s; next try in %u ms", strerror(errno),
		 ACCEPT_REST_MS);
	loop_watch_events(ep->loop, &ep->watch, 0);
	loop_timer_set(ep->loop, &ep->retry, ACCEPT_REST_MS, on_accept_rest_over);
}

static void on_client_due(struct loop_timer *timer)
{
	struct endpoint *ep = container_of(timer, struct endpoint, retry);
	int sock =
		ep->broker ? broker_connect(ep->broker, ep->peer) : unix_connect_nonblock(ep->path);

	if (sock >= 0) {
		ep->connected_ns = clock_ns();
		hand_out(ep, sock);
		return;
	}
	log_debug(ep->path, "connect: %s; next try in %u ms", strerror(-sock), ep->backoff_ms);
	loop_timer_set(ep->loop, &ep->retry, ep->backoff_ms, on_client_due);
	ep->backoff_ms = min_of(ep->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
}

static void on_passed_fd_due(struct loop_timer *timer)
{
	struct endpoint *ep = container_of(timer, struct endpoint, retry);
	int sock = ep->fd;

	ep->fd = -1;
	hand_out(ep, sock);
}

static void on_passed_fd_over(struct loop_timer *timer)
{
	struct endpoint *ep = container_of(timer, struct endpoint, retry);

	if (ep->on_exhausted)
		ep->on_exhausted(ep);
}

void endpoint_start(struct endpoint *ep)
{
	ep->resting = false;
	switch (ep->kind) {
	case ENDPOINT_LISTEN:
		loop_watch_events(ep->loop, &ep->watch, EPOLLIN);
		break;
	case ENDPOINT_ACCEPTED_FD:
		loop_timer_set(ep->loop, &ep->retry, 0, on_passed_fd_due);
		break;
	case ENDPOINT_CLIENT:
		loop_timer_set(ep->loop, &ep->retry, 0, on_client_due);
		break;
	}
}

void endpoint_resume(struct endpoint *ep)
{
	if (!ep->resting || !ep->loop)
		return;
	ep->resting = false;
	switch (ep->kind) {
	case ENDPOINT_LISTEN:
		loop_watch_events(ep->loop, &ep->watch, EPOLLIN);
		break;
	case ENDPOINT_ACCEPTED_FD:
		loop_timer_set(ep->loop, &ep->retry, 0, on_passed_fd_over);
		break;
	case ENDPOINT_CLIENT:
		/* A peer that accepts and hangs up at once is one to be patient with as well. */
		if (clock_ns() - ep->connected_ns >= BACKOFF_MAX_MS * 1000000ull)
			ep->backoff_ms = BACKOFF_MIN_MS;
		loop_timer_set(ep->loop, &ep->retry, ep->backoff_ms, on_client_due);
		ep->backoff_ms = min_of(ep->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
		break;
	}
}

void endpoint_close(struct endpoint *ep)
{
	struct stat file = {.st_dev = ep->dev, .st_ino = ep->ino};

	if (!ep->loop)
		return;
	loop_timer_cancel(ep->loop, &ep->retry);
	loop_watch_del(ep->loop, &ep->watch);
	if (ep->kind == ENDPOINT_LISTEN && ep->path[0] && !ep->broker)
		unix_remove(ep->path, &file);
	close_fd(&ep->fd);
	ep->loop = NULL;
}
