/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - ringside-blk from start to end, in this order: options, broker (forked before it could
 * inherit anything), images (opened, locked, measured), sockets, privileges dropped, I/O threads
 * with their io_urings, system calls given up, service; and back.
 * Layer L5, control thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "blk/disk.h"
#include "blk/report.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/log.h"
#include "vhost/base/sandbox.h"
#include "vhost/base/startup.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/unix.h"

struct daemon {
	struct blk_options opt;
	struct loop *loop;
	struct blk_disk disks[BLK_MAX_DISKS];
	unsigned num_open; /* disks whose device is not closed yet */
	struct blk_thread *threads;
	int files[BLK_MAX_DISKS];
	struct rpc_server *rpc;
	struct broker *broker; /* NULL: no sandbox */
	struct blk_report report;
	struct loop_watch signals;
};

static struct daemon blk;

/* Made from the comments in the code. */
extern const struct sandbox_filter blk_syscalls;

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

/* close_sockets - and wait until their files are gone. Harmless on what is not open. */
static void close_sockets(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_disks; i++)
		endpoint_close(&blk.disks[i].dev.endpoint);
	rpc_server_destroy(blk.rpc);
	broker_stop(blk.broker);
}

/* give_up - fatal(), once there are sockets: a start that fails leaves no socket file behind. */
static _Noreturn void printf_like(1, 2) give_up(const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	close_sockets();
	fatal("%s", line);
}

static int open_endpoint(struct blk_disk *disk)
{
	struct endpoint *ep = &disk->dev.endpoint;

	if (!disk->opt->socket_path)
		return endpoint_fd(ep, blk.loop, disk->opt->fd);
	if (disk->opt->client)
		return endpoint_connect(ep, blk.loop, disk->opt->socket_path);
	return endpoint_listen(ep, blk.loop, disk->opt->socket_path, 0600);
}

static void open_sockets(void)
{
	unsigned i;
	int ret;

	for (i = 0; i < blk.opt.num_disks; i++) {
		struct blk_disk *disk = &blk.disks[i];

		ret = open_endpoint(disk);
		if (ret >= 0)
			continue;
		if (disk->opt->socket_path)
			give_up("%.300s: %s", disk->opt->socket_path, unix_listen_advice(-ret));
		give_up("fd %d: %s", disk->opt->fd, fd_advice(-ret));
	}
	if (!blk.opt.control_path)
		return;
	blk.report.disks = blk.disks;
	blk.report.num_disks = blk.opt.num_disks;
	ret = rpc_server_create(&blk.rpc, blk.loop, blk.opt.control_path, blk_report_methods,
				blk_report_num_methods, &blk.report);
	if (ret < 0)
		give_up("--control-path=%.300s: %s", blk.opt.control_path,
			unix_listen_advice(-ret));
}

/* --- the sandbox: contract 11 --- */

static void start_broker(void)
{
	int ret;

	if (!blk.opt.sandbox) {
		log_warn("sandbox", "--no-sandbox: a fault in this program is less contained");
		return;
	}
	ret = broker_start(&blk.broker);
	if (ret < 0)
		fatal("sandbox: no broker: %s", strerror(-ret));
}

/* brief_broker - what needs the path of a socket later is the broker's. */
static int brief_broker(void)
{
	unsigned i;
	int ret = 0;

	for (i = 0; ret == 0 && i < blk.opt.num_disks; i++)
		ret = endpoint_use_broker(&blk.disks[i].dev.endpoint, blk.broker);
	if (ret == 0 && blk.rpc)
		ret = rpc_server_use_broker(blk.rpc, blk.broker);
	return ret ? ret : broker_seal(blk.broker);
}

static void drop_privileges(void)
{
	int ret;

	if (!blk.opt.sandbox)
		return;
	ret = brief_broker();
	if (ret < 0)
		give_up("sandbox: the broker has none (%s); --no-sandbox serves without it",
			strerror(-ret));
	ret = sandbox_drop_privileges(-1);
	if (ret < 0)
		give_up("sandbox: privileges cannot be dropped: %s", strerror(-ret));
}

/* drop_system_calls - everything is open, and every thread is there. */
static void drop_system_calls(void)
{
	int ret;

	if (!blk.opt.sandbox)
		return;
	eventfd_prepare();
	ret = sandbox_enter(&blk_syscalls);
	if (ret < 0)
		give_up("sandbox: the kernel refuses the system call filter (%s); --no-sandbox "
			"serves without it",
			strerror(-ret));
}

/* --- disks and threads --- */

