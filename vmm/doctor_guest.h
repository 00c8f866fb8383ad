/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_guest.h - guests of a few instructions, each on a virtual machine of its own, that tell what
 * this host's KVM can do. VMM; internal to doctor*.c, main thread.
 */
#ifndef RINGSIDE_VMM_DOCTOR_GUEST_H
#define RINGSIDE_VMM_DOCTOR_GUEST_H

#include <stdbool.h>
#include <stdint.h>

enum doctor_probe {
	PROBE_FIRST, /* one instruction and an exit */
	PROBE_SPEED, /* PROBE_SPEED_INSTRUCTIONS in a loop */
	/* What stock kernels do on their way up. */
	PROBE_INT3,
	PROBE_CMPXCHG16B,
	PROBE_XSAVE,
	PROBE_SSE,
	PROBE_NUM
};
#define PROBE_FIRST_OF_STOCK PROBE_INT3

#define PROBE_SPEED_INSTRUCTIONS 100000

struct probe_result {
	bool ran; /* and did what it should */
	bool absent; /* this CPU has no such instructions, which kernels can live with */
	uint64_t setup_ns; /* until the guest was about to run */
	uint64_t run_ns; /* from there to its exit */
	char why[128]; /* not */
};

const char *doctor_probe_name(enum doctor_probe probe);

/* doctor_probe_run - by way of @kvm_fd, an open /dev/kvm; five seconds at most. */
void doctor_probe_run(int kvm_fd, enum doctor_probe probe, struct probe_result *result);

#endif
