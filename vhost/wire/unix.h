/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix.h - connect to a unix socket, and publish a listening one under a path.
 * Layer L1. Control thread (connecting: any thread).
 */
#ifndef RINGSIDE_WIRE_UNIX_H
#define RINGSIDE_WIRE_UNIX_H

#include <sys/stat.h>
#include <sys/types.h>

/* unix_connect - blocking connect to the stream socket at @path. Any thread.
 * Return: a close-on-exec socket, the caller's, or -errno. */
int unix_connect(const char *path);

/* unix_check_stream - is @fd a unix stream socket? Return: 0, -ENOTSOCK (no), -errno. */
int unix_check_stream(int fd);

/* unix_connect_nonblock - the same, non-blocking; -EAGAIN where the peer's backlog is full. */
int unix_connect_nonblock(const char *path);

/*
 * unix_listen - bind @sock, an unbound stream socket, to @path with permissions @mode, and listen.
 *
 * Where @path is a socket file nobody listens on, it is replaced. At no moment is @path a socket
 * nobody listens on, so two daemons that start at once cannot both take it. On success *@file
 * describes the socket file, so that its owner can tell later whether it is still the same one.
 *
 * Return: 0, -EINVAL (no file name), -ENAMETOOLONG, -EADDRINUSE (a live listener), -ENOTSOCK
 * (another kind of file), or -errno of bind(2) and the like. On failure nothing was changed.
 */
int unix_listen(int sock, const char *path, mode_t mode, struct stat *file);

/* unix_listen_advice - what is wrong, and what to do, in words behind the path; @err is positive. */
const char *unix_listen_advice(int err);

/* unix_remove - remove the socket file @path that unix_listen() made, if it is still the @file that
 * this described; another one, whoever puts it there and when, stays. */
void unix_remove(const char *path, const struct stat *file);

#endif
