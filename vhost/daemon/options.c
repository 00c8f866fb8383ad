/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - see options.h. Layer L4, beside the back-end. Start-up.
 */
#include "vhost/daemon/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/option.h"

void daemon_option(struct daemon_options *opt, int c, const struct daemon_about *about)
{
	char version[128];

	switch (c) {
	case DAEMON_OPT_CONTROL_PATH:
		opt->control_path = optarg;
		break;
	case DAEMON_OPT_NO_SANDBOX:
		opt->sandbox = false;
		break;
	case DAEMON_OPT_LOG_LEVEL:
		if (log_set_level(optarg) < 0)
			fatal("--log-level=%s: must be error, warn, info or debug", optarg);
		break;
	case DAEMON_OPT_PRINT_CAPABILITIES:
		option_answer(about->capabilities);
	case DAEMON_OPT_VERSION:
		snprintf(version, sizeof(version), "%s " RINGSIDE_VERSION "\n", about->program);
		option_answer(version);
	case DAEMON_OPT_HELP:
		option_answer(about->help);
	default: /* getopt_long has said what it does not know */
		fprintf(stderr, "try: %s --help\n", about->program);
		exit(2);
	}
}

bool daemon_socket_set(struct daemon_socket *socket, const char *name, const char *key,
		       const char *value)
{
	if (!strcmp(key, "socket") || !strcmp(key, "socket-path"))
		socket->path = value;
	else if (!strcmp(key, "client"))
		socket->client = option_on_off(name, value);
	else if (!strcmp(key, "fd"))
		socket->fd = (int)option_number(name, value, 0, 1 << 20);
	else
		return false;
	return true;
}

void daemon_socket_check(const struct daemon_socket *socket, const char *name)
{
	if (!socket->path && socket->fd < 0)
		usage_error("%s is missing: where is the front-end to connect?", name);
	if (socket->path && socket->fd >= 0)
		usage_error("%s and fd exclude each other", name);
	if (socket->client && !socket->path)
		usage_error("client needs %s", name);
	if (socket->path && !socket->path[0])
		fatal("%s=: the path is empty", name);
}

void daemon_socket_check_pair(const struct daemon_socket *a, const struct daemon_socket *b,
			      const char *devices)
{
	if (a->path && b->path && !strcmp(a->path, b->path))
		fatal("%s: named for two %s; give each its own socket", a->path, devices);
	if (a->fd >= 0 && a->fd == b->fd)
		fatal("fd %d: named for two %s; give each its own socket", a->fd, devices);
}
