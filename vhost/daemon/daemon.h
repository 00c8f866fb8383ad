/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon.h - what the main() of every daemon here does, in order: options they share, broker,
 * sockets, privileges dropped, system calls given up, service; and back.
 * Layer L4, beside the back-end. Control thread. Everything here ends the program with one line
 * where the operator's input cannot be served; no socket file stays behind.
 */
#ifndef RINGSIDE_DAEMON_DAEMON_H
#define RINGSIDE_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "vhost/backend/device.h"
#include "vhost/base/sandbox.h"
#include "vhost/control/rpc.h"
#include "vhost/wire/broker.h"

/* Where a device's front-end comes from: one of the two. */
struct daemon_socket {
	const char *path; /* NULL: fd */
	int fd; /* -1: path */
	bool client; /* connect to path instead of listening */
};

/* The options that all daemons have. */
struct daemon_options {
	const char *control_path; /* NULL: none */
	bool sandbox;
};

struct daemon {
	const char *program; /* "ringside-blk" */
	const struct daemon_options *opt;
	struct loop *loop;
	uint64_t keep_capabilities; /* 1 << CAP_...: the control thread's in the sandbox */
	/*
	 * Of a program whose devices come and go at run time, which closes them itself; set after
	 * daemon_begin(). NULL: a signal closes all devices, and the last one ends the program.
	 */
	void (*on_end)(struct daemon *d); /* close everything, then loop_quit() */
	void (*on_exhausted)(struct daemon *d,
			     struct vu_device *dev); /* no other front-end comes */
	/* Private: */
	bool running;
	struct broker *broker; /* NULL: no sandbox */
	struct rpc_server *rpc;
	struct vu_device **devices;
	unsigned num_devices, num_open;
	struct loop_watch signals;
};

/*
 * daemon_begin - the broker (forked before it could inherit anything), clock, fd limit, event loop.
 * First of all after the options, before which come log_init() and startup_fill_standard_fds().
 */
void daemon_begin(struct daemon *d, const char *program, const struct daemon_options *opt);

/* daemon_watch_signals - SIGTERM and SIGINT end the program in order from here on. */
void daemon_watch_signals(struct daemon *d);

/* daemon_listen - open the endpoint of @dev at @socket. All devices, then the control socket. */
void daemon_listen(struct daemon *d, struct vu_device *dev, const struct daemon_socket *socket);

/*
 * daemon_open - the same, where a failure does not end the program: at run time, when @dev begins to
 * serve at once. In a sandbox @socket has an fd then; a path beside it is but a name.
 * Return: 0, or -errno with a line in @error.
 */
int daemon_open(struct daemon *d, struct vu_device *dev, const struct daemon_socket *socket,
		char *error, size_t error_bytes);

/* daemon_forget - @dev is closed by its owner; nothing is done to it. */
void daemon_forget(struct daemon *d, const struct vu_device *dev);

/* daemon_control - answer @methods at --control-path, if there is one. @methods and @ctx must
 * outlive d. */
void daemon_control(struct daemon *d, const struct rpc_method *methods, size_t num, void *ctx);

/* daemon_drop_privileges - but keep_capabilities; before any thread starts. */
void daemon_drop_privileges(struct daemon *d);

/* daemon_drop_in_threads - those that a library has started nevertheless lose all of theirs. */
void daemon_drop_in_threads(struct daemon *d);

/* daemon_drop_system_calls - everything is open, and every thread is there. */
void daemon_drop_system_calls(struct daemon *d, const struct sandbox_filter *filter);

/* daemon_give_up - fatal(), once there are sockets. */
_Noreturn void daemon_give_up(struct daemon *d, const char *fmt, ...) printf_like(2, 3);

/* daemon_run - serve, until a signal has come and all devices are closed. Return: exit code. */
int daemon_run(struct daemon *d);

/* daemon_end - after what the devices use has been closed: sockets, broker, loop. */
void daemon_end(struct daemon *d);

#endif
