/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel.c - the back-end channel: telling the front-end that the configuration space changed.
 * Layer L4, control thread. Nothing here waits for the front-end, which may be waiting for us.
 */
#include <string.h>
#include <sys/socket.h>

#include "vhost/backend/session.h"

void vu_channel_init(struct vu_channel *channel, struct loop *loop, const char *name)
{
	memset(channel, 0, sizeof(*channel));
	channel->fd = -1;
	channel->loop = loop;
	channel->name = name;
}

void vu_channel_close(struct vu_channel *channel)
{
	loop_watch_del(channel->loop, &channel->watch);
	close_fd(&channel->fd);
	channel->config_pending = false;
}

/*
 * flush - send what is pending, or wait for room. The header is written here rather than by
 * vu_send: the front-end may keep a copy of this socket and make it blocking, so only
 * MSG_DONTWAIT is sure not to wait. A unix socket takes 12 bytes whole or not at all.
 */
static void flush(struct vu_channel *channel)
{
	static const struct vu_header hdr = {
		.request = VU_BACKEND_CONFIG_CHANGE,
		.flags = VU_VERSION,
	};
	ssize_t n = send(channel->fd, &hdr, sizeof(hdr), MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == sizeof(hdr)) {
		channel->config_pending = false;
		loop_watch_events(channel->loop, &channel->watch, EPOLLIN);
	} else if (n < 0 && errno == EAGAIN) {
		loop_watch_events(channel->loop, &channel->watch, EPOLLIN | EPOLLOUT);
	} else {
		log_warn(channel->name, "back-end channel closed: %s",
			 n < 0 ? strerror(errno) : "a message was cut short");
		vu_channel_close(channel);
	}
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
	if (events & EPOLLOUT && channel->config_pending)
		flush(channel);
}

int vu_channel_open(struct vu_channel *channel, int fd)
{
	int domain, type;
	socklen_t len = sizeof(int);
	int rc;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -ENOTSOCK;
	vu_channel_close(channel);
	rc = loop_watch_add(channel->loop, &channel->watch, fd, EPOLLIN, channel_event);
	if (rc)
		return rc;
	channel->fd = fd;
	return 0;
}

void vu_channel_config_changed(struct vu_channel *channel)
{
	if (channel->fd < 0 || channel->config_pending)
		return;
	channel->config_pending = true;
	flush(channel);
}
