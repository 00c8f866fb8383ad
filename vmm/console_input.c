/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console_input.c - from the outside to the guest: flow control, the escape key, and when the
 * terminal is ours to use. VMM, main thread with the board lock held.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vmm/console_part.h"

#define READ_BYTES         256 /* at once */
#define FIRST_RETRY_MS     1 /* for input that the guest has no room for, doubled up to ... */
#define LAST_RETRY_MS      64
#define STALL_NS           1000000000ull
#define FOREGROUND_POLL_MS 300 /* a shell does not tell a running program that it is in front */
#define ESCAPE             0x01 /* Ctrl-A */

/* take_escaped - the key behind Ctrl-A. Return: is it for the guest? */
static bool take_escaped(struct console *c, uint8_t byte)
{
	switch (byte) {
	case ESCAPE:
		return true;
	case 'x':
		console_say(c, "\r\n");
		c->on_key(c->ctx, CONSOLE_QUIT);
		break;
	case 'p':
		c->on_key(c->ctx, CONSOLE_PAUSE);
		break;
	case 'h':
	case '?':
		console_say(c, "\r\nCtrl-A x  end the virtual machine\r\n"
			       "Ctrl-A p  pause it, or let it go on\r\n"
			       "Ctrl-A h  this help\r\n"
			       "Ctrl-A Ctrl-A  send one Ctrl-A\r\n");
		break;
	default:
		break;
	}
	return false;
}

/* filter_escapes - carry them out and leave the rest of @bytes at @data. Return: how many remain. */
static size_t filter_escapes(struct console *c, uint8_t *data, size_t bytes)
{
	size_t kept = 0;

	for (size_t i = 0; i < bytes; i++) {
		bool keep = true;

		if (c->escaped) {
			c->escaped = false;
			keep = take_escaped(c, data[i]);
		} else if (data[i] == ESCAPE) {
			c->escaped = true;
			keep = false;
		}
		if (keep)
			data[kept++] = data[i];
	}
	return kept;
}

static void on_foreground_timer(struct loop_timer *timer);

/* on_background - a read would fail again and again; look later whether the terminal is ours. */
static void on_background(struct console *c)
{
	terminal_leave(&c->terminal);
	loop_watch_del(c->loop, &c->in_watch);
	loop_timer_set(c->loop, &c->foreground, FOREGROUND_POLL_MS, on_foreground_timer);
}

static void input_ended(struct console *c)
{
	if (c->is_socket) {
		console_hang_up(c);
		return;
	}
	loop_watch_del(c->loop, &c->in_watch);
	if (c->is_terminal)
		c->in_fd = -1; /* which is the terminal's */
	else
		close_fd(&c->in_fd);
}

/* may_read - input is left where it is while the guest has none of what is here. From a terminal it
 * is read all the same when that takes long, and lost: the escape key has to work. */
static bool may_read(const struct console *c)
{
	return CONSOLE_IN_BYTES - c->in_count >= READ_BYTES ||
	       (c->is_terminal && clock_ns() - c->taken_ns > STALL_NS);
}

/* fill - Return: has anything been read? Syscalls: read */
static bool fill(struct console *c)
{
	uint8_t data[READ_BYTES];
	ssize_t n = read(c->in_fd, data, sizeof(data));
	size_t bytes;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0 && errno == EIO && c->is_terminal && !terminal_ours(&c->terminal)) {
		on_background(c);
		return false;
	}
	if (n <= 0) {
		input_ended(c);
		return false;
	}
	bytes = c->is_terminal ? filter_escapes(c, data, (size_t)n) : (size_t)n;
	bytes = min_of(bytes, CONSOLE_IN_BYTES - c->in_count);
	if (!c->in_count)
		c->taken_ns = clock_ns();
	memcpy(c->in + c->in_count, data, bytes);
	c->in_count += bytes;
	return true;
}

/* deliver - as much as the guest has room for. */
static void deliver(struct console *c)
{
	size_t n = min_of(serial_rx_room(c->serial), c->in_count);

	if (n)
		n = serial_rx(c->serial, c->in, n);
	if (!n)
		return;
	memmove(c->in, c->in + n, c->in_count - n);
	c->in_count -= n;
	c->retry_ms = FIRST_RETRY_MS;
	c->taken_ns = clock_ns();
}

static void on_retry(struct loop_timer *timer);

/* pump_input - from the input, if it is @readable, to the guest, until one of them has enough. The
 * guest does not tell when it has room again, so it is asked, ever less often while it has none. */
static void pump_input(struct console *c, bool readable)
{
	deliver(c);
	while (c->in_fd >= 0 && readable && may_read(c) && fill(c)) {
		deliver(c);
		readable = c->in_regular;
	}
	if (c->in_count) {
		loop_timer_set(c->loop, &c->retry, c->retry_ms, on_retry);
		c->retry_ms = min_of(2 * c->retry_ms, (unsigned)LAST_RETRY_MS);
	}
	loop_watch_events(c->loop, &c->in_watch, may_read(c) ? EPOLLIN : 0);
}

static void on_retry(struct loop_timer *timer)
{
	struct console *c = container_of(timer, struct console, retry);

	pump_input(c, c->in_regular);
}

static void on_readable(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	pump_input(container_of(watch, struct console, in_watch), true);
}

int console_watch_input(struct console *c)
{
	int ret = loop_watch_add(c->loop, &c->in_watch, c->in_fd, EPOLLIN, on_readable);

	c->retry_ms = FIRST_RETRY_MS;
	if (ret != -EPERM)
		return ret;
	c->in_regular = true;
	pump_input(c, true);
	return 0;
}

/* --- the terminal --- */

int console_use_terminal(struct console *c)
{
	int ret = terminal_enter(&c->terminal);

	if (ret == -EAGAIN) {
		on_background(c);
		return 0;
	}
	if (ret == 0 && !c->in_watch.active && c->in_fd >= 0)
		ret = console_watch_input(c);
	return ret;
}

static void on_foreground_timer(struct loop_timer *timer)
{
	struct console *c = container_of(timer, struct console, foreground);
	int ret = console_use_terminal(c);

	if (ret < 0)
		log_warn("console", "the terminal cannot be used: %s", strerror(-ret));
}

/*
 * on_job_signal - stop as a program without raw mode would, and take the terminal again after. The
 * signal that stops comes here first; the one that continues comes afterwards, or alone.
 * Syscalls: read
 */
static void on_job_signal(struct loop_watch *watch, uint32_t events)
{
	struct console *c = container_of(watch, struct console, job_signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	terminal_leave(&c->terminal);
	if (info.ssi_signo == SIGTSTP)
		raise(SIGSTOP);
	if (c->started)
		on_foreground_timer(&c->foreground);
}

int console_watch_job_signals(struct console *c)
{
	sigset_t set;
	int fd, ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	ret = loop_watch_add(c->loop, &c->job_signals, fd, EPOLLIN, on_job_signal);
	if (ret < 0)
		close(fd);
	return ret;
}
