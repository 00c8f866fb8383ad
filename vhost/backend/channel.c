/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel.c - the back-end channel: what the front-end is told without having asked.
 * Layer L4, control thread. Nothing here waits for the front-end, which may be waiting for us.
 */
#include <string.h>
#include <sys/socket.h>

#include "vhost/backend/session.h"
#include "vhost/wire/unix.h"

void vu_note_init(struct vu_note *note, uint32_t request, uint32_t index,
		  void (*sent)(struct vu_note *note))
{
	list_init(&note->node);
	note->request = request;
	note->index = index;
	note->sent = sent;
}

void vu_channel_init(struct vu_channel *channel, struct loop *loop, const char *name)
{
	memset(channel, 0, sizeof(*channel));
	channel->fd = -1;
	channel->loop = loop;
	channel->name = name;
	list_init(&channel->notes);
	vu_note_init(&channel->config, VU_BACKEND_CONFIG_CHANGE, 0, NULL);
}

void vu_channel_close(struct vu_channel *channel)
{
	loop_watch_del(channel->loop, &channel->watch);
	close_fd(&channel->fd);
}

/*
 * send_note - Return: 0, -EAGAIN, -errno. Not by vu_send: the front-end may keep a copy of this
 * socket and make it blocking, so only MSG_DONTWAIT is sure not to wait. A unix socket takes so
 * few bytes whole or not at all.
 * Syscalls: sendto
 */
static int send_note(const struct vu_channel *channel, const struct vu_note *note)
{
	struct {
		struct vu_header hdr;
		struct vu_vring_state state;
	} msg = {
		.hdr.request = note->request,
		.hdr.flags = VU_VERSION,
		.state.index = note->index,
	};
	size_t bytes = sizeof(msg.hdr);
	ssize_t n;

	if (note->request != VU_BACKEND_CONFIG_CHANGE)
		bytes += msg.hdr.size = sizeof(msg.state);
	n = send(channel->fd, &msg, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n == bytes ? 0 : -EPIPE;
}

/* flush - send what waits, in order; for the rest wait for room. */
static void flush(struct vu_channel *channel)
{
	int rc = 0;

	while (channel->fd >= 0 && !rc && !list_empty(&channel->notes)) {
		struct vu_note *note = list_entry(channel->notes.next, struct vu_note, node);

		rc = send_note(channel, note);
		if (rc)
			break;
		list_del(&note->node);
		if (note->sent)
			note->sent(note);
	}
	if (rc && rc != -EAGAIN) {
		log_warn(channel->name, "back-end channel closed: %s", strerror(-rc));
		vu_channel_close(channel);
		return;
	}
	loop_watch_events(channel->loop, &channel->watch, rc ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Nothing we send asks for an answer; what comes is dropped, so much at a time, and fds in it
 * are closed by the kernel since no room is given for them. */
static void channel_event(struct loop_watch *watch, uint32_t events)
{
	struct vu_channel *channel = container_of(watch, struct vu_channel, watch);
	uint8_t scratch[512];
	ssize_t n;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(channel->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			log_info(channel->name, "back-end channel closed by the front-end");
			vu_channel_close(channel);
			return;
		}
	}
	if (events & EPOLLOUT)
		flush(channel);
}

int vu_channel_open(struct vu_channel *channel, int fd)
{
	int rc = unix_check_stream(fd);

	if (rc)
		return rc;
	vu_channel_close(channel);
	rc = loop_watch_add(channel->loop, &channel->watch, fd, EPOLLIN, channel_event);
	if (rc)
		return rc;
	channel->fd = fd;
	flush(channel); /* what could not be told before */
	return 0;
}

void vu_channel_post(struct vu_channel *channel, struct vu_note *note)
{
	if (!list_empty(&note->node))
		return;
	list_add_tail(&channel->notes, &note->node);
	flush(channel);
}

void vu_channel_cancel(struct vu_note *note)
{
	list_del(&note->node);
}

void vu_channel_config_changed(struct vu_channel *channel)
{
	if (channel->fd >= 0)
		vu_channel_post(channel, &channel->config);
}
