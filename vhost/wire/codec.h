/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * codec.h - one vhost-user message, its bytes and its file descriptors, off and onto a socket.
 * Layer L1. Used by both halves (back-end and front-end) on whichever thread owns the socket.
 */
#ifndef RINGSIDE_WIRE_CODEC_H
#define RINGSIDE_WIRE_CODEC_H

#include "vhost/wire/proto.h"

/*
 * A message owns its fds (contract 8): a handler takes one by vu_msg_take_fd(), which leaves -1
 * behind; vu_msg_close_fds() closes what is left, in one place.
 */
struct vu_msg {
	struct vu_header hdr;
	union vu_payload payload;
	unsigned num_fds;
	int fds[VU_MAX_FDS];
};

/* vu_msg_init - an empty message: request, version flag, no payload, no fds. */
void vu_msg_init(struct vu_msg *msg, uint32_t request);

/* vu_msg_take_fd - move fd @i out of the message. Return: the fd, now the caller's, or -1. */
int vu_msg_take_fd(struct vu_msg *msg, unsigned i);

/*
 * vu_close_received - close *@fd, which came from a peer, and mark it closed (-1), without waiting:
 * close(2) of a socket waits for its data to be sent if SO_LINGER says so, and the peer can set that
 * and leave us the last copy. Not helped is a file whose file system waits in close(2) (FUSE).
 */
void vu_close_received(int *fd);

/* vu_hang_up - close *@sock, a connected socket, by the same rule for fds in messages not read. */
void vu_hang_up(int *sock);

/* vu_msg_close_fds - close every fd still in the message. */
void vu_msg_close_fds(struct vu_msg *msg);

/* The state of a message on its way in; a message may arrive in any number of pieces. */
struct vu_receiver {
	size_t received; /* bytes of header and payload so far */
	struct vu_msg msg;
};

void vu_receiver_init(struct vu_receiver *rx);

/* vu_receiver_reset - drop a half-received message and its fds. */
void vu_receiver_reset(struct vu_receiver *rx);

/*
 * vu_receive - read as much of one message as @sock has, never into the next one.
 *
 * fds are accepted with the first byte of the header only. On any error the fds received so far
 * are closed and the receiver is reset; the stream is out of step and must be closed.
 *
 * Return: 1 message complete in rx->msg (the caller consumes it, then calls vu_receiver_reset),
 *         0 no more bytes for now (non-blocking socket), or
 *         -ECONNRESET  the peer is gone (in the middle of a message too),
 *         -EBADMSG     wrong version, or fds where none may be,
 *         -EMSGSIZE    payload beyond VU_MAX_PAYLOAD, control data cut short or too many fds,
 *         -errno       of recvmsg(2).
 */
int vu_receive(int sock, struct vu_receiver *rx);

/*
 * vu_send - write one whole message: header, hdr.size bytes of payload, and @num_fds fds of
 * msg->fds, which stay the caller's.
 *
 * On a non-blocking socket a peer that does not drain its side gets -EAGAIN when nothing was
 * written, and -EPIPE when only a part was (the stream is then out of step).
 *
 * Return: 0, -EAGAIN, -EPIPE, or -errno of sendmsg(2). Never raises SIGPIPE.
 */
int vu_send(int sock, const struct vu_msg *msg);

#endif
