/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * terminal.h - a terminal in raw mode, and as it was again however the program ends.
 * VMM, main thread; internal to the console.
 *
 * Whoever leaves a terminal raw leaves its user with one that echoes nothing. A normal end and
 * exit(3) put it back themselves. For all others (a signal of any kind, SIGKILL too) there is the
 * keeper: a child that waits on a pipe until the program is gone. It puts back only what is exactly
 * as we left it, so that a shell which was faster stays undisturbed.
 */
#ifndef RINGSIDE_VMM_TERMINAL_H
#define RINGSIDE_VMM_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct terminal {
	int fd;
	bool raw;
	struct termios saved; /* what to go back to */
	int keeper_fd; /* pipe: what was saved; its end is ours */
	pid_t keeper;
};

/* terminal_open - @fd is a terminal: fork the keeper. Before any thread and the sandbox.
 * Return: 0, and @fd is closed by terminal_close(); or -errno. */
int terminal_open(struct terminal *terminal, int fd);

/* terminal_ours - are we in the foreground, or on a terminal without job control? Who is not must
 * neither read nor change modes. */
bool terminal_ours(const struct terminal *terminal);

/* terminal_enter - raw mode, if it is ours. Output goes on being processed: the lines of the log and
 * of other programs end in a newline alone. Return: 0, -EAGAIN (not ours now) or -errno. */
int terminal_enter(struct terminal *terminal);

/* terminal_leave - as it was. Harmless when it is not raw. */
void terminal_leave(struct terminal *terminal);

/* terminal_close - leave, and let the keeper go. Harmless when it is not open (keeper_fd is -1). */
void terminal_close(struct terminal *terminal);

#endif
