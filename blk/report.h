/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - the control methods of ringside-blk: stats, resize. Layer L5, control thread.
 */
#ifndef RINGSIDE_BLK_REPORT_H
#define RINGSIDE_BLK_REPORT_H

#include "blk/disk.h"
#include "vhost/control/rpc.h"

/* What the methods work on. */
struct blk_report {
	struct blk_disk *disks;
	unsigned num_disks;
};

extern const struct rpc_method blk_report_methods[];
extern const size_t blk_report_num_methods;

#endif
