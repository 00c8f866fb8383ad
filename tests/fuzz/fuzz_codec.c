/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_codec.c - any bytes with any number of fds, in any pieces, as a stream of messages: what is
 * received is what was sent, and no fd is lost.
 *
 * Input: a sequence of pieces, each { fds in the low 6 bits, bytes, bytes of the stream... }; the
 * top two bits of the first choose when to read: after this piece, or later.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/base/util.h"
#include "vhost/wire/codec.h"

#define MAX_PIECE_FDS 63
#define STREAM_BYTES  65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was sent and not yet accounted for by a message. */
static uint8_t stream[STREAM_BYTES];
static size_t stream_start, stream_end;

/* lowest_free_fd - grows by every fd that leaks. */
static int lowest_free_fd(void)
{
	int fd = dup(STDIN_FILENO);

	assert(fd >= 0);
	close(fd);
	return fd;
}

static void send_piece(int sock, const uint8_t *bytes, size_t len, unsigned num_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MAX_PIECE_FDS)];
	} control;
	struct iovec iov = {(void *)bytes, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = STDIN_FILENO;

	memset(&control, 0, sizeof(control));
	if (num_fds) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		for (unsigned i = 0; i < num_fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(fd));
	}
	/* Sent whole or, the socket being full, not at all. */
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) != (ssize_t)len)
		return;
	memcpy(stream + stream_end, bytes, len);
	stream_end += len;
}

static void check_message(struct vu_msg *msg)
{
	size_t whole = sizeof(msg->hdr) + msg->hdr.size;

	assert((msg->hdr.flags & VU_VERSION_MASK) == VU_VERSION);
	assert(msg->hdr.size <= VU_MAX_PAYLOAD);
	assert(msg->num_fds <= VU_MAX_FDS);
	assert(whole <= stream_end - stream_start);
	assert(!memcmp(&msg->hdr, stream + stream_start, sizeof(msg->hdr)));
	assert(!memcmp(msg->payload.bytes, stream + stream_start + sizeof(msg->hdr),
		       msg->hdr.size));
	stream_start += whole;
	if (msg->num_fds > 1) {
		int fd = vu_msg_take_fd(msg, 1);

		assert(fd >= 0 && close(fd) == 0);
	}
}

/* receive_all - Return: 0 nothing more for now, or the error that ends the connection. */
static int receive_all(int sock, struct vu_receiver *rx)
{
	int ret;

	while ((ret = vu_receive(sock, rx)) == 1) {
		check_message(&rx->msg);
		vu_receiver_reset(rx);
	}
	assert(ret == 0 || rx->received == 0);
	assert(ret == 0 || ret == -ECONNRESET || ret == -EBADMSG || ret == -EMSGSIZE);
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vu_receiver rx;
	int free_fd = lowest_free_fd();
	int pair[2], ret = 0;

	if (size > STREAM_BYTES)
		return -1;
	ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	assert(ret == 0);
	stream_start = stream_end = 0;
	vu_receiver_init(&rx);
	while (size > 2 && ret == 0) {
		size_t len = min_of((size_t)data[1] + 1, size - 2);

		send_piece(pair[0], data + 2, len, data[0] & MAX_PIECE_FDS);
		if (!(data[0] >> 6))
			ret = receive_all(pair[1], &rx);
		data += 2 + len;
		size -= 2 + len;
	}
	close(pair[0]);
	if (ret == 0)
		ret = receive_all(pair[1], &rx);
	assert(ret < 0);
	close(pair[1]);
	assert(lowest_free_fd() == free_fd);
	return 0;
}
