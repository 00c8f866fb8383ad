/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram_populate.h - have every page of guest RAM there before the guest runs. VMM, start-up.
 */
#ifndef RINGSIDE_VMM_RAM_POPULATE_H
#define RINGSIDE_VMM_RAM_POPULATE_H

#include "vhost/frontend/memory.h"

/*
 * ram_populate - by as many threads as there are CPUs, which are gone when it returns. Says on stderr
 * how far it is where that is a terminal and takes longer than two seconds.
 * Return: 0, -ENOMEM or -EFAULT (there is no more memory, or no huge page), -EHWPOISON, -errno.
 */
int ram_populate(const struct fe_memory *mem);

#endif