static void open_disks(void)
{
	char error[512];
	unsigned i;

	for (i = 0; i < blk.opt.num_disks; i++) {
		if (blk_disk_open(&blk.disks[i], i, &blk.opt.disks[i], error, sizeof(error)) < 0)
			fatal("%s", error);
		blk.files[i] = blk.disks[i].image.fd;
	}
}

static int thread_cpu(unsigned index)
{
	return affinity_pick(&blk.opt.cpus, index);
}

static void start_threads(void)
{
	unsigned i, queues = 0;
	int ret;

	for (i = 0; i < blk.opt.num_disks; i++)
		queues += blk.opt.disks[i].num_queues;

	for (i = 0; i < blk.opt.num_threads; i++) {
		struct blk_thread_options opt = {
			.cpu = thread_cpu(i),
			.node = affinity_node_of_disk(blk.files[i % blk.opt.num_disks]),
			.poll_us = blk.opt.poll_us,
			.busy_poll = blk.opt.busy_poll,
			.restricted = blk.opt.sandbox,
			.files = blk.files,
			.num_files = blk.opt.num_disks,
			.max_queues = queues,
		};

		ret = blk_thread_start(&blk.threads[i], i, &opt);
		if (ret < 0)
			give_up("io_uring cannot be set up: %s%s", strerror(-ret),
				ret == -EPERM || ret == -ENOSYS
					? "; see /proc/sys/kernel/io_uring_disabled"
					: "; see 'ulimit -l'");
	}
}

static void make_devices(void)
{
	unsigned i;

	blk.threads = calloc(blk.opt.num_threads, sizeof(*blk.threads));
	if (!blk.threads)
		fatal("out of memory");
	for (i = 0; i < blk.opt.num_disks; i++)
		if (blk_disk_serve(&blk.disks[i], blk.loop, blk.threads, blk.opt.num_threads,
				   i % blk.opt.num_threads) < 0)
			fatal("out of memory");
}

/* --- the end --- */

static void device_closed(struct vu_device *dev)
{
	(void)dev;
	if (--blk.num_open == 0)
		loop_quit(blk.loop);
}

static void close_devices(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_disks; i++)
		if (!blk.disks[i].dev.closing)
			vu_device_close(&blk.disks[i].dev, device_closed);
}

/* Syscalls: read */
static void on_signal(struct loop_watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("ringside-blk", "ends on signal %u: requests under way are finished first",
		 info.ssi_signo);
	close_devices();
}

/* A connection handed over with --fd is over: nothing else can come. */
static void on_exhausted(struct endpoint *ep)
{
	struct vu_device *dev = container_of(ep, struct vu_device, endpoint);

	if (!dev->closing)
		vu_device_close(dev, device_closed);
}

static void watch_signals(void)
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
	if (fd < 0 || loop_watch_add(blk.loop, &blk.signals, fd, EPOLLIN, on_signal) < 0)
		fatal("signals cannot be watched: %s", strerror(errno));
}

static void shut_down(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_threads; i++)
		blk_thread_stop(&blk.threads[i]);
	for (i = 0; i < blk.opt.num_disks; i++)
		blk_disk_close(&blk.disks[i]);
	close_sockets();
	loop_watch_del(blk.loop, &blk.signals);
	close_fd(&blk.signals.fd);
	loop_destroy(blk.loop);
	free(blk.threads);
}

int main(int argc, char **argv)
{
	unsigned i;
	int ret;

	log_init("ringside-blk");
	startup_fill_standard_fds();
	blk_options_parse(&blk.opt, argc, argv);
	start_broker();
	clock_init();
	startup_allow_many_fds();
	ret = loop_create(&blk.loop);
	if (ret < 0)
		fatal("event loop: %s", strerror(-ret));
	/* Until the images are open, and a lock may be waited for, a signal ends us as usual. */
	open_disks();
	watch_signals();
	affinity_prepare();
	make_devices();
	open_sockets();
	drop_privileges();
	start_threads();
	drop_system_calls();
	for (i = 0; i < blk.opt.num_disks; i++) {
		blk.disks[i].dev.endpoint.on_exhausted = on_exhausted;
		vu_device_start(&blk.disks[i].dev);
		log_info(blk.disks[i].name, "%s, %llu MiB%s%s, at %s", blk.opt.disks[i].image.file,
			 (unsigned long long)(blk.disks[i].image.capacity_bytes >> 20),
			 blk.disks[i].image.read_only ? ", read-only" : "",
			 blk.disks[i].image.direct ? ", direct I/O" : "",
			 blk.opt.disks[i].socket_path ? blk.opt.disks[i].socket_path : "its fd");
	}
	blk.num_open = blk.opt.num_disks;
	ret = loop_run(blk.loop);
	shut_down();
	return ret < 0 ? 1 : 0;
}
