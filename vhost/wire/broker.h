/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker.h - a small process that does what needs a path for a daemon in its sandbox: connect to
 * a front-end that listens, and remove the daemon's socket files when it is gone.
 * Layer L1. Control thread.
 *
 * It is forked before anything is open, so that the daemon's locks and listening sockets are never
 * its own and end with the daemon. It is told paths until it is sealed; from then on it takes
 * none, and the daemon can but name a peer by number. It ends when the daemon does, by whatever
 * death, and outlives every signal until then.
 */
#ifndef RINGSIDE_WIRE_BROKER_H
#define RINGSIDE_WIRE_BROKER_H

#include <sys/stat.h>

struct broker;

/* broker_start - fork it. Before the first thread, and before privileges are dropped: what the
 * daemon can connect to and remove, the broker can. Return: 0 or -errno. */
int broker_start(struct broker **out);

/*
 * broker_remove_at_end - the socket file @path, which @file describes, goes when the daemon has
 * gone, if it is still the same one. Before broker_seal().
 * Return: 0 or -errno (-EPIPE: the broker is gone).
 */
int broker_remove_at_end(struct broker *broker, const char *path, const struct stat *file);

/* broker_add_peer - let the daemon connect to @path. Before broker_seal().
 * Return: the number by which broker_connect() names it, or -errno. */
int broker_add_peer(struct broker *broker, const char *path);

/* broker_seal - send it into a sandbox of its own. Return: 0 or -errno. */
int broker_seal(struct broker *broker);

/* broker_connect - as unix_connect_nonblock() to peer @number. After broker_seal().
 * Return: a non-blocking, close-on-exec socket, or -errno (-EPIPE: the broker is gone,
 * -ETIMEDOUT: it does not answer at the moment). */
int broker_connect(struct broker *broker, int number);

/* broker_stop - wait until the broker has removed the socket files and ended; they should not be
 * listened on any more. Frees @broker; NULL does nothing. */
void broker_stop(struct broker *broker);

#endif
