/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - the control methods of ringside-balloon: balloon.get, balloon.set, ...
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_BALLOON_REPORT_H
#define RINGSIDE_BALLOON_REPORT_H

#include "balloon/governor.h"
#include "balloon/vm.h"
#include "vhost/control/rpc.h"

/* What the methods are about: their context. */
struct bal_report {
	struct bal_vm *vms;
	unsigned num_vms;
	struct bal_governor *governor;
};

extern const struct rpc_method bal_report_methods[];
extern const size_t bal_report_num_methods;

#endif
