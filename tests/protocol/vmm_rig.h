/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_rig.h - a vhost-user device of the VMM without a VM: the transport and the guest are stand-ins,
 * the driver is the front-end library's. Tests only. One per process: Check forks each test.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_VMM_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_VMM_RIG_H

#include "tests/protocol/blk_driver.h"
#include "vhost/base/clock.h"
#include "vmm/vhost_user_part.h"

#define RIG_MAX_RINGS 8

struct vmm_rig {
	struct loop *loop;
	struct backend_options opt; /* to be changed before rig_create() */
	unsigned num_vcpus;
	struct disk disk; /* guest memory, and the driver of queue 0 */
	struct fe_ring more[RIG_MAX_RINGS]; /* from queue 1 on */
	struct vhost_user *vu;
	struct virtio_device *dev;
	bool connected; /* the first connection has come to something: */
	int error;

	/* What the transport was told. */
	unsigned resets, queue_resets, config_changes, needs_resets;
};

extern struct vmm_rig rig;

/* rig_begin - before anything else is opened. */
void rig_begin(void);

/* rig_turn - let the loop run for @ms. */
void rig_turn(unsigned ms);

/* rig_until - let it run until @condition holds; fail after 10 s. */
#define rig_until(condition)                                                                \
	do {                                                                                \
		uint64_t end_ = clock_ns() + 10000000000ull;                                \
		while (!(condition) && clock_ns() < end_)                                   \
			rig_turn(1);                                                        \
		ck_assert_msg((condition), "still not after 10 s: %s (%s: %s)", #condition, \
			      vhost_user_state_name(rig.vu->state), rig.vu->reason);        \
	} while (0)

/* rig_create - the device, with guest memory and rings for a driver that accepts @ring_features. */
void rig_create(uint16_t device_id, uint64_t ring_features);

/* rig_connect - for the first time. Return: what done() was called with. */
int rig_connect(void);

/* rig_open - a disk with the first connection made: split or packed rings. */
void rig_open(bool packed);

/* rig_driver_ok - a driver comes, accepts all but @without (packed rings, unless the rings are), sets
 * up queues [0, @num_queues) and says DRIVER_OK. Does not wait. */
void rig_driver_ok(uint64_t without, unsigned num_queues);

/* rig_running - and wait until the back-end has all of them. */
void rig_running(uint64_t without, unsigned num_queues);

/* rig_set_up - queue @index as the driver's ring has it. */
void rig_set_up(unsigned index);
struct fe_ring *rig_ring(unsigned index);

/* rig_reset - the driver resets the device, and waits until it is. Rings begin anew. */
void rig_reset(void);

/* rig_close - everything goes; no fd is left behind since rig_begin(). */
void rig_close(void);

#endif
