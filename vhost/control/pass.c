/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass.c - see pass.h. Layer L1, one thread.
 */
#include "vhost/control/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/wire/unix.h"

static void create_file(struct ctl_pass *pass, const char *path)
{
	pass->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (pass->fd < 0)
		fatal("file=%s: %s", path, strerror(errno));
}

static void listen_at(struct ctl_pass *pass, const char *path)
{
	int ret;

	pass->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = pass->fd < 0 ? -errno : unix_listen(pass->fd, path, 0600, &pass->file);
	if (ret < 0)
		fatal("socket=%s: %s", path, unix_listen_advice(-ret));
	pass->path = strdup(path);
	if (!pass->path)
		fatal("out of memory");
}

/* open_port - find the socket in the port's keys, of which dpdk is the last one and takes the rest. */
static void open_port(struct ctl_pass *pass, const char *text)
{
	char *copy = strdup(text), *cursor = copy, *key, *value;
	const char *path = NULL;
	bool client = false;

	if (!copy)
		fatal("out of memory");
	while (strncmp(cursor, "dpdk=", 5) && parse_keyval(&cursor, &key, &value)) {
		if (!strcmp(key, "socket"))
			path = value;
		else if (!strcmp(key, "client"))
			client = !value || strcmp(value, "off");
	}
	if (path && path[0] && !client && strncmp(cursor, "dpdk=", 5))
		listen_at(pass, path);
	free(copy);
}

void ctl_pass_open(struct ctl_pass *pass, const char *method, const json_t *params)
{
	const char *file = json_string_value(json_object_get(params, "file"));
	const char *port = json_string_value(json_object_get(params, "port"));

	*pass = (struct ctl_pass){.fd = -1};
	if (!strcmp(method, "capture.start") && file)
		create_file(pass, file);
	else if (!strcmp(method, "port.add") && port)
		open_port(pass, port);
}

void ctl_pass_close(struct ctl_pass *pass, bool taken)
{
	if (pass->path && !taken)
		unix_remove(pass->path, &pass->file);
	free(pass->path);
	close_fd(&pass->fd);
}
