/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * show.h - any JSON value as text for a person: aligned names and values, lists as tables.
 * Layer L1, internal to ringsidectl (and its tests).
 */
#ifndef RINGSIDE_CONTROL_SHOW_H
#define RINGSIDE_CONTROL_SHOW_H

#include <jansson.h>
#include <stdio.h>

/* show_text - print @text, which another process chose: control characters become '?'. */
void show_text(FILE *out, const char *text);

/*
 * show_value - print @value, ending in a newline.
 *
 * An object is a line for each member, nested objects indented below their name. A list of
 * objects is a table, a row for each; members of members become columns "read.p99_ns". Where
 * that is wider than 100 columns it is turned on its side: a line for each name.
 */
void show_value(FILE *out, const json_t *value);

#endif
