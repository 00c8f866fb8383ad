/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc.c - the control socket's listener and its clients: bytes in, lines to dispatch.c, bytes out.
 * Layer L1. Control thread.
 *
 * A client's turn, for each event of its socket:
 *
 *     send what waits -> all gone? -> take one line (read more if there is none) -> answer it
 *
 * and then it waits for room (EPOLLOUT) while an answer is under way or another line is at hand
 * already, and for bytes (EPOLLIN) otherwise. So one client holds the loop for one line at most,
 * and one that does not read is not read from.
 */
#include "vhost/control/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/base/log.h"
#include "vhost/control/dispatch.h"
#include "vhost/wire/unix.h"

#define ACCEPT_RETRY_MS 1000

struct rpc_server {
	struct loop *loop;
	struct rpc_table table;
	int fd;
	char *path;
	struct stat file; /* the one bound to path: only that is unlinked */
	struct broker *broker; /* removes the file; NULL: we do */
	struct loop_watch watch;
	struct loop_timer retry;
	struct list clients;
	unsigned num_clients;
	struct client *answering; /* NULL: no handler is at work */
};

struct client {
	struct rpc_server *server;
	struct list node;
	int fd;
	struct loop_watch watch;
	struct loop_timer stall;
	int passed_fd; /* for the request that ends next; -1: none */
	bool finished; /* no more input: its end was seen, or what follows is not worth reading */
	struct rpc_output out;
	size_t used;
	char in[RPC_MAX_REQUEST_BYTES + 1]; /* a line and its newline */
};

static void client_drop(struct client *c)
{
	struct rpc_server *server = c->server;

	loop_watch_del(server->loop, &c->watch);
	loop_timer_cancel(server->loop, &c->stall);
	close_fd(&c->fd);
	close_fd(&c->passed_fd);
	rpc_output_free(&c->out);
	list_del(&c->node);
	server->num_clients--;
	free(c);
}

static void client_stalled(struct loop_timer *timer)
{
	struct client *c = container_of(timer, struct client, stall);

	log_warn("control", "client dropped: it took nothing of its answer for %d s",
		 RPC_STALL_MS / 1000);
	client_drop(c);
}

/* Send what the socket takes. Return: 0, or -errno when the client is gone. Syscalls: sendto */
static int client_flush(struct client *c)
{
	struct rpc_output *out = &c->out;
	ssize_t n;

	while (out->start < out->end) {
		n = send(c->fd, out->data + out->start, out->end - out->start,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!c->stall.active)
				loop_timer_set(c->server->loop, &c->stall, RPC_STALL_MS,
					       client_stalled);
			return 0;
		}
		if (n < 0)
			return -errno;
		out->start += (size_t)n;
		loop_timer_cancel(c->server->loop, &c->stall);
	}
	rpc_output_free(out);
	return 0;
}

/* Keep the last fd of @mh, which has room for one: the kernel closes what is more. */
static void client_take_fd(struct client *c, struct msghdr *mh)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh);

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
		return;
	close_fd(&c->passed_fd);
	memcpy(&c->passed_fd, CMSG_DATA(cmsg), sizeof(int));
}

/* Read once. Return: 0, or -errno when the client is gone. Syscalls: recvmsg */
static int client_read(struct client *c)
{
	struct iovec iov = {.iov_base = c->in + c->used, .iov_len = sizeof(c->in) - c->used};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	client_take_fd(c, &mh);
	if (n == 0)
		c->finished = true;
	c->used += (size_t)n;
	return 0;
}

/* Length of the first line with its newline, or 0 when it is not complete. The end of the
 * stream completes it too. */
static size_t line_bytes(const struct client *c)
{
	const char *newline = memchr(c->in, '\n', c->used);

	if (newline)
		return (size_t)(newline - c->in) + 1;
	return c->finished ? c->used : 0;
}

static bool is_blank(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	}
	return true;
}

/* Answer the first line, if there is one. Return: 0, or -errno when the client must go. */
static int client_take_line(struct client *c)
{
	size_t bytes = line_bytes(c);
	struct rpc_error error;
	int rc = 0;

	if (bytes == 0 && c->used == sizeof(c->in)) {
		c->finished = true;
		c->used = 0;
		rpc_fail(&error, RPC_INVALID_REQUEST, "a request longer than %u bytes",
			 RPC_MAX_REQUEST_BYTES);
		return rpc_answer_error(&c->out, RPC_INVALID_REQUEST, error.message);
	}
	if (bytes == 0)
		return 0;
	if (!is_blank(c->in, bytes)) {
		c->server->answering = c;
		rc = rpc_answer(&c->server->table, c->in, bytes, &c->out);
		c->server->answering = NULL;
		close_fd(&c->passed_fd);
	}
	c->used -= bytes;
	memmove(c->in, c->in + bytes, c->used);
	return rc;
}

