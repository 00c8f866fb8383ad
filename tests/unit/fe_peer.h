/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fe_peer.h - the back-end of a front-end under test: the other end of a socket pair, where the test
 * says and hears messages itself. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_FE_PEER_H
#define RINGSIDE_TESTS_UNIT_FE_PEER_H

#include "tests/unit/support.h"
#include "vhost/wire/codec.h"

#define REPLY_FLAGS (VU_VERSION | VU_FLAG_REPLY)

/* say_to - a message of whatever kind, with stderr as each of @num_fds. */
static inline void say_to(int sock, uint32_t request, uint32_t flags, uint32_t size,
			  const void *data, unsigned num_fds)
{
	struct vu_msg msg;

	vu_msg_init(&msg, request);
	msg.hdr.flags = flags;
	msg.hdr.size = size;
	memcpy(msg.payload.bytes, data, size);
	msg.num_fds = num_fds;
	for (unsigned i = 0; i < num_fds; i++)
		msg.fds[i] = STDERR_FILENO;
	ck_assert_int_eq(vu_send(sock, &msg), 0);
}

/* heard - the next message at the peer; its fds are the caller's. */
static inline struct vu_msg heard(int sock)
{
	struct vu_receiver rx;

	vu_receiver_init(&rx);
	ck_assert_int_eq(vu_receive(sock, &rx), 1);
	return rx.msg;
}

#endif
