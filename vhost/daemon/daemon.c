/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon.c - see daemon.h: the steps of a start that all daemons share, and the end.
 * Layer L4, beside the back-end. Control thread.
 */
#include "vhost/daemon/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "vhost/base/clock.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/log.h"
#include "vhost/base/startup.h"

/* --- start --- */

static void start_broker(struct daemon *d)
{
	int ret;

	if (!d->opt->sandbox) {
		log_warn("sandbox", "--no-sandbox: a fault in this program is less contained");
		return;
	}
	ret = broker_start(&d->broker);
	if (ret < 0)
		fatal("sandbox: no broker: %s", strerror(-ret));
}

void daemon_begin(struct daemon *d, const char *program, const struct daemon_options *opt)
{
	int ret;

	*d = (struct daemon){.program = program, .opt = opt, .signals.fd = -1};
	start_broker(d);
	clock_init();
	startup_allow_many_fds();
	ret = loop_create(&d->loop);
	if (ret < 0)
		fatal("event loop: %s", strerror(-ret));
}

/* close_sockets - and wait until their files are gone. Harmless on what is not open. */
static void close_sockets(struct daemon *d)
{
	unsigned i;

	for (i = 0; i < d->num_devices; i++)
		endpoint_close(&d->devices[i]->endpoint);
	rpc_server_destroy(d->rpc);
	broker_stop(d->broker);
}

void daemon_give_up(struct daemon *d, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	close_sockets(d);
	fatal("%s", line);
}

/* --- a device that serves, until it is closed --- */

static void device_closed(struct vu_device *dev)
{
	struct daemon *d = dev->owner;

	if (--d->num_open == 0)
		loop_quit(d->loop);
}

static void close_device(struct vu_device *dev)
{
	if (!dev->closing)
		vu_device_close(dev, device_closed);
}

/* A connection handed over with --fd is over: nothing else can come. */
static void on_exhausted(struct endpoint *ep)
{
	struct vu_device *dev = container_of(ep, struct vu_device, endpoint);
	struct daemon *d = dev->owner;

	if (d->on_exhausted)
		d->on_exhausted(d, dev);
	else
		close_device(dev);
}

static void serve(struct daemon *d, struct vu_device *dev)
{
	d->num_open++;
	dev->endpoint.on_exhausted = on_exhausted;
	vu_device_start(dev);
}

/* --- sockets --- */

static const char *fd_advice(int err)
{
	switch (err) {
	case EBADF:
		return "no such file descriptor is open";
	case ENOTSOCK:
	case EPROTOTYPE:
		return "is not a unix stream socket";
	default:
		return strerror(err);
	}
}

static int open_endpoint(struct daemon *d, struct endpoint *ep, const struct daemon_socket *socket)
{
	if (socket->fd >= 0)
		return endpoint_fd(ep, d->loop, socket->fd);
	if (socket->client)
		return endpoint_connect(ep, d->loop, socket->path);
	return endpoint_listen(ep, d->loop, socket->path, 0600);
}

/* add_device - Return: 0 or -ENOMEM. */
static int add_device(struct daemon *d, struct vu_device *dev)
{
	struct vu_device **devices;

	devices = reallocarray(d->devices, d->num_devices + 1, sizeof(struct vu_device *));
	if (!devices)
		return -ENOMEM;
	d->devices = devices;
	d->devices[d->num_devices++] = dev;
	dev->owner = d;
	return 0;
}

int daemon_open(struct daemon *d, struct vu_device *dev, const struct daemon_socket *socket,
		char *error, size_t error_bytes)
{
	int ret = add_device(d, dev);

	if (ret < 0) {
		snprintf(error, error_bytes, "out of memory");
		return ret;
	}
	ret = open_endpoint(d, &dev->endpoint, socket);
	if (ret >= 0) {
		if (d->running)
			serve(d, dev);
		return 0;
	}
	daemon_forget(d, dev);
	if (socket->fd >= 0)
		snprintf(error, error_bytes, "fd %d: %s", socket->fd, fd_advice(-ret));
	else
		snprintf(error, error_bytes, "%.300s: %s", socket->path, unix_listen_advice(-ret));
	return ret;
}

