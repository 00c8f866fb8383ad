/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * option.c - see option.h. Layer L0. Start-up only.
 */
#include "vhost/base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/parse.h"

uint64_t option_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (parse_uint(text, min, max, &value) < 0)
		fatal("%s=%s: must be a whole number from %llu to %llu", name, text,
		      (unsigned long long)min, (unsigned long long)max);
	return value;
}

bool option_on_off(const char *name, const char *text)
{
	bool value;

	if (!text)
		return true;
	if (parse_on_off(text, &value) < 0)
		fatal("%s=%s: must be on or off", name, text);
	return value;
}

void option_list_open(struct option_list *list, const char *option, const char *text)
{
	*list = (struct option_list){.option = option, .text = strdup(text)};
	if (!list->text)
		fatal("out of memory");
	list->cursor = list->text;
}

bool option_list_next(struct option_list *list)
{
	if (!parse_keyval(&list->cursor, &list->key, &list->value))
		return false;
	snprintf(list->name, sizeof(list->name), "%s %s", list->option, list->key);
	return true;
}

char *option_list_value(const struct option_list *list)
{
	if (!list->value)
		usage_error("%s needs a value: %s=...", list->name, list->key);
	return list->value;
}

void option_answer(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) ? 1 : 0);
}
