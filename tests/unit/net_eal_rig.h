/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_eal_rig.h - DPDK's environment for a unit test: no huge pages, nothing shared, one thread.
 * Tests only. Each test of a suite is a process of its own (Check forks), and starts its own.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_EAL_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_EAL_RIG_H

#include <rte_eal.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

static inline void start_eal(void)
{
	static char args[][24] = {"test",           "--no-huge", "--no-shconf",
				  "--no-telemetry", "--no-pci",  "--lcores=0@(0)",
				  "--log-level=3",  "-m",        "64"};
	char *argv[sizeof(args) / sizeof(args[0]) + 1] = {NULL};
	int argc = (int)(sizeof(args) / sizeof(args[0]));

	for (int i = 0; i < argc; i++)
		argv[i] = args[i];
	log_init("test");
	clock_init();
	ck_assert_int_ge(rte_eal_init(argc, argv), 0);
}

#endif
