/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuse_file.h - a file whose file system is a process of ours, which need not answer.
 * Tests only; needs /dev/fuse and the right to mount.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_FUSE_FILE_H
#define RINGSIDE_TESTS_PROTOCOL_FUSE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FUSE_FILE_BYTES (1u << 20)

struct fuse_file {
	int fd; /* of the file, for reading and writing; the caller's to close */
	pid_t server; /* ends with the last reference to the file; killed, it ends all calls */
};

/* fuse_file_open - a file of FUSE_FILE_BYTES. Requests whose opcode (FUSE_READ...) has its bit in
 * @withheld are never answered. It is at no path. Return: 0 or -errno. */
int fuse_file_open(struct fuse_file *file, uint64_t withheld);

/* fuse_file_possible - else stdout has the line of a test that is skipped. */
bool fuse_file_possible(void);

/* fuse_file_end - whoever waits for the server goes on, with an error. */
void fuse_file_end(struct fuse_file *file);

#endif
