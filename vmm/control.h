/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.h - the methods of a VM's control socket (vm.info, vm.pause, device.list, ...).
 * VMM, main thread with the board lock held.
 */
#ifndef RINGSIDE_VMM_CONTROL_H
#define RINGSIDE_VMM_CONTROL_H

#include "vhost/control/rpc.h"

/* For rpc_server_create(), whose ctx is a struct vm. */
extern const struct rpc_method control_methods[];
extern const size_t control_num_methods;

#endif
