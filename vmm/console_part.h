/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console_part.h - the inside of the console, shared by its three files.
 * VMM, main thread with the board lock held, but for console_put().
 */
#ifndef RINGSIDE_VMM_CONSOLE_PART_H
#define RINGSIDE_VMM_CONSOLE_PART_H

#include "vhost/base/log.h"
#include "vhost/wire/endpoint.h"
#include "vmm/console.h"
#include "vmm/terminal.h"

#define CONSOLE_OUT_BYTES (64u * 1024)
#define CONSOLE_IN_BYTES  4096

struct console {
	struct loop *loop;
	struct serial *serial;
	void (*on_key)(void *ctx, enum console_key key);
	void *ctx;
	bool started;

	int out_fd; /* -1: nobody takes anything now */
	bool keep_latest; /* while that is so: the latest bytes stay for who comes */
	bool is_file; /* always ready */
	size_t piece; /* what one write may be; less than everything: it could wait */
	struct loop_watch out_watch;
	struct loop_timer gather;
	struct log_limit complaints;
	int wake_fd; /* eventfd: a vCPU's thread has put the first byte */
	struct loop_watch wake_watch;
	bool woken;
	bool refused; /* console_put() has said there is no room */
	uint8_t out[CONSOLE_OUT_BYTES];
	size_t out_begin, out_count;

	int in_fd; /* -1: no input (any more) */
	bool in_regular; /* a regular file: always readable, not to be watched */
	struct loop_watch in_watch;
	struct loop_timer retry;
	unsigned retry_ms;
	uint64_t taken_ns; /* when the guest last took input, or some came after none */
	uint8_t in[CONSOLE_IN_BYTES]; /* what it had no room for yet */
	size_t in_count;

	bool is_terminal; /* of the input: escape key, raw mode */
	bool escaped; /* Ctrl-A came before */
	struct terminal terminal; /* in_fd is its */
	struct loop_watch job_signals;
	struct loop_timer foreground;

	bool is_socket;
	struct endpoint endpoint;
};

/* --- console_output.c --- */

/* console_watch_wake - so that console_put() reaches the main thread. Return: 0 or -errno. */
int console_watch_wake(struct console *c);

/* console_watch_output - out_fd is there. Return: 0 or -errno. */
int console_watch_output(struct console *c);

/* console_schedule_output - write what is there, now or a moment later. */
void console_schedule_output(struct console *c);

/* console_say - to the user, between what the guest writes. */
void console_say(struct console *c, const char *text);

/* console_offer_room - to a guest that was told there is none, if there is some now. */
void console_offer_room(struct console *c);

/* console_drain - what is left goes out, for at most a second. */
void console_drain(struct console *c);

/* --- console_input.c --- */

/* console_watch_input - in_fd is there. Return: 0 or -errno. */
int console_watch_input(struct console *c);

/* console_use_terminal - raw mode and input if we are in the foreground, else look again later.
 * Return: 0 or -errno. */
int console_use_terminal(struct console *c);

/* console_watch_job_signals - stop and continue with the terminal as it should be. Before threads.
 * Return: 0 or -errno. */
int console_watch_job_signals(struct console *c);

/* --- console.c --- */

/* console_hang_up - the client of our socket is gone; wait for the next. */
void console_hang_up(struct console *c);

#endif
