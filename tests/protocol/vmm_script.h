/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_script.h - a back-end on a thread of the test's own that says what every back-end says, but for
 * one message. It does no I/O. Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_VMM_SCRIPT_H
#define RINGSIDE_TESTS_PROTOCOL_VMM_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost/wire/codec.h"

#define SCRIPT_SOCKET "script.sock"

/* What it does with the message it was told of. */
enum script_act {
	SCRIPT_HANG, /* nothing any more, and the connection stays */
	SCRIPT_HANG_UP,
	SCRIPT_HANG_UP_WITHIN, /* its reply */
	SCRIPT_JUNK,
	SCRIPT_OTHER_REQUEST, /* a reply to something else */
	SCRIPT_FLAGS, /* not those of a reply */
	SCRIPT_SHORT, /* a reply of too few bytes */
	SCRIPT_LONG,
	SCRIPT_TOO_LONG, /* longer than a message may be */
	SCRIPT_FDS, /* more than belong there */
	SCRIPT_TWICE, /* the right reply, two times */
	SCRIPT_REFUSE, /* no payload, or not 0 */
	SCRIPT_BENDS, /* the right reply after script.bend() */
	SCRIPT_ACTS
};

struct script {
	uint64_t features, protocol, queue_num;
	uint8_t config[256];
	bool keeps_config; /* what is written is read again, on that connection: the next begins with 0 */
	/* Of connection @connection (from 0), message @message (from 0) is the one; or the first of
	 * @request, if that is not 0. */
	unsigned connection, message;
	uint32_t request;
	enum script_act act;
	void (*bend)(struct vu_msg *reply);

	/* What it saw; read by the test with script_count(). */
	unsigned connections, messages, acted;
	uint64_t features_set;
	unsigned kicks_set, enables, disables, configs_set;
	uint32_t bases[8]; /* of SET_VRING_BASE, by ring */
	bool enabled[8];
	uint8_t written[256]; /* by SET_CONFIG */
	char order[256]; /* of what came on this connection: see letter_of() in vmm_script.c */
	int err_fd, call_fd, kick_fd; /* of the ring that came last; -1 */
	int channel; /* -1 */
};

extern struct script script;

#define script_count(field) __atomic_load_n(&script.field, __ATOMIC_ACQUIRE)

/* script_init - one that behaves: a disk with features, in-flight region and a channel. */
void script_init(void);

/* script_start - listen on SCRIPT_SOCKET. script_stop - hang up, and forget all fds. */
void script_start(void);
void script_stop(void);

/* script_drop - hang up, as one that was killed; then wait for the next connection. */
void script_drop(void);

#endif
