/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the options that every daemon here has, and those that name a front-end's socket.
 * Layer L4, beside the back-end. Start-up. A mistake ends the program with one line, as in
 * option.h.
 *
 * A daemon puts DAEMON_LONG_OPTIONS into its table for getopt_long(3), numbers its own options from
 * 256 on, and hands every other return value of getopt_long to daemon_option():
 *
 *     static const struct option long_options[] = {
 *             {"target", required_argument, NULL, OPT_TARGET},
 *             ...
 *             DAEMON_LONG_OPTIONS,
 *             {NULL, 0, NULL, 0},
 *     };
 */
#ifndef RINGSIDE_DAEMON_OPTIONS_H
#define RINGSIDE_DAEMON_OPTIONS_H

#include <getopt.h>

#include "vhost/daemon/daemon.h"

enum {
	DAEMON_OPT_CONTROL_PATH = 1024,
	DAEMON_OPT_NO_SANDBOX,
	DAEMON_OPT_LOG_LEVEL,
	DAEMON_OPT_PRINT_CAPABILITIES,
	DAEMON_OPT_VERSION,
	DAEMON_OPT_HELP,
};

/* clang-format off */
#define DAEMON_LONG_OPTIONS                                                                    \
	{"control-path", required_argument, NULL, DAEMON_OPT_CONTROL_PATH},                    \
	{"no-sandbox", no_argument, NULL, DAEMON_OPT_NO_SANDBOX},                              \
	{"log-level", required_argument, NULL, DAEMON_OPT_LOG_LEVEL},                          \
	{"print-capabilities", no_argument, NULL, DAEMON_OPT_PRINT_CAPABILITIES},              \
	{"version", no_argument, NULL, DAEMON_OPT_VERSION},                                    \
	{"help", no_argument, NULL, DAEMON_OPT_HELP}
/* clang-format on */

/* What a daemon says of itself on stdout. */
struct daemon_about {
	const char *program; /* "ringside-blk" */
	const char *capabilities; /* JSON, as QEMU's vhost-user.json has it */
	const char *help;
};

/* daemon_option - take option @c of DAEMON_LONG_OPTIONS, with its value in optarg, into @opt, whose
 * sandbox is on at first; or what getopt_long(3) did not know, of which it has told: exit 2. */
void daemon_option(struct daemon_options *opt, int c, const struct daemon_about *about);

/* A socket that has not been named yet. */
#define DAEMON_NO_SOCKET ((struct daemon_socket){.fd = -1})

/*
 * daemon_socket_set - take key socket (or socket-path), client or fd of one device. @name is how
 * the operator knows it: "--fd", "--disk fd". @value may be NULL for client, which is then on.
 * Return: false when the key is another.
 */
bool daemon_socket_set(struct daemon_socket *socket, const char *name, const char *key,
		       const char *value);

/* daemon_socket_check - one of path and fd is there, and they fit. @name is that of the path:
 * "--socket-path", "--disk socket". */
void daemon_socket_check(const struct daemon_socket *socket, const char *name);

/* daemon_socket_check_pair - two devices, "disks" say, do not share a socket. */
void daemon_socket_check_pair(const struct daemon_socket *a, const struct daemon_socket *b,
			      const char *devices);

#endif
