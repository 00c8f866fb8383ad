/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.h - the host's memory and its pressure, from /proc/meminfo and /proc/pressure/memory.
 * Layer L5, control thread. Opened at start-up, read in the sandbox.
 */
#ifndef RINGSIDE_BALLOON_HOST_H
#define RINGSIDE_BALLOON_HOST_H

#include "balloon/policy.h"

struct bal_host_files {
	int meminfo_fd; /* or -errno: could not be opened */
	int pressure_fd; /* -1: this kernel has no PSI */
};

/* bal_host_open - Return: 0, or -errno of /proc/meminfo. */
int bal_host_open(struct bal_host_files *files);

/* bal_host_read - Return: 0, -errno, -EBADMSG (not the form expected). */
int bal_host_read(const struct bal_host_files *files, struct bal_host *host);

/* bal_host_parse_meminfo, bal_host_parse_pressure - what the two files say. @text ends in a zero
 * byte. Return: 0 or -EBADMSG. */
int bal_host_parse_meminfo(const char *text, struct bal_host *host);
int bal_host_parse_pressure(const char *text, struct bal_host *host);

void bal_host_close(struct bal_host_files *files);

#endif
