/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse.h - the value forms that options share: numbers, sizes, CPU lists, on/off, key=value lists.
 * Layer L0. Start-up only. Every parser takes the whole string or nothing, and leaves the
 * output alone when it fails.
 */
#ifndef RINGSIDE_BASE_PARSE_H
#define RINGSIDE_BASE_PARSE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/* parse_uint - decimal @text in [min, max]. Return: 0, -EINVAL (not a number) or -ERANGE. */
int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* parse_size - bytes with an optional suffix K, M, G or T (powers of 1024).
 * Return: 0, -EINVAL or -ERANGE (does not fit 63 bits). */
int parse_size(const char *text, uint64_t *bytes);

/* parse_on_off - "on" or "off". Return: 0 or -EINVAL. */
int parse_on_off(const char *text, bool *out);

/* parse_cpu_list - "0,2-5". Return: 0, -EINVAL (form), -ERANGE (beyond CPU_SETSIZE). */
int parse_cpu_list(const char *text, cpu_set_t *cpus);

/*
 * parse_keyval - next "key=value" of a comma-separated list, cut out of *@cursor in place
 * (a doubled comma stands for one, as in QEMU). A key without '=' has value NULL.
 * Return: true and *key, *value set; false at the end of the list.
 */
bool parse_keyval(char **cursor, char **key, char **value);

#endif
