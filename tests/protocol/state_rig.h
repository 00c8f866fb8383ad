/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_rig.h - messages and pipes of a transfer of device state, step by step.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_STATE_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_STATE_RIG_H

#include <fcntl.h>
#include <poll.h>

#include "tests/protocol/rig.h"

enum state_direction { STATE_SAVE, STATE_LOAD };

/* state_set - what the echo device is to have. */
static inline void state_set(struct echo *e, size_t bytes, uint8_t seed)
{
	__atomic_store_n(&e->state_bytes, bytes, __ATOMIC_RELEASE);
	__atomic_store_n(&e->state_seed, seed, __ATOMIC_RELEASE);
}

/* state_expect - is this what was set? */
static inline void state_expect(const uint8_t *state, size_t bytes, uint8_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		ck_assert_uint_eq(state[i], echo_state_byte(seed, i));
}

/* state_transfer - SET_DEVICE_STATE_FD; an @fd of -1: without. Return: the reply, all 64 bits. */
static inline uint64_t state_transfer(uint32_t direction, uint32_t phase, int fd)
{
	struct vu_msg msg = request(VU_SET_DEVICE_STATE_FD, sizeof(msg.payload.device_state));

	msg.payload.device_state.direction = direction;
	msg.payload.device_state.phase = phase;
	msg.fds[0] = fd;
	msg.num_fds = fd >= 0;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	return rig.fe.rx.msg.payload.u64;
}

/* state_check - CHECK_DEVICE_STATE. Return: the reply; 0 is success. */
static inline uint64_t state_check(void)
{
	struct vu_msg msg = request(VU_CHECK_DEVICE_STATE, 0);

	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	return rig.fe.rx.msg.payload.u64;
}

/* state_load_begin - Return: the end of a pipe from which the back-end loads. */
static inline int state_load_begin(void)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_uint_eq(state_transfer(STATE_LOAD, 0, pipes[0]), VU_VRING_NO_FD);
	close(pipes[0]);
	return pipes[1];
}

/* state_let_go - the back-end has closed the other end of this pipe. */
static inline void state_let_go(int fd)
{
	struct pollfd pfd = {.fd = fd};

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert(pfd.revents & (POLLERR | POLLHUP));
}

#endif
