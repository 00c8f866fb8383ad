/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse.c - numbers, sizes, CPU lists and key=value lists from the command line.
 * Layer L0. Start-up only, and the control socket's parameters.
 */
#include "vhost/base/parse.h"

#include <errno.h>
#include <string.h>

#include "vhost/base/util.h"

/*
 * digits - read decimal digits at *@text and move behind them. strtoull(3) would take signs,
 * blanks and 0x, none of which an option should.
 * Return: 0, -EINVAL (no digit) or -ERANGE.
 */
static int digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t value = 0;
	int ret = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	/* Read to the end even when too large, so that "99999999999999999999x" is not a number
	 * rather than one out of range. */
	for (; *p >= '0' && *p <= '9'; p++) {
		if (mul_overflows(value, (uint64_t)10, &value) ||
		    add_overflows(value, (uint64_t)(*p - '0'), &value))
			ret = -ERANGE;
	}
	*text = p;
	*out = value;
	return ret;
}

int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value;
	int ret = digits(&text, &value);

	if (ret == -EINVAL || *text != '\0')
		return -EINVAL;
	if (ret < 0 || value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int parse_size(const char *text, uint64_t *bytes)
{
	uint64_t value;
	unsigned shift = 0;
	int ret = digits(&text, &value);

	if (ret == -EINVAL)
		return -EINVAL;
	switch (*text) {
	case 'T':
	case 't':
		shift = 40;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'K':
	case 'k':
		shift = 10;
		break;
	case '\0':
		break;
	default:
		return -EINVAL;
	}
	if (shift && text[1] != '\0')
		return -EINVAL;
	if (ret < 0 || value > ((uint64_t)INT64_MAX >> shift))
		return -ERANGE;
	*bytes = value << shift;
	return 0;
}

int parse_on_off(const char *text, bool *out)
{
	if (!strcmp(text, "on"))
		*out = true;
	else if (!strcmp(text, "off"))
		*out = false;
	else
		return -EINVAL;
	return 0;
}

int parse_cpu_list(const char *text, cpu_set_t *cpus)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (;;) {
		uint64_t first, last;
		int ret = digits(&text, &first);

		if (ret < 0)
			return ret;
		last = first;
		if (*text == '-') {
			text++;
			ret = digits(&text, &last);
			if (ret < 0)
				return ret;
		}
		if (last < first)
			return -EINVAL;
		if (last >= CPU_SETSIZE)
			return -ERANGE;
		for (; first <= last; first++)
			CPU_SET(first, &set);
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*cpus = set;
	return 0;
}

bool parse_keyval(char **cursor, char **key, char **value)
{
	char *in = *cursor, *out = *cursor;

	if (*in == '\0')
		return false;
	*key = in;
	*value = NULL;
	for (; *in != '\0'; in++) {
		if (*in == ',') {
			if (in[1] != ',')
				break;
			in++;
		} else if (*in == '=' && !*value) {
			*out++ = '\0';
			*value = out;
			continue;
		}
		*out++ = *in;
	}
	/* out never runs ahead of in, but may be on it: look before the cut. */
	*cursor = *in == ',' ? in + 1 : in;
	*out = '\0';
	return true;
}
