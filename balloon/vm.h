/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm.h - one guest's balloon: a virtio-balloon device (virtio 1.3, section 5.5) at an endpoint.
 * Layer L5, control thread. Its queues run on the event loop (vhost/backend/loop_queue.h), each in
 * passes of some milliseconds and one chain at least, whose size is limited, so that one guest cannot
 * keep the others waiting for long.
 *
 * When pages go back to the host. A driver that negotiated MUST_TELL_HOST does not touch a page of
 * its balloon before it said so and was answered: an inflated page is then noted and acknowledged at
 * once, and the notes are given back together, sorted and merged, when no page has come for
 * BAL_GATHER_MS, or BAL_GATHER_MAX_MS after the first; whatever is deflated meanwhile is taken off the
 * notes first, and where that cannot be read in full all notes are dropped. For any other driver the pages are given back before the acknowledgement, and none
 * later. When the inflate queue stops, the notes are dropped: a guest that starts anew uses all its
 * memory without a word. Reported pages go back before the report is answered, since from then on
 * they are the guest's again. Hinted pages never do: Linux takes them back without a word.
 */
#ifndef RINGSIDE_BALLOON_VM_H
#define RINGSIDE_BALLOON_VM_H

#include "balloon/options.h"
#include "balloon/pages.h"
#include "balloon/queues.h"
#include "balloon/state.h"
#include "vhost/backend/device.h"
#include "vhost/backend/loop_queue.h"

#define BAL_GATHER_MS     2
#define BAL_GATHER_MAX_MS 100
/* Of one chain, on which a pass is not interrupted: each is tens of milliseconds at worst. What is more
 * is skipped. Linux sends 256 page numbers, and reports 32 blocks of 4 MiB at most. */
#define BAL_MAX_CHAIN_PFNS   (64u << 10)
#define BAL_MAX_SYNC_PFNS    (4u << 10) /* where it is answered after the pages are given back */
#define BAL_MAX_REPORT_BYTES (128ull << 20)

/* Since the daemon started. */
struct bal_count {
	uint64_t inflated_pages, deflated_pages; /* 4 KiB pages that chains named and we took */
	uint64_t reclaimed_bytes; /* given back to the host, by inflating */
	uint64_t reported_bytes; /* given back, by free page reporting */
	uint64_t hinted_bytes; /* named by free page hinting; nothing is done with them */
	uint64_t discard_calls, discard_errors;
	uint64_t skipped[BAL_SKIPS]; /* pages, or buffers for DIRECTION and LENGTH */
	uint64_t stats_received, stats_bad;
};

struct bal_vm;

/* One ring while the device has it. */
struct bal_queue {
	struct vu_loop_queue loop_queue;
	struct bal_vm *vm;
	enum bal_role role; /* as of its last pass */
};

/* The driver's statistics buffer while it is with us: pushing it back asks for new statistics. */
struct bal_held {
	struct bal_queue *queue; /* NULL: it is not */
	struct vq_chain chain; /* the one popped last of its queue */
	bool owed; /* a process before had it: it cannot be put back, only pushed */
};

struct bal_vm {
	struct vu_device dev;
	const struct bal_vm_options *opt;
	struct loop *loop;
	uint64_t features; /* negotiated; 0: no driver */
	uint64_t memory_bytes; /* of the guest: its regions, rounded up to a MiB; 0: no front-end */
	uint64_t target_bytes; /* BAL_ALL_MEMORY or what was asked for, not clamped */
	bool target_known; /* by option, state file or operator: not to be taken from the guest */
	bool adopting; /* the target follows actual_pages, until a queue starts */
	unsigned ran; /* a bit for each ring that was started since the front-end connected */
	bool actual_heard; /* actual_pages is of this front-end */
	uint32_t num_pages; /* of the configuration space: the balloon that is asked for */
	uint32_t num_pages_before; /* what it was last */
	uint32_t actual_pages; /* the balloon, as the driver last said */
	uint32_t poison_val; /* likewise */
	bool poison_heard; /* it did, or a saved state did */
	bool poison_missed; /* the driver was there before us, and nobody repeats what it said */
	bool inhibited; /* by the operator; see bal_vm_inhibited */
	struct bal_pages pages;
	struct loop_timer gather; /* the notes are due to be given back */
	uint64_t gather_until_ns; /* while it is active: they wait no longer than this */
	struct bal_queue queues[BAL_MAX_QUEUES];
	unsigned started; /* a bit for each ring the device has */
	struct bal_stats stats;
	unsigned stats_interval_s;
	struct loop_timer stats_timer;
	struct bal_held held;
	struct loop_timer state_timer; /* the state file is written at most once a second */
	uint64_t stored_ns; /* when it last was */
	int state_fd; /* -1: none */
	struct bal_count count;
	struct log_limit log_limit;
};

/* bal_vm_open - a guest as @opt says; its state file is opened and read. @opt stays the caller's and must
 * outlive it. Return: 0, or -1 with the operator's line in @error. */
int bal_vm_open(struct bal_vm *vm, const struct bal_vm_options *opt, char *error,
		size_t error_bytes);

/* bal_vm_serve - make it a device; the endpoint is the caller's to open. */
void bal_vm_serve(struct bal_vm *vm, struct loop *loop);

/* bal_vm_close - after vu_device_close. */
void bal_vm_close(struct bal_vm *vm);

/* bal_vm_set_target - the guest shall have @bytes (BAL_ALL_MEMORY: all), between its min and its max;
 * it is told, the state file written. Return: 0, -ERANGE (outside of min and max: nothing changed). */
int bal_vm_set_target(struct bal_vm *vm, uint64_t bytes);

/* bal_vm_target - what the guest is asked to have: the target, clamped to what it can have. Without a
 * front-end as it was set. */
uint64_t bal_vm_target(const struct bal_vm *vm);

/* bal_vm_actual - memory the guest has: all but its balloon. */
uint64_t bal_vm_actual(const struct bal_vm *vm);

/* bal_vm_inhibit - from now on no page is discarded, or is again. What is inflated meanwhile is given
 * back when it ends, if it can be told by then what that was. */
void bal_vm_inhibit(struct bal_vm *vm, bool on);

/* bal_vm_inhibited - "operator", "migration" (the front-end logs what is written) or NULL. */
const char *bal_vm_inhibited(const struct bal_vm *vm);

/* bal_vm_state - what of it is saved. bal_vm_set_state - take over what was. */
struct bal_state bal_vm_state(const struct bal_vm *vm);
void bal_vm_set_state(struct bal_vm *vm, const struct bal_state *state);

/* bal_vm_changed - what is saved or shown to the driver may have changed: tell who has to know. */
void bal_vm_changed(struct bal_vm *vm);

/* bal_vm_set_stats_interval - ask the guest for statistics every @seconds; 0: not any more. */
void bal_vm_set_stats_interval(struct bal_vm *vm, unsigned seconds);

/* bal_vm_ask_stats - now, if the driver's buffer is there. */
void bal_vm_ask_stats(struct bal_vm *vm);

/* bal_vm_present - is there a driver with an inflate queue? */
bool bal_vm_present(const struct bal_vm *vm);

#endif