/* One turn, as above. Return: 0, or -errno when the client must go. */
static int client_turn(struct client *c)
{
	int rc = client_flush(c);

	if (rc || c->out.end)
		return rc;
	if (!line_bytes(c) && !c->finished)
		rc = client_read(c);
	if (!rc)
		rc = client_take_line(c);
	if (!rc)
		rc = client_flush(c);
	return rc;
}

static void client_event(struct loop_watch *watch, uint32_t events)
{
	struct client *c = container_of(watch, struct client, watch);
	int rc = client_turn(c);
	bool busy = c->out.end || line_bytes(c);

	(void)events;
	if (rc == -EMSGSIZE)
		log_warn("control", "client dropped: an answer over %u MiB",
			 RPC_MAX_OUTPUT_BYTES >> 20);
	else if (rc == -ENOMEM)
		log_warn("control", "client dropped: out of memory");
	if (rc || (c->finished && !busy))
		client_drop(c);
	else
		loop_watch_events(c->server->loop, &c->watch, busy ? EPOLLOUT : EPOLLIN);
}

/* Tell a client that cannot be served why, if it listens, and close. */
static void refuse(int sock)
{
	struct rpc_output out = {0};

	if (rpc_answer_error(&out, RPC_BUSY, "too many clients are connected") == 0)
		(void)!send(sock, out.data, out.end, MSG_NOSIGNAL | MSG_DONTWAIT);
	rpc_output_free(&out);
	close_fd(&sock);
}

static void client_add(struct rpc_server *server, int sock)
{
	struct client *c = NULL;

	if (server->num_clients < RPC_MAX_CLIENTS)
		c = malloc(sizeof(*c));
	if (!c) {
		refuse(sock);
		return;
	}
	/* Not calloc: the line buffer is only touched as far as it is used. */
	memset(c, 0, offsetof(struct client, in));
	c->server = server;
	c->fd = sock;
	c->passed_fd = -1;
	list_add_tail(&server->clients, &c->node);
	server->num_clients++;
	if (loop_watch_add(server->loop, &c->watch, sock, EPOLLIN, client_event))
		client_drop(c);
}

static void server_retry(struct loop_timer *timer)
{
	struct rpc_server *server = container_of(timer, struct rpc_server, retry);

	loop_watch_events(server->loop, &server->watch, EPOLLIN);
}

/* Syscalls: accept4 */
static void server_event(struct loop_watch *watch, uint32_t events)
{
	struct rpc_server *server = container_of(watch, struct rpc_server, watch);
	int sock = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (sock >= 0) {
		client_add(server, sock);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* The connection stays in the backlog and would wake the loop at once again. */
		log_warn("control", "accept: %s; trying again in %d s", strerror(errno),
			 ACCEPT_RETRY_MS / 1000);
		loop_watch_events(server->loop, &server->watch, 0);
		loop_timer_set(server->loop, &server->retry, ACCEPT_RETRY_MS, server_retry);
	}
}

int rpc_server_create(struct rpc_server **out, struct loop *loop, const char *path,
		      const struct rpc_method *methods, size_t num_methods, void *ctx)
{
	struct rpc_server *server = calloc(1, sizeof(*server));
	int rc = -ENOMEM;

	if (!server)
		return rc;
	/* Opens /dev/urandom, which a sandboxed process could not do at its first request. */
	json_object_seed(0);
	server->loop = loop;
	server->table = (struct rpc_table){methods, num_methods, ctx};
	list_init(&server->clients);
	server->path = strdup(path);
	if (!server->path)
		goto free_server;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0) {
		rc = -errno;
		goto free_server;
	}
	/* What can fail comes before the path is published. */
	rc = loop_watch_add(loop, &server->watch, server->fd, 0, server_event);
	if (rc)
		goto close_socket;
	rc = unix_listen(server->fd, path, 0600, &server->file);
	if (rc)
		goto delete_watch;
	loop_watch_events(loop, &server->watch, EPOLLIN);
	*out = server;
	return 0;

delete_watch:
	loop_watch_del(loop, &server->watch);
close_socket:
	close_fd(&server->fd);
free_server:
	free(server->path);
	free(server);
	return rc;
}

int rpc_server_use_broker(struct rpc_server *server, struct broker *broker)
{
	int rc = broker_remove_at_end(broker, server->path, &server->file);

	if (rc < 0)
		return rc; /* what it does not know of is still ours to remove */
	server->broker = broker;
	return 0;
}

int rpc_take_fd(struct rpc_server *server)
{
	struct client *c = server ? server->answering : NULL;
	int fd = c ? c->passed_fd : -1;

	if (c)
		c->passed_fd = -1;
	return fd;
}

void rpc_server_destroy(struct rpc_server *server)
{
	struct list *pos, *next;

	if (!server)
		return;
	list_for_each_safe (pos, next, &server->clients)
		client_drop(list_entry(pos, struct client, node));
	loop_timer_cancel(server->loop, &server->retry);
	loop_watch_del(server->loop, &server->watch);
	if (!server->broker)
		unix_remove(server->path, &server->file);
	close_fd(&server->fd);
	free(server->path);
	free(server);
}