void daemon_forget(struct daemon *d, const struct vu_device *dev)
{
	unsigned i = 0;

	while (i < d->num_devices && d->devices[i] != dev)
		i++;
	if (i < d->num_devices)
		d->devices[i] = d->devices[--d->num_devices];
}

void daemon_listen(struct daemon *d, struct vu_device *dev, const struct daemon_socket *socket)
{
	char error[512];

	if (daemon_open(d, dev, socket, error, sizeof(error)) < 0)
		daemon_give_up(d, "%s", error);
}

void daemon_control(struct daemon *d, const struct rpc_method *methods, size_t num, void *ctx)
{
	int ret;

	if (!d->opt->control_path)
		return;
	ret = rpc_server_create(&d->rpc, d->loop, d->opt->control_path, methods, num, ctx);
	if (ret < 0)
		daemon_give_up(d, "--control-path=%.300s: %s", d->opt->control_path,
			       unix_listen_advice(-ret));
}

/* --- the sandbox: contract 11 --- */

/* brief_broker - what needs the path of a socket later is the broker's. */
static int brief_broker(struct daemon *d)
{
	unsigned i;
	int ret = 0;

	for (i = 0; ret == 0 && i < d->num_devices; i++)
		ret = endpoint_use_broker(&d->devices[i]->endpoint, d->broker);
	if (ret == 0 && d->rpc)
		ret = rpc_server_use_broker(d->rpc, d->broker);
	return ret ? ret : broker_seal(d->broker);
}

void daemon_drop_privileges(struct daemon *d)
{
	int ret;

	if (!d->opt->sandbox)
		return;
	ret = brief_broker(d);
	if (ret < 0)
		daemon_give_up(d,
			       "sandbox: the broker has none (%s); --no-sandbox serves without it",
			       strerror(-ret));
	ret = sandbox_drop_privileges(d->keep_capabilities);
	if (ret < 0)
		daemon_give_up(d, "sandbox: privileges cannot be dropped: %s", strerror(-ret));
}

void daemon_drop_in_threads(struct daemon *d)
{
	int ret;

	if (!d->opt->sandbox)
		return;
	ret = sandbox_drop_in_threads();
	if (ret < 0)
		daemon_give_up(d, "sandbox: a thread keeps its privileges (%s)", strerror(-ret));
}

void daemon_drop_system_calls(struct daemon *d, const struct sandbox_filter *filter)
{
	int ret;

	if (!d->opt->sandbox)
		return;
	eventfd_prepare();
	ret = sandbox_enter(filter);
	if (ret < 0)
		daemon_give_up(d,
			       "sandbox: the kernel refuses the system call filter (%s); "
			       "--no-sandbox serves without it",
			       strerror(-ret));
}

/* --- the end --- */

/* Syscalls: read */
static void on_signal(struct loop_watch *watch, uint32_t events)
{
	struct daemon *d = container_of(watch, struct daemon, signals);
	struct signalfd_siginfo info;
	unsigned i;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info(d->program, "ends on signal %u: requests under way are finished first",
		 info.ssi_signo);
	if (d->on_end) {
		d->on_end(d);
		return;
	}
	for (i = 0; i < d->num_devices; i++)
		close_device(d->devices[i]);
}

void daemon_watch_signals(struct daemon *d)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write over RLIMIT_FSIZE: an error like others */
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || loop_watch_add(d->loop, &d->signals, fd, EPOLLIN, on_signal) < 0)
		fatal("signals cannot be watched: %s", strerror(errno));
}

/* --- service --- */

int daemon_run(struct daemon *d)
{
	unsigned i;

	d->running = true;
	for (i = 0; i < d->num_devices; i++)
		serve(d, d->devices[i]);
	return loop_run(d->loop) < 0 ? 1 : 0;
}

void daemon_end(struct daemon *d)
{
	close_sockets(d);
	loop_watch_del(d->loop, &d->signals);
	close_fd(&d->signals.fd);
	loop_destroy(d->loop);
	free(d->devices);
}
