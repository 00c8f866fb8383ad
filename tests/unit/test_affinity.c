/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_affinity.c - workers are dealt over the CPUs named; a place that is unknown or does not
 * exist is said so or left alone. Tests base/affinity.
 */
#include <errno.h>
#include <fcntl.h>
#include <numa.h>

#include "tests/unit/support.h"
#include "vhost/base/affinity.h"

START_TEST(workers_are_dealt_round_robin)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	ck_assert_int_eq(affinity_pick(&cpus, 0), -1);
	CPU_SET(1, &cpus);
	CPU_SET(5, &cpus);
	CPU_SET(1023, &cpus);
	ck_assert_int_eq(affinity_pick(&cpus, 0), 1);
	ck_assert_int_eq(affinity_pick(&cpus, 1), 5);
	ck_assert_int_eq(affinity_pick(&cpus, 2), 1023);
	ck_assert_int_eq(affinity_pick(&cpus, 3), 1);
	ck_assert_int_eq(affinity_pick(&cpus, UINT32_MAX), 1); /* 2^32 - 1 = 3 x 1431655765 */
}
END_TEST

START_TEST(a_thread_pins_itself)
{
	cpu_set_t allowed, now;
	int cpu;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	cpu = affinity_pick(&allowed, 1);
	ck_assert_int_eq(affinity_pin_self(cpu), 0);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	ck_assert_int_eq(CPU_COUNT(&now), 1);
	ck_assert(CPU_ISSET(cpu, &now));
	ck_assert_int_eq(affinity_pin_self(CPU_SETSIZE - 1), -EINVAL);
	ck_assert_int_eq(affinity_pin_self(CPU_SETSIZE), -EINVAL);
	ck_assert_int_eq(affinity_pin_self(-1), -EINVAL);
}
END_TEST

START_TEST(nodes_are_known_or_minus_one)
{
	int top = numa_available() < 0 ? -1 : numa_max_node();
	int fd = open(".", O_RDONLY | O_CLOEXEC);
	int node;

	node = affinity_node_of_memory(&node);
	ck_assert_int_ge(node, top > 0 ? 0 : -1);
	ck_assert_int_le(node, top > 0 ? top : -1);
	ck_assert_int_eq(affinity_node_of_memory(NULL), -1);
	ck_assert_int_ge(affinity_node_of_disk(fd), -1);
	ck_assert_int_le(affinity_node_of_disk(fd), top > 0 ? top : -1);
	ck_assert_int_eq(affinity_node_of_disk(-1), -1);
	close(fd);
}
END_TEST

START_TEST(an_unknown_node_changes_nothing)
{
	cpu_set_t before, after;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	ck_assert_int_eq(affinity_run_on_node(-1), 0);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&before, &after));
	if (numa_available() >= 0 && numa_max_node() > 0)
		ck_assert_int_eq(affinity_run_on_node(numa_max_node() + 1), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("affinity");
	TCase *tc = tcase_create("affinity");

	tcase_add_test(tc, workers_are_dealt_round_robin);
	tcase_add_test(tc, a_thread_pins_itself);
	tcase_add_test(tc, nodes_are_known_or_minus_one);
	tcase_add_test(tc, an_unknown_node_changes_nothing);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
