/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass.h - what ringsidectl opens for a daemon, which in its sandbox opens nothing by a path: with the
 * rights of who calls it. Layer L1, internal to ringsidectl (and its tests).
 */
#ifndef RINGSIDE_CONTROL_PASS_H
#define RINGSIDE_CONTROL_PASS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

struct ctl_pass {
	int fd; /* goes along with the request; -1: nothing does */
	/* Private: of a socket that listens, and has to go where the daemon refuses it. */
	char *path;
	struct stat file;
};

/*
 * ctl_pass_open - open what @method of @params wants:
 *
 *     capture.start   file=FILE, made new and written
 *     port.add        socket=PATH in port=KEY=VALUE,..., which is listened on; with client, nothing
 *
 * Ends the program with a line where it cannot be opened.
 */
void ctl_pass_open(struct ctl_pass *pass, const char *method, const json_t *params);

/* ctl_pass_close - @taken: the daemon has it now. */
void ctl_pass_close(struct ctl_pass *pass, bool taken);

#endif
