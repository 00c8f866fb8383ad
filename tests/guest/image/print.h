/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * print.h - what the guest says on COM1: results as TAP has them, and a few words for its host.
 * Test guest, the first CPU.
 *
 * Each line is one of: "ok N - NAME", "not ok N - NAME", "# note", "STEP WORD" (the host is to do
 * what the test calls so), "VALUE NAME TEXT", and "1..N" at the end.
 */
#ifndef RINGSIDE_GUEST_PRINT_H
#define RINGSIDE_GUEST_PRINT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF_LIKE(n) __attribute__((format(printf, n, (n) + 1)))

/* print - %s %c %u %d %x %%, with l or ll, zeroes and a width. */
void print(const char *format, ...) PRINTF_LIKE(1);

/* check - one result, named. Return: @passed. */
bool check(bool passed, const char *format, ...) PRINTF_LIKE(2);

/* check_equal - one result; when it failed, what was got and expected follows as a note. */
bool check_equal(uint64_t got, uint64_t expected, const char *format, ...) PRINTF_LIKE(3);

/* note - for whoever reads the log of a failure. */
void note(const char *format, ...) PRINTF_LIKE(1);

/* step - tell the host that it is its turn. */
void step(const char *word);

/* step_answered - and wait until it has typed something. */
void step_answered(const char *word);

/* print_plan - the last line. */
void print_plan(void);

size_t text_length(const char *text);
bool text_equal(const char *a, const char *b, size_t bytes);

/* text_number - decimal, or hexadecimal after 0x; stops at what is no digit. */
uint64_t text_number(const char *text);

#endif
