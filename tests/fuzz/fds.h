/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fds.h - file descriptors of every kind that a peer may pass, made when first asked for.
 * Fuzzers only. They last for one input.
 */
#ifndef RINGSIDE_TESTS_FUZZ_FDS_H
#define RINGSIDE_TESTS_FUZZ_FDS_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/wire/codec.h"

/* Those that can be mapped come first. */
enum fuzz_fd_kind {
	FUZZ_FD_MEMORY, /* 64 KiB */
	FUZZ_FD_MEMORY_TOO,
	FUZZ_FD_SHORT, /* no whole number of pages */
	FUZZ_FD_SPARSE, /* far larger than the machine */
	FUZZ_FD_SEALED, /* against growing and shrinking */
	FUZZ_FD_RECEIVED, /* the last one that came with a reply */
	FUZZ_FD_MEMORY_KINDS,
	FUZZ_FD_KICK = FUZZ_FD_MEMORY_KINDS,
	FUZZ_FD_CALL,
	FUZZ_FD_PIPE_READ,
	FUZZ_FD_PIPE_WRITE,
	FUZZ_FD_CHANNEL, /* a socket whose other end is open */
	FUZZ_FD_HUNG_UP, /* and one whose other end is not */
	FUZZ_FD_NULL,
	FUZZ_FD_DIRECTORY,
	FUZZ_FD_EPOLL,
	FUZZ_FD_READ_ONLY, /* a memory file opened for reading */
	FUZZ_FD_KINDS
};

#define FUZZ_MEMORY_BYTES 65536u
#define FUZZ_MAX_FDS      192u /* in the process */

/* fuzz_fd - of enum fuzz_fd_kind, modulo FUZZ_FD_KINDS; it stays ours. */
int fuzz_fd(unsigned kind);

/* fuzz_fds_received - keep an fd that came with @msg as FUZZ_FD_RECEIVED. */
void fuzz_fds_received(struct vu_msg *msg);

/* fuzz_fd_write - into what is not full; nothing if there is none of that kind yet. */
void fuzz_fd_write(enum fuzz_fd_kind kind, const void *bytes, size_t len);

/* fuzz_fd_close - ours; what the other side was given stays. */
void fuzz_fd_close(unsigned kind);

/* fuzz_fds_drain - read what is in the pipe and in the channel's other end. */
void fuzz_fds_drain(void);

void fuzz_fds_close(void);

/* Which fds the process has. */
struct fuzz_open_fds {
	bool open[FUZZ_MAX_FDS];
};

void fuzz_open_fds(struct fuzz_open_fds *fds);
int fuzz_lowest_free_fd(void);

#endif
