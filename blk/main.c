/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - ringside-blk from start to end, in this order: options, broker (forked before it could
 * inherit anything), images (opened, locked, measured), sockets, privileges dropped, I/O threads
 * with their io_urings, system calls given up, service; and back.
 * Layer L5, control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/disk.h"
#include "blk/report.h"
#include "vhost/base/affinity.h"
#include "vhost/base/log.h"
#include "vhost/base/startup.h"
#include "vhost/daemon/daemon.h"

static struct {
	struct daemon daemon;
	struct blk_options opt;
	struct blk_disk disks[BLK_MAX_DISKS];
	struct blk_thread *threads;
	int files[BLK_MAX_DISKS];
	struct blk_report report;
} blk;

/* Made from the comments in the code. */
extern const struct sandbox_filter blk_syscalls;

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
			.restricted = blk.opt.daemon.sandbox,
			.files = blk.files,
			.num_files = blk.opt.num_disks,
			.max_queues = queues,
		};

		ret = blk_thread_start(&blk.threads[i], i, &opt);
		if (ret < 0)
			daemon_give_up(&blk.daemon, "io_uring cannot be set up: %s%s",
				       strerror(-ret),
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
		if (blk_disk_serve(&blk.disks[i], blk.daemon.loop, blk.threads, blk.opt.num_threads,
				   i % blk.opt.num_threads) < 0)
			fatal("out of memory");
}

static void open_sockets(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_disks; i++)
		daemon_listen(&blk.daemon, &blk.disks[i].dev, &blk.opt.disks[i].socket);
	blk.report.disks = blk.disks;
	blk.report.num_disks = blk.opt.num_disks;
	daemon_control(&blk.daemon, blk_report_methods, blk_report_num_methods, &blk.report);
}

static void log_disks(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_disks; i++) {
		const struct blk_disk_options *opt = &blk.opt.disks[i];
		const struct blk_image *image = &blk.disks[i].image;

		log_info(blk.disks[i].name, "%s, %llu MiB%s%s, at %s", opt->image.file,
			 (unsigned long long)(image->capacity_bytes >> 20),
			 image->read_only ? ", read-only" : "", image->direct ? ", direct I/O" : "",
			 opt->socket.path ? opt->socket.path : "its fd");
	}
}

static void shut_down(void)
{
	unsigned i;

	for (i = 0; i < blk.opt.num_threads; i++)
		blk_thread_stop(&blk.threads[i]);
	for (i = 0; i < blk.opt.num_disks; i++)
		blk_disk_close(&blk.disks[i]);
	daemon_end(&blk.daemon);
	free(blk.threads);
}

int main(int argc, char **argv)
{
	int ret;

	log_init("ringside-blk");
	startup_fill_standard_fds();
	blk_options_parse(&blk.opt, argc, argv);
	daemon_begin(&blk.daemon, "ringside-blk", &blk.opt.daemon);
	/* Until the images are open, and a lock may be waited for, a signal ends us as usual. */
	open_disks();
	daemon_watch_signals(&blk.daemon);
	affinity_prepare();
	make_devices();
	open_sockets();
	daemon_drop_privileges(&blk.daemon);
	start_threads();
	daemon_drop_system_calls(&blk.daemon, &blk_syscalls);
	log_disks();
	ret = daemon_run(&blk.daemon);
	shut_down();
	return ret;
}
