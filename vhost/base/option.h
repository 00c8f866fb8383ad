/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * option.h - values of options, or one line that names option, value and limits, and the end.
 * Layer L0. Start-up only. parse.h says what forms there are.
 */
#ifndef RINGSIDE_BASE_OPTION_H
#define RINGSIDE_BASE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

/* @name is how the operator knows the value: "--threads", "--disk num-queues". */

/* option_number - a whole number from @min to @max. */
uint64_t option_number(const char *name, const char *text, uint64_t min, uint64_t max);

/* option_on_off - "on" or "off"; @text may be NULL for an option without a value, which is on. */
bool option_on_off(const char *name, const char *text);

/* option_answer - @text on stdout is all that was asked for. */
_Noreturn void option_answer(const char *text);

#endif
