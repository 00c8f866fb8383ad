/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_part.h - between the files of a vCPU: vcpu.c (thread), vcpu_exit.c (what takes it out of the
 * guest), vcpu_crash.c (the report), vcpu_state.c (registers), vcpu_stats.c.
 * VMM.
 */
#ifndef RINGSIDE_VMM_VCPU_PART_H
#define RINGSIDE_VMM_VCPU_PART_H

#include "vmm/vcpu.h"

/* "vcpu3": for log lines and the thread. */
struct vcpu_name {
	char text[16];
};
struct vcpu_name vcpu_name(const struct vcpu *vcpu);

/* vcpu_handle_exit - KVM_RUN returned with 0: do what the guest asks for. The vCPU's thread, without
 * the board lock. Return: true to go on with KVM_RUN, false to look first what is wanted. */
bool vcpu_handle_exit(struct vcpu *vcpu);

/* vcpu_crash - the guest cannot go on: a report on stderr, and the machine ends. Of several vCPUs
 * the first reports. @error: of KVM_RUN, or 0: run->exit_reason tells. As vcpu_handle_exit(). */
void vcpu_crash(struct vcpu *vcpu, int error);

/* vcpu_save - the state at power-on, for vcpu_reset(). Main thread. Return: 0 or -errno. */
int vcpu_save(struct vcpu *vcpu);
void vcpu_saved_free(struct vcpu_saved *saved);

#endif
