/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_parse.c - option values are taken whole or refused, and a refused one changes nothing.
 * Tests base/parse.
 */
#include <errno.h>

#include "tests/unit/support.h"
#include "vhost/base/parse.h"
#include "vhost/base/util.h"

#define UNTOUCHED 0xdeadbeefdeadbeefull

START_TEST(numbers)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int ret;
		uint64_t value;
	} cases[] = {
		{"0", 0, 10, 0, 0},
		{"10", 0, 10, 0, 10},
		{"007", 0, 10, 0, 7},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"11", 0, 10, -ERANGE, 0},
		{"0", 1, 10, -ERANGE, 0},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
		{"", 0, 10, -EINVAL, 0},
		{" 1", 0, 10, -EINVAL, 0},
		{"1 ", 0, 10, -EINVAL, 0},
		{"+1", 0, 10, -EINVAL, 0},
		{"-1", 0, UINT64_MAX, -EINVAL, 0},
		{"0x10", 0, 100, -EINVAL, 0},
		{"1.5", 0, 10, -EINVAL, 0},
		{"five", 0, 10, -EINVAL, 0},
		{"99999999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = UNTOUCHED;
		int ret = parse_uint(cases[i].text, cases[i].min, cases[i].max, &value);

		ck_assert_msg(ret == cases[i].ret, "\"%s\": %d", cases[i].text, ret);
		ck_assert_uint_eq(value, ret == 0 ? cases[i].value : UNTOUCHED);
	}
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"1K", 0, 1024},
		{"1k", 0, 1024},
		{"3M", 0, 3ull << 20},
		{"4G", 0, 4ull << 30},
		{"2T", 0, 2ull << 40},
		{"8388607T", 0, 8388607ull << 40},
		{"9223372036854775807", 0, INT64_MAX},
		{"8388608T", -ERANGE, 0},
		{"9223372036854775808", -ERANGE, 0},
		{"18446744073709551617", -ERANGE, 0},
		{"18014398509481985K", -ERANGE, 0}, /* 2^64 + 1K: wraps to 1K */
		{"", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"1KB", -EINVAL, 0},
		{"1P", -EINVAL, 0},
		{"1 K", -EINVAL, 0},
		{"-1K", -EINVAL, 0},
		{"1.5G", -EINVAL, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = UNTOUCHED;
		int ret = parse_size(cases[i].text, &bytes);

		ck_assert_msg(ret == cases[i].ret, "\"%s\": %d", cases[i].text, ret);
		ck_assert_uint_eq(bytes, ret == 0 ? cases[i].bytes : UNTOUCHED);
	}
}
END_TEST

START_TEST(on_off)
{
	bool value = false;

	ck_assert_int_eq(parse_on_off("on", &value), 0);
	ck_assert(value);
	ck_assert_int_eq(parse_on_off("yes", &value), -EINVAL);
	ck_assert_int_eq(parse_on_off("", &value), -EINVAL);
	ck_assert_int_eq(parse_on_off("ON", &value), -EINVAL);
	ck_assert(value);
	ck_assert_int_eq(parse_on_off("off", &value), 0);
	ck_assert(!value);
}
END_TEST

START_TEST(cpu_lists)
{
	static const struct {
		const char *text;
		int ret;
	} bad[] = {
		{"", -EINVAL},
		{",", -EINVAL},
		{"1,", -EINVAL},
		{",1", -EINVAL},
		{"1,,2", -EINVAL},
		{"a", -EINVAL},
		{"1-", -EINVAL},
		{"-1", -EINVAL},
		{"3-2", -EINVAL},
		{"1-2-3", -EINVAL},
		{"1 2", -EINVAL},
		{"1024", -ERANGE},
		{"0-1024", -ERANGE},
		{"99999999999999999999", -ERANGE},
		{"0-18446744073709551615", -ERANGE},
	};
	cpu_set_t cpus, untouched;

	ck_assert_int_eq(parse_cpu_list("0,2-5,1023", &cpus), 0);
	ck_assert_int_eq(CPU_COUNT(&cpus), 6);
	ck_assert(CPU_ISSET(0, &cpus) && !CPU_ISSET(1, &cpus) && CPU_ISSET(2, &cpus) &&
		  CPU_ISSET(5, &cpus) && !CPU_ISSET(6, &cpus) && CPU_ISSET(1023, &cpus));
	ck_assert_int_eq(parse_cpu_list("3,3,3-3", &cpus), 0);
	ck_assert_int_eq(CPU_COUNT(&cpus), 1);

	untouched = cpus;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int ret = parse_cpu_list(bad[i].text, &cpus);

		ck_assert_msg(ret == bad[i].ret, "\"%s\": %d", bad[i].text, ret);
		ck_assert(CPU_EQUAL(&cpus, &untouched));
	}
}
END_TEST

/* flatten - the list as "key>value;key;...", so that a case is one string. */
static const char *flatten(const char *list)
{
	static char out[256];
	char copy[256], *cursor = copy, *key, *value;
	size_t used = 0;

	strcpy(copy, list);
	out[0] = '\0';
	while (parse_keyval(&cursor, &key, &value))
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%s%s;", key,
					 value ? ">" : "", value ? value : "");
	return out;
}

START_TEST(key_value_lists)
{
	ck_assert_str_eq(flatten(""), "");
	ck_assert_str_eq(flatten("a=1"), "a>1;");
	ck_assert_str_eq(flatten("a=1,b=2,c"), "a>1;b>2;c;");
	ck_assert_str_eq(flatten("a=,b"), "a>;b;");
	ck_assert_str_eq(flatten("a=b=c"), "a>b=c;");
	ck_assert_str_eq(flatten("a=1,"), "a>1;");
	ck_assert_str_eq(flatten(",a"), ";a;");
	ck_assert_str_eq(flatten("="), ">;");
	/* A doubled comma is one comma of the value. */
	ck_assert_str_eq(flatten("f=x,,y,g=z"), "f>x,y;g>z;");
	ck_assert_str_eq(flatten("f=,,"), "f>,;");
	ck_assert_str_eq(flatten("f=,,,g=1"), "f>,;g>1;");
	ck_assert_str_eq(flatten("file=/a b,size=1G"), "file>/a b;size>1G;");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse");
	TCase *tc = tcase_create("parse");

	tcase_add_test(tc, numbers);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, on_off);
	tcase_add_test(tc, cpu_lists);
	tcase_add_test(tc, key_value_lists);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
