/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the command line of ringside-blk. Layer L5, start-up.
 */
#ifndef RINGSIDE_BLK_OPTIONS_H
#define RINGSIDE_BLK_OPTIONS_H

#include <sched.h>

#include "blk/image.h"
#include "vhost/daemon/daemon.h"

#define BLK_MAX_DISKS   64
#define BLK_MAX_THREADS 64

struct blk_disk_options {
	struct daemon_socket socket;
	bool writeback;
	bool in_order; /* offer VIRTIO_F_IN_ORDER */
	unsigned num_queues;
	const char *serial; /* at most BLK_ID_BYTES */
	struct blk_image_options image;
};

struct blk_options {
	struct daemon_options daemon;
	struct blk_disk_options disks[BLK_MAX_DISKS];
	unsigned num_disks;
	unsigned num_threads;
	cpu_set_t cpus; /* empty: not pinned */
	uint64_t poll_us;
	bool busy_poll;
};

/*
 * blk_options_parse - take the command line apart; keeps pointers into @argv.
 * --help, --version and --print-capabilities are answered here and end the program; so does a
 * mistake, with one line on stderr (exit 1 for a value, 2 for usage).
 */
void blk_options_parse(struct blk_options *opt, int argc, char **argv);

#endif
