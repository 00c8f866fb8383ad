/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - a balloon as the library sees it: operations, and the work of its queues.
 * Layer L5, control thread. Private to vm.c, device.c and the queues' files.
 */
#ifndef RINGSIDE_BALLOON_DEVICE_H
#define RINGSIDE_BALLOON_DEVICE_H

#include "balloon/vm.h"

#define BAL_PASS_NS 2000000u /* after so long, others have their turn */

#define BAL_BIT(n) (1ull << (n))

extern const struct vu_device_ops bal_device_ops;

/* bal_device_features - what a guest with these options is offered. */
uint64_t bal_device_features(const struct bal_vm_options *opt);

/* bal_serve - one pass over a queue; for vu_loop_queue_start(). */
bool bal_serve(struct vu_loop_queue *loop_queue);

/* bal_inflate, bal_deflate - take a chain of page numbers; the caller pushes it. That of bal_deflate
 * may have an error: what it named is not known then, so all notes are dropped. */
void bal_inflate(struct bal_vm *vm, const struct vq_chain *chain);
void bal_deflate(struct bal_vm *vm, const struct vq_chain *chain);

/* bal_report - give the pages of a free page report back; the caller pushes it then. */
void bal_report(struct bal_vm *vm, const struct vq_chain *chain);

/* bal_give_back - punch @run, count it, and @counter (bytes) if that went well. */
void bal_give_back(struct bal_vm *vm, const struct bal_run *run, uint64_t *counter);

/* bal_give_back_later - start the timer after which the notes are given back, if there are any. */
void bal_give_back_later(struct bal_vm *vm);

/* bal_stats_keep - the driver's statistics: read them, and keep the buffer. @owed: see bal_held. */
void bal_stats_keep(struct bal_queue *queue, const struct vq_chain *chain, bool owed);

/* bal_stats_release - push the buffer if @queue's is kept. Within a pass. */
void bal_stats_release(struct bal_queue *queue);

/* bal_stats_stopped - put the buffer back if @queue's is kept, for who serves the ring next. */
void bal_stats_stopped(struct bal_queue *queue);

/* bal_stats_timer - start or stop it, as interval and buffer want it. */
void bal_stats_timer(struct bal_vm *vm);

#endif
