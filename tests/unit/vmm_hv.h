/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_hv.h - a hypervisor that only remembers the level of each interrupt line.
 * Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_VMM_HV_H
#define RINGSIDE_TESTS_UNIT_VMM_HV_H

#include <check.h>

#include "vhost/base/util.h"
#include "vmm/hv.h"

struct lines_hv {
	struct hv hv;
	bool level[HV_ISA_GSIS];
	unsigned rises[HV_ISA_GSIS]; /* from low to high */
	unsigned calls;
};

static inline void lines_hv_set(struct hv *hv, unsigned gsi, bool level)
{
	struct lines_hv *lines = container_of(hv, struct lines_hv, hv);

	ck_assert_uint_lt(gsi, HV_ISA_GSIS);
	lines->rises[gsi] += level && !lines->level[gsi];
	lines->level[gsi] = level;
	lines->calls++;
}

static const struct hv_ops lines_hv_ops = {.irq_line = lines_hv_set};

static inline void lines_hv_init(struct lines_hv *lines)
{
	*lines = (struct lines_hv){.hv.ops = &lines_hv_ops};
}

#endif
