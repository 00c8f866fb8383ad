/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console.h - where the serial port's bytes go: the terminal (raw, with an escape key), a file, a
 * socket, or nowhere. VMM, main thread with the board lock held, but for console_put().
 *
 * Escape: Ctrl-A, then x ends the VM, p pauses or resumes it, h tells what there is, Ctrl-A sends
 * one. The terminal is put back as it was however the program ends: at exit, by signals that end
 * it, and by a child that only waits for the program to be gone where even SIGKILL ended it.
 */
#ifndef RINGSIDE_VMM_CONSOLE_H
#define RINGSIDE_VMM_CONSOLE_H

#include <stddef.h>

#include "vhost/wire/broker.h"
#include "vhost/wire/loop.h"
#include "vmm/serial.h"

struct console;

enum console_key { CONSOLE_QUIT, CONSOLE_PAUSE };

struct console_options {
	/* "stdio", "none", "socket:PATH" (listens, one client at a time; who connects sees the
	 * latest 64 KiB that nobody read), or a file's path, which is appended to. */
	const char *target;
	struct loop *loop;
	struct serial *serial;
	void (*on_key)(void *ctx, enum console_key key);
	void *ctx;
};

/* console_create - open the target; the terminal becomes raw only with console_start(). To be called
 * before the sandbox. Return: 0, or -errno with the one line for the operator in @error. */
int console_create(struct console **out, const struct console_options *opt, char *error,
		   size_t error_bytes);

/* console_use_broker - the socket file goes with the program by @broker. Before broker_seal().
 * Return: 0 or -errno. */
int console_use_broker(struct console *console, struct broker *broker);

/* console_start - the guest is about to run: raw mode, input is read. Return: 0 or -errno. */
int console_start(struct console *console);

/* console_put - a byte from the guest, by serial.tx; any thread with the board lock. Never waits.
 * Return: false when its buffer is full (serial_tx_ready() is called when it is no more). */
bool console_put(void *console, uint8_t byte);

/* console_destroy - what is left goes out (for at most a second), the terminal is restored. */
void console_destroy(struct console *console);

#endif
