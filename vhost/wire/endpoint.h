/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoint.h - where peers come from: a listening unix socket, a socket handed over by number
 * (--fd), or a peer that listens itself and is connected to with back-off (client mode).
 * Layer L1. Control thread.
 */
#ifndef RINGSIDE_WIRE_ENDPOINT_H
#define RINGSIDE_WIRE_ENDPOINT_H

#include <sys/types.h>

#include "vhost/wire/broker.h"
#include "vhost/wire/loop.h"
#include "vhost/wire/unix.h"

enum endpoint_kind { ENDPOINT_LISTEN, ENDPOINT_ACCEPTED_FD, ENDPOINT_CLIENT };

/*
 * One source of connections. At most one connection at a time is handed out: after on_connect
 * the endpoint rests until endpoint_resume(); meanwhile peers wait in the listen backlog.
 */
struct endpoint {
	enum endpoint_kind kind;
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer retry;
	int fd; /* listening socket, or the one given with --fd */
	char path[108]; /* of LISTEN and CLIENT */
	dev_t dev; /* of the socket file we bound: only that one is unlinked */
	ino_t ino;
	unsigned backoff_ms; /* CLIENT: next delay, 100 ms doubling to 5 s */
	uint64_t connected_ns; /* CLIENT: when the last connection was made */
	bool resting;
	struct broker *broker; /* does what needs the path; NULL: we do */
	int peer; /* CLIENT: the broker's number for path */
	void (*on_connect)(struct endpoint *ep, int sock); /* sock (non-blocking, close-on-exec)
							     is the callee's */
	void (*on_exhausted)(struct endpoint *ep); /* ACCEPTED_FD: its connection is over */
};

/*
 * endpoint_listen - bind and listen on @path.
 *
 * A socket file left by a dead process is taken over; one somebody listens on, or a file that is
 * not a socket, is left alone. Nothing is changed on failure. A lock file is not used: the take-
 * over binds a temporary name and renames it over the stale one.
 *
 * Return: 0, or -ENAMETOOLONG, -EADDRINUSE (a live listener), -ENOTSOCK (another kind of file),
 *         -errno of bind(2) and the like. The caller words the line.
 */
int endpoint_listen(struct endpoint *ep, struct loop *loop, const char *path, mode_t mode);

/*
 * endpoint_fd - serve a socket passed by number: a connected one (QEMU's convention for --fd) is
 * served once and then on_exhausted is called; a listening one is served like endpoint_listen.
 * Takes the fd over on success. Return: 0, -EBADF, -ENOTSOCK, -EPROTOTYPE (not a unix stream
 * socket).
 */
int endpoint_fd(struct endpoint *ep, struct loop *loop, int fd);

/* endpoint_connect - client mode: connect to @path now and after every disconnect, with back-off.
 * Return: 0, -ENAMETOOLONG or -EINVAL (empty). */
int endpoint_connect(struct endpoint *ep, struct loop *loop, const char *path);

/* endpoint_use_broker - what needs the path is @broker's from now on. Before broker_seal().
 * Return: 0 or -errno. */
int endpoint_use_broker(struct endpoint *ep, struct broker *broker);

/* endpoint_start - begin to hand out connections, from the loop. on_connect must be set. */
void endpoint_start(struct endpoint *ep);

/* endpoint_resume - the connection handed out is over; look for the next. Harmless on an endpoint that
 * is closed. */
void endpoint_resume(struct endpoint *ep);

/* endpoint_close - stop, close, and remove the socket file if it is still ours (a broker does so
 * at its end). Harmless on an endpoint that is zeroed or closed; a connection handed out is not
 * touched. */
void endpoint_close(struct endpoint *ep);

#endif
