/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console_output.c - from the guest to the outside: a buffer that a vCPU's thread fills and the
 * main thread empties. VMM; board lock held.
 *
 * Output gathers for a moment before it is written, as a guest sends bytes one at a time.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vmm/console_part.h"

#define GATHER_MS 2
#define DRAIN_NS  1000000000ull

static void drop_output(struct console *c)
{
	c->out_begin = c->out_count = 0;
}

/* Without anybody who reads there always is room. */
void console_offer_room(struct console *c)
{
	if (!c->refused || (c->out_fd >= 0 && c->out_count > CONSOLE_OUT_BYTES / 2))
		return;
	c->refused = false;
	serial_tx_ready(c->serial);
}

/* output_failed - a full disk may have room later; whoever read from us does not come back. */
static void output_failed(struct console *c, int err)
{
	if (c->is_socket) {
		console_hang_up(c);
		return;
	}
	drop_output(c);
	if (c->is_file) {
		log_warn_limited(&c->complaints, "console", "output is lost: %s", strerror(err));
		return;
	}
	log_warn("console", "no more output: %s", strerror(err));
	loop_watch_del(c->loop, &c->out_watch);
	close_fd(&c->out_fd);
}

/* write_some - Return: bytes written, 0 when it is not ready, -errno. Syscalls: write */
static ssize_t write_some(struct console *c)
{
	size_t bytes = min_of(c->out_count, CONSOLE_OUT_BYTES - c->out_begin);
	ssize_t n = write(c->out_fd, c->out + c->out_begin, min_of(bytes, c->piece));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->out_begin = (c->out_begin + (size_t)n) % CONSOLE_OUT_BYTES;
	c->out_count -= (size_t)n;
	return n;
}

/* flush - what can be written now. */
static void flush(struct console *c)
{
	ssize_t n = 1;

	/* Unless it never waits, being ready is good for one piece. */
	while (c->out_fd >= 0 && c->out_count && n > 0) {
		n = write_some(c);
		if (n < 0)
			output_failed(c, (int)-n);
		else if (c->piece < CONSOLE_OUT_BYTES)
			break;
	}
	if (c->out_fd >= 0 && !c->is_file)
		loop_watch_events(c->loop, &c->out_watch, c->out_count ? EPOLLOUT : 0);
	console_offer_room(c);
}

static void on_writable(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	flush(container_of(watch, struct console, out_watch));
}

/* begin_flush - where a write might wait, ask first. */
static void begin_flush(struct console *c)
{
	if (c->piece == CONSOLE_OUT_BYTES)
		flush(c);
	else if (c->out_fd >= 0 && c->out_count)
		loop_watch_events(c->loop, &c->out_watch, EPOLLOUT);
}

static void on_gathered(struct loop_timer *timer)
{
	begin_flush(container_of(timer, struct console, gather));
}

/* write_is_due - does a timer or a watch bring the main thread here anyway? */
static bool write_is_due(const struct console *c)
{
	return c->gather.active || c->out_watch.events;
}

/* The first byte after a pause goes out at once; what follows it gathers. */
void console_schedule_output(struct console *c)
{
	if (write_is_due(c))
		return;
	begin_flush(c);
	loop_timer_set(c->loop, &c->gather, GATHER_MS, on_gathered);
}

/* Syscalls: read */
static void on_wake(struct loop_watch *watch, uint32_t events)
{
	struct console *c = container_of(watch, struct console, wake_watch);
	uint64_t count;

	(void)events;
	if (read(c->wake_fd, &count, sizeof(count)) == sizeof(count))
		c->woken = false;
	console_schedule_output(c);
}

/* put - Return: false when there is no room. */
static bool put(struct console *c, uint8_t byte)
{
	if (c->out_fd < 0 && !c->keep_latest)
		return true;
	if (c->out_count == CONSOLE_OUT_BYTES) {
		if (c->out_fd >= 0)
			return false;
		c->out_begin = (c->out_begin + 1) % CONSOLE_OUT_BYTES;
		c->out_count--;
	}
	c->out[(c->out_begin + c->out_count++) % CONSOLE_OUT_BYTES] = byte;
	return true;
}

/* Syscalls (vcpu): write: the main thread is woken */
bool console_put(void *console, uint8_t byte)
{
	struct console *c = console;
	uint64_t one = 1;

	if (!put(c, byte)) {
		c->refused = true;
		return false;
	}
	if (c->out_fd >= 0 && !c->woken && !write_is_due(c))
		c->woken = write(c->wake_fd, &one, sizeof(one)) == sizeof(one);
	return true;
}

void console_say(struct console *c, const char *text)
{
	while (*text && put(c, (uint8_t)*text))
		text++;
	console_schedule_output(c);
}

int console_watch_output(struct console *c)
{
	int ret = loop_watch_add(c->loop, &c->out_watch, c->out_fd, 0, on_writable);

	if (ret != -EPERM)
		return ret;
	c->is_file = true;
	return 0;
}

int console_watch_wake(struct console *c)
{
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0)
		return -errno;
	return loop_watch_add(c->loop, &c->wake_watch, c->wake_fd, EPOLLIN, on_wake);
}

/* Syscalls: poll */
void console_drain(struct console *c)
{
	uint64_t end_ns = clock_ns() + DRAIN_NS, now;

	while (c->out_fd >= 0 && c->out_count && (now = clock_ns()) < end_ns) {
		struct pollfd pfd = {.fd = c->out_fd, .events = POLLOUT};

		if (poll(&pfd, 1, (int)((end_ns - now) / 1000000) + 1) <= 0 || write_some(c) < 0)
			break;
	}
}
