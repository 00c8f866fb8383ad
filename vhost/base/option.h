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

/*
 * A list of keys that is the value of one option, --disk=socket=/s,file=/f,read-only say:
 *
 *     struct option_list list;
 *
 *     option_list_open(&list, "--disk", text);
 *     while (option_list_next(&list))
 *             ... list.key, list.value, and list.name for the line that refuses them ...
 *
 * @text is cut up, and keys and values lie in it. It is a copy, so that ps(1) goes on showing what
 * was typed; the caller keeps it, or gives it to free(3).
 */
struct option_list {
	const char *option;
	char *text;
	char *cursor;
	char *key;
	char *value; /* NULL: the key stands alone */
	char name[64]; /* "--disk file" */
};

/* option_list_open - go through @text, the value of @option, which is kept and not copied. */
void option_list_open(struct option_list *list, const char *option, const char *text);

/* option_list_next - the next key. Return: false when there is none. */
bool option_list_next(struct option_list *list);

/* option_list_value - of a key that must not stand alone. */
char *option_list_value(const struct option_list *list);

/* option_answer - @text on stdout is all that was asked for. */
_Noreturn void option_answer(const char *text);

#endif
