/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * show.c - results of control calls as aligned text; knows JSON, not what the values mean.
 * Layer L1, part of ringsidectl.
 */
#include "vhost/control/show.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/util.h"

#define SCREEN_COLUMNS 100
#define INDENT         2
#define GAP            2 /* between columns */
#define MAX_CELLS      1000000 /* of one table; beyond that JSON is as readable */

/* A table of strings: each cell is owned, an absent one is NULL. */
struct table {
	size_t rows;
	size_t columns;
	json_t *names; /* of the columns: name -> number, in order of first appearance */
	char **cells; /* row after row */
};

static void *must(void *allocated)
{
	if (!allocated) {
		fputs("ringsidectl: out of memory\n", stderr);
		exit(1);
	}
	return allocated;
}

/* Replace what could move a terminal's cursor: C0, DEL and, as UTF-8, C1. In place. */
static char *make_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
	return text;
}

void show_text(FILE *out, const char *text)
{
	char *copy = make_printable(must(strdup(text)));

	fputs(copy, out);
	free(copy);
}

/* Columns on the screen, counting each code point as one. */
static size_t text_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void put_padded(FILE *out, const char *text, size_t columns, bool right)
{
	int pad = (int)(columns - min_of(columns, text_columns(text)));

	fprintf(out, "%*s%s%*s", right ? pad : 0, "", text, right ? 0 : pad, "");
}

/* The text of @value, for the caller to free. */
static char *value_text(const json_t *value)
{
	if (json_is_string(value))
		return make_printable(must(strdup(json_string_value(value))));
	if (json_is_null(value))
		return must(strdup("-"));
	return make_printable(
		must(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6))));
}

static bool is_list_of_objects(const json_t *value)
{
	size_t n = json_array_size(value);

	for (size_t i = 0; i < n; i++) {
		if (!json_is_object(json_array_get(value, i)))
			return false;
	}
	return n > 0;
}

/*
 * Go through the members of @object and of their members, "outer.inner". Before t->cells exists
 * this collects the names of the columns, afterwards it fills in @row.
 */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as jansson lets a text nest */
static void table_walk(struct table *t, size_t row, const char *prefix, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		size_t bytes = strlen(prefix) + strlen(key) + 2;
		char *name = must(malloc(bytes));

		snprintf(name, bytes, "%s%s%s", prefix, *prefix ? "." : "", key);
		make_printable(name);
		if (json_is_object(value)) {
			table_walk(t, row, name, value);
		} else if (t->cells) {
			size_t column = (size_t)json_integer_value(json_object_get(t->names, name));
			char **cell = &t->cells[row * t->columns + column];

			free(*cell); /* {"a.b": 1, "a": {"b": 2}} has one name twice */
			*cell = value_text(value);
		} else if (!json_object_get(t->names, name)) {
			json_object_set_new(t->names, name, json_integer((json_int_t)t->columns++));
		}
		free(name);
	}
}

static void table_free(struct table *t)
{
	for (size_t i = 0; t->cells && i < t->columns * t->rows; i++)
		free(t->cells[i]);
	free(t->cells);
	json_decref(t->names);
}

/* Return: false, and nothing to free, for a list too large to lay out. */
static bool table_create(struct table *t, const json_t *list)
{
	*t = (struct table){.rows = json_array_size(list), .names = must(json_object())};
	for (size_t i = 0; i < t->rows; i++)
		table_walk(t, i, "", json_array_get(list, i));
	if (t->columns == 0 || t->columns > MAX_CELLS / t->rows) {
		table_free(t);
		return false;
	}
	t->cells = must(calloc(t->columns * t->rows, sizeof(*t->cells)));
	for (size_t i = 0; i < t->rows; i++)
		table_walk(t, i, "", json_array_get(list, i));
	return true;
}

static const char *table_cell(const struct table *t, size_t row, size_t column)
{
	const char *cell = t->cells[row * t->columns + column];

	return cell ? cell : "-";
}

/* Columns of numbers, and of nothing ("-"), are set to the right. */
static bool column_is_numeric(const struct table *t, size_t column)
{
	for (size_t i = 0; i < t->rows; i++) {
		const char *text = table_cell(t, i, column);

		if (!*text || text[strspn(text, "+-.eE0123456789")])
			return false;
	}
	return true;
}

/* Width of the widest cell of @column. */
static size_t column_width(const struct table *t, size_t column)
{
	size_t width = 0;

	for (size_t i = 0; i < t->rows; i++)
		width = max_of(width, text_columns(table_cell(t, i, column)));
	return width;
}

