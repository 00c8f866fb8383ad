/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_part.h - options of ringside-vmm whose values are lists of keys.
 * VMM, start-up; internal to options*.c. A mistake ends the program with a line that names it.
 */
#ifndef RINGSIDE_VMM_OPTIONS_PART_H
#define RINGSIDE_VMM_OPTIONS_PART_H

#include "vmm/options.h"

/* --memory=SIZE[,hugepages=on|off][,numa-node=N][,prealloc=on|off] */
void options_parse_memory(struct ram_options *ram, const char *text);

/* --smp=N[,sockets=N][,cores=N][,threads=N] */
void options_parse_smp(struct topology *topology, const char *text);

enum options_device { OPTIONS_BLK, OPTIONS_NET, OPTIONS_BALLOON, OPTIONS_OTHER };

/* --vhost-user-blk, --vhost-user-net, --vhost-user-balloon, --vhost-user; @dev keeps pointers into a copy of @text that
 * lives as long as the program. */
void options_parse_device(struct backend_options *dev, enum options_device kind, const char *text);

/* options_check_socket - can @path be a unix socket's? @name: which option says so. */
void options_check_socket(const char *name, const char *path);

#endif
