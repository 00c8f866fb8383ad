/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.h - surviving guest memory whose file was cut short, or whose page broke, under us.
 * Layer L2. Regions are noted by the control thread; the handler runs on whichever thread faults.
 *
 * A front-end can truncate its file at any time, and the next access to what is gone raises
 * SIGBUS. The handler puts anonymous memory over the whole region (over a page of it would fail on
 * hugetlbfs), so that the thread goes on, harmlessly, and tells by an eventfd, so that the
 * control thread ends the session. A thread that blocks SIGBUS cannot be saved: the kernel kills
 * the process. System calls on such memory fail with EFAULT or EIO and need none of this.
 */
#ifndef RINGSIDE_MEMORY_FAULT_H
#define RINGSIDE_MEMORY_FAULT_H

#include <stddef.h>

/* mem_fault_init - take SIGBUS over. Any number of times; before the first mem_fault_add. */
void mem_fault_init(void);

/*
 * mem_fault_add - cover the mapping [base, base + bytes), whole pages. @event_fd, an eventfd of
 * the caller's, becomes readable when an access to it has failed.
 * Return: 0 or -ENOMEM.
 */
int mem_fault_add(void *base, size_t bytes, int event_fd);

/* mem_fault_remove - forget the mapping at @base, before it is unmapped. Harmless if not there. */
void mem_fault_remove(void *base);

#endif
