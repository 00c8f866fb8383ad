/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the command line of ringside-vmm. VMM, start-up.
 */
#ifndef RINGSIDE_VMM_OPTIONS_H
#define RINGSIDE_VMM_OPTIONS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/load.h"
#include "vmm/memory_map.h"
#include "vmm/ram.h"
#include "vmm/topology.h"

enum net_ctrl { NET_CTRL_AUTO, NET_CTRL_VMM, NET_CTRL_BACKEND, NET_CTRL_OFF };

/* --vhost-user-blk, --vhost-user-net, --vhost-user-balloon, --vhost-user */
struct backend_options {
	const char *socket_path;
	uint16_t device_id;
	unsigned queues; /* net: pairs; others: queues. 0: as many as it makes sense */
	uint16_t queue_size; /* 0: 256 */
	unsigned config_bytes;
	bool packed; /* offer VIRTIO_F_RING_PACKED where the back-end does */
	bool has_mac;
	uint8_t mac[6];
	enum net_ctrl ctrl;
	unsigned wait_s; /* for the first connection */
};

struct options {
	enum { COMMAND_RUN, COMMAND_DOCTOR } command;
	struct load_options load;
	struct ram_options ram;
	struct topology topology;
	cpu_set_t cpus; /* empty: not pinned */
	struct backend_options backends[VMM_MAX_DEVICES];
	unsigned num_backends;
	const char *serial; /* see console.h */
	const char *control_path; /* NULL: none */
	bool reboot; /* false: a reboot ends the program */
	bool count_kicks;
	bool sandbox;
	bool json; /* doctor */
};

/*
 * options_parse - take the command line apart; keeps pointers into @argv. --help and --version are
 * answered here and end the program; so does a mistake, with one line on stderr (exit 1 for a value,
 * 2 for usage).
 */
void options_parse(struct options *opt, int argc, char **argv);

#endif
