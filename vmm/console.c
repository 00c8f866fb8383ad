/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console.c - see console.h: what kinds there are, and their beginning and end.
 * VMM, main thread with the board lock held.
 *
 * Nothing here waits. Pipes and terminals are opened anew by /proc/self/fd: O_NONBLOCK belongs to an
 * open file description, and the one we were given is shared with a shell and others, who would
 * not expect it. What cannot be opened anew (a socket, a terminal of another user) is only read and
 * written when it is ready, and then so little that it has room for it.
 */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/base/util.h"
#include "vhost/wire/unix.h"
#include "vmm/console_part.h"

#define SOCKET_PREFIX "socket:"

/* open_anew - the file behind @fd with our own flags. Return: an fd; where it has to be @fd itself,
 * a duplicate and *@piece smaller. */
static int open_anew(int fd, int access, size_t *piece)
{
	char path[32];
	int anew;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	anew = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (anew >= 0)
		return anew;
	/* A terminal is ready where there is room for one byte, a pipe or socket for PIPE_BUF. */
	*piece = isatty(fd) ? 1 : PIPE_BUF;
	return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/* A regular file has a position, too, that an opened one would not share. */
static bool is_regular(int fd)
{
	struct stat st;

	return stat_fd(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int open_stdio_fd(int fd, int access, size_t *piece)
{
	if (is_regular(fd))
		return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return open_anew(fd, access, piece);
}

static int open_stdio(struct console *c)
{
	size_t unused;
	int ret;

	c->out_fd = open_stdio_fd(STDOUT_FILENO, O_WRONLY, &c->piece);
	c->in_fd = open_stdio_fd(STDIN_FILENO, O_RDONLY, &unused);
	if (c->out_fd < 0 || c->in_fd < 0)
		return -errno;
	if (!isatty(c->in_fd))
		return 0;
	ret = terminal_open(&c->terminal, c->in_fd);
	c->is_terminal = ret == 0;
	return ret < 0 ? ret : console_watch_job_signals(c);
}

static int open_file(struct console *c, const char *path)
{
	c->out_fd =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	return c->out_fd < 0 ? -errno : 0;
}

void console_hang_up(struct console *c)
{
	loop_watch_del(c->loop, &c->in_watch);
	loop_watch_del(c->loop, &c->out_watch);
	close_fd(&c->in_fd);
	close_fd(&c->out_fd);
	console_offer_room(c);
	endpoint_resume(&c->endpoint);
}

/* on_client - epoll knows an fd once, so writing has one of its own.
 * Syscalls: fcntl(cmd=F_DUPFD_CLOEXEC) */
static void on_client(struct endpoint *ep, int sock)
{
	struct console *c = container_of(ep, struct console, endpoint);

	c->in_fd = sock;
	c->in_count = 0;
	c->out_fd = fcntl(sock, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (c->out_fd < 0 || console_watch_output(c) < 0 || console_watch_input(c) < 0)
		console_hang_up(c);
	else
		console_schedule_output(c);
}

static int listen_at(struct console *c, const char *path)
{
	int ret = endpoint_listen(&c->endpoint, c->loop, path, 0600);

	if (ret < 0)
		return ret;
	c->endpoint.on_connect = on_client;
	c->is_socket = c->keep_latest = true;
	return 0;
}

static int open_target(struct console *c, const char *target)
{
	int ret;

	if (!strcmp(target, "none"))
		return 0;
	if (!strncmp(target, SOCKET_PREFIX, strlen(SOCKET_PREFIX)))
		return listen_at(c, target + strlen(SOCKET_PREFIX));
	ret = !strcmp(target, "stdio") ? open_stdio(c) : open_file(c, target);
	return ret < 0 ? ret : console_watch_output(c);
}

int console_create(struct console **out, const struct console_options *opt, char *error,
		   size_t error_bytes)
{
	struct console *c = calloc(1, sizeof(*c));
	int ret = -ENOMEM;

	if (c) {
		c->loop = opt->loop;
		c->serial = opt->serial;
		c->on_key = opt->on_key;
		c->ctx = opt->ctx;
		c->in_fd = c->out_fd = c->wake_fd = c->terminal.keeper_fd = -1;
		c->piece = CONSOLE_OUT_BYTES;
		ret = console_watch_wake(c);
	}
	if (ret == 0)
		ret = open_target(c, opt->target);
	if (ret == 0) {
		*out = c;
		return 0;
	}
	snprintf(error, error_bytes, "--serial=%s: %s", opt->target,
		 ret == -ENXIO ? "nobody reads from that pipe" : unix_listen_advice(-ret));
	if (c)
		console_destroy(c);
	return ret;
}

int console_use_broker(struct console *c, struct broker *broker)
{
	return c->is_socket ? endpoint_use_broker(&c->endpoint, broker) : 0;
}

int console_start(struct console *c)
{
	c->started = true;
	if (c->is_socket)
		endpoint_start(&c->endpoint);
	if (c->is_terminal)
		return console_use_terminal(c);
	return c->in_fd >= 0 ? console_watch_input(c) : 0;
}

void console_destroy(struct console *c)
{
	console_drain(c);
	loop_timer_cancel(c->loop, &c->gather);
	loop_timer_cancel(c->loop, &c->retry);
	loop_timer_cancel(c->loop, &c->foreground);
	loop_watch_del(c->loop, &c->in_watch);
	loop_watch_del(c->loop, &c->out_watch);
	loop_watch_del(c->loop, &c->wake_watch);
	if (c->job_signals.active) {
		loop_watch_del(c->loop, &c->job_signals);
		close(c->job_signals.fd);
	}
	if (c->is_socket)
		endpoint_close(&c->endpoint);
	terminal_close(&c->terminal);
	close_fd(&c->wake_fd);
	if (!c->is_terminal)
		close_fd(&c->in_fd);
	close_fd(&c->out_fd);
	free(c);
}
