/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * print.c - text out, results counted. Test guest, the first CPU.
 */
#include "tests/guest/image/print.h"

#include "tests/guest/image/serial.h"

static unsigned results;

static void print_text(const char *text)
{
	while (*text)
		serial_put(*text++);
}

static void print_number(uint64_t value, unsigned base, unsigned width, char fill)
{
	char digits[32];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n < width && n < sizeof(digits))
		digits[n++] = fill;
	while (n)
		serial_put(digits[--n]);
}

/* How many l there are says how long the argument is. */
static uint64_t next_number(va_list *args, unsigned longs, bool is_signed)
{
	if (longs)
		return va_arg(*args, unsigned long);
	if (is_signed)
		return (uint64_t)va_arg(*args, int);
	return va_arg(*args, unsigned);
}

static const char *print_one(const char *p, va_list *args)
{
	unsigned width = 0, longs = 0;
	char fill = ' ';
	uint64_t value;

	if (*p == '0')
		fill = '0';
	while (*p >= '0' && *p <= '9')
		width = width * 10 + (unsigned)(*p++ - '0');
	while (*p == 'l') {
		longs++;
		p++;
	}
	switch (*p) {
	case 's':
		print_text(va_arg(*args, const char *));
		break;
	case 'c':
		serial_put((char)va_arg(*args, int));
		break;
	case 'd':
		value = next_number(args, longs, true);
		if ((int64_t)value < 0) {
			serial_put('-');
			value = -value;
		}
		print_number(value, 10, width, fill);
		break;
	case 'u':
		print_number(next_number(args, longs, false), 10, width, fill);
		break;
	case 'x':
		print_number(next_number(args, longs, false), 16, width, fill);
		break;
	default:
		serial_put(*p);
		break;
	}
	return p + 1;
}

static void print_list(const char *format, va_list *args)
{
	while (*format) {
		if (*format != '%') {
			serial_put(*format++);
			continue;
		}
		format = print_one(format + 1, args);
	}
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_list(format, &args);
	va_end(args);
}

static void print_result(bool passed, const char *format, va_list *args)
{
	print("%s %u - ", passed ? "ok" : "not ok", ++results);
	print_list(format, args);
	serial_put('\n');
}

bool check(bool passed, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_result(passed, format, &args);
	va_end(args);
	return passed;
}

bool check_equal(uint64_t got, uint64_t expected, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_result(got == expected, format, &args);
	va_end(args);
	if (got != expected)
		note("got 0x%lx, expected 0x%lx", got, expected);
	return got == expected;
}

void note(const char *format, ...)
{
	va_list args;

	print_text("# ");
	va_start(args, format);
	print_list(format, &args);
	va_end(args);
	serial_put('\n');
}

void step(const char *word)
{
	print("STEP %s\n", word);
}

void step_answered(const char *word)
{
	char byte;

	step(word);
	while (!serial_take(&byte))
		;
}

void print_plan(void)
{
	print("1..%u\n", results);
}

/* --- text --- */

size_t text_length(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

bool text_equal(const char *a, const char *b, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

uint64_t text_number(const char *text)
{
	uint64_t value = 0;
	unsigned base = 10;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (;; text++) {
		unsigned digit = 99;

		if (*text >= '0' && *text <= '9')
			digit = (unsigned)(*text - '0');
		else if (*text >= 'a' && *text <= 'f')
			digit = (unsigned)(*text - 'a') + 10;
		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

/* The compiler calls these two of its own accord. */
void *memset(void *to, int byte, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);

void *memset(void *to, int byte, size_t bytes)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(byte) : "memory");
	return start;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
	return start;
}