/* A line for each row of @t, under the names. */
static void put_upright(FILE *out, const struct table *t, const char **names, const size_t *widths,
			int indent)
{
	for (size_t line = 0; line <= t->rows; line++) {
		fprintf(out, "%*s", indent, "");
		for (size_t c = 0; c < t->columns; c++) {
			const char *text = line ? table_cell(t, line - 1, c) : names[c];
			bool right = column_is_numeric(t, c);

			if (c + 1 == t->columns && !right)
				fputs(text, out); /* no blanks at the end of the line */
			else
				put_padded(out, text, widths[c], right);
			fprintf(out, "%*s", c + 1 < t->columns ? GAP : 0, "");
		}
		fputc('\n', out);
	}
}

/* A line for each column of @t; as many rows beside each other as the screen has room for. */
static void put_on_side(FILE *out, const struct table *t, const char **names, const size_t *widths,
			int indent)
{
	size_t name_width = 0, width = 1, at_once = 1;

	for (size_t c = 0; c < t->columns; c++) {
		name_width = max_of(name_width, text_columns(names[c]));
		width = max_of(width, widths[c]);
	}
	while ((size_t)indent + name_width + (at_once + 1) * (width + GAP) <= SCREEN_COLUMNS)
		at_once++;
	for (size_t first = 0; first < t->rows; first += at_once) {
		size_t last = min_of(first + at_once, t->rows);

		for (size_t c = 0; c < t->columns; c++) {
			fprintf(out, "%*s", indent, "");
			put_padded(out, names[c], name_width, false);
			for (size_t row = first; row < last; row++) {
				fprintf(out, "%*s", GAP, "");
				put_padded(out, table_cell(t, row, c), width, true);
			}
			fputc('\n', out);
		}
		if (last < t->rows)
			fputc('\n', out);
	}
}

static void show_table(FILE *out, const json_t *list, int indent)
{
	size_t upright = (size_t)indent, n = 0;
	struct table t;
	const char **names, *name;
	size_t *widths;
	json_t *column;

	if (!table_create(&t, list)) {
		char *text = value_text(list);

		fprintf(out, "%*s%s\n", indent, "", text);
		free(text);
		return;
	}
	names = must(calloc(t.columns, sizeof(*names)));
	widths = must(calloc(t.columns, sizeof(*widths)));
	json_object_foreach (t.names, name, column) {
		names[n] = name;
		widths[n] = column_width(&t, n);
		upright += max_of(widths[n], text_columns(name)) + (n ? GAP : 0);
		n++;
	}
	assert(n == t.columns);
	if (upright <= SCREEN_COLUMNS) {
		for (size_t c = 0; c < t.columns; c++)
			widths[c] = max_of(widths[c], text_columns(names[c]));
		put_upright(out, &t, names, widths, indent);
	} else {
		put_on_side(out, &t, names, widths, indent);
	}
	free(widths);
	free(names);
	table_free(&t);
}

/* A table's cell cannot hold a table. */
static bool holds_lists(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *key;
		json_t *value;

		json_object_foreach (json_array_get(list, i), key, value) {
			if (is_list_of_objects(value))
				return true;
		}
	}
	return false;
}

static void show_object(FILE *out, const json_t *object, int indent);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as jansson lets a text nest */
static void show_list(FILE *out, const json_t *list, int indent)
{
	if (!holds_lists(list)) {
		show_table(out, list, indent);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		fprintf(out, "%s%*s[%zu]\n", i ? "\n" : "", indent, "", i);
		show_object(out, json_array_get(list, i), indent + INDENT);
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as jansson lets a text nest */
static void show_object(FILE *out, const json_t *object, int indent)
{
	size_t width = 0;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value)
		width = max_of(width, text_columns(key));
	json_object_foreach ((json_t *)object, key, value) {
		char *name = make_printable(must(strdup(key)));
		bool nested = json_is_object(value) && json_object_size(value) > 0;

		fprintf(out, "%*s", indent, "");
		if (nested || is_list_of_objects(value)) {
			fprintf(out, "%s:\n", name);
			if (nested)
				show_object(out, value, indent + INDENT);
			else
				show_list(out, value, indent + INDENT);
		} else {
			char *text = value_text(value);

			put_padded(out, name, width + GAP, false);
			fprintf(out, "%s\n", text);
			free(text);
		}
		free(name);
	}
}

/* A text of several lines, such as metrics. */
static void show_lines(FILE *out, const char *text)
{
	char *copy = must(strdup(text)), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) && (*line || rest))
		fprintf(out, "%s\n", make_printable(line));
	free(copy);
}

void show_value(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_string(value) && strchr(json_string_value(value), '\n')) {
		show_lines(out, json_string_value(value));
	} else if (is_list_of_objects(value)) {
		show_list(out, value, 0);
	} else if (json_object_size(value) > 0) {
		show_object(out, value, 0);
	} else {
		text = value_text(value);
		fprintf(out, "%s\n", text);
		free(text);
	}
}
