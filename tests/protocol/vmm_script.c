/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_script.c - see vmm_script.h. Tests only.
 */
#include "tests/protocol/vmm_script.h"

#include <check.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost/base/util.h"

#define REPLY_FLAGS (VU_VERSION | VU_FLAG_REPLY)

struct script script;

static int listener, sock = -1;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over sock, between drop and its close */

void script_init(void)
{
	uint64_t sectors = 8192;

	memset(&script, 0, sizeof(script));
	script.features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES) |
			  VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			  VU_BIT(VIRTIO_BLK_F_MQ) | VU_BIT(VIRTIO_BLK_F_FLUSH);
	script.protocol = VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG) |
			  VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_INFLIGHT_SHMFD) |
			  VU_BIT(VU_PF_RESET_DEVICE);
	script.queue_num = 2;
	memcpy(script.config, &sectors, sizeof(sectors));
	script.connection = ~0u;
	script.err_fd = script.call_fd = script.kick_fd = script.channel = -1;
}

#define count(field) __atomic_add_fetch(&script.field, 1, __ATOMIC_RELEASE)

static void take_fd(struct vu_msg *msg, int *fd)
{
	int taken = vu_msg_take_fd(msg, 0);

	close_fd(fd);
	__atomic_store_n(fd, taken, __ATOMIC_RELEASE);
}

static void note_ring(struct vu_msg *msg)
{
	unsigned index = msg->payload.state.index & 7;

	switch (msg->hdr.request) {
	case VU_SET_VRING_BASE:
		__atomic_store_n(&script.bases[index], msg->payload.state.num, __ATOMIC_RELEASE);
		break;
	case VU_SET_VRING_ENABLE:
		__atomic_store_n(&script.enabled[index], msg->payload.state.num, __ATOMIC_RELEASE);
		if (msg->payload.state.num)
			count(enables);
		else
			count(disables);
		break;
	case VU_SET_VRING_ERR:
		take_fd(msg, &script.err_fd);
		break;
	case VU_SET_VRING_CALL:
		take_fd(msg, &script.call_fd);
		break;
	case VU_SET_VRING_KICK:
		take_fd(msg, &script.kick_fd);
		count(kicks_set);
		break;
	}
}

static void give_inflight(struct vu_msg *reply)
{
	struct vu_inflight *in = &reply->payload.inflight;

	in->mmap_size = in->num_queues * 65536u;
	reply->fds[0] = memfd_create("script-inflight", MFD_CLOEXEC);
	reply->num_fds = 1;
	if (ftruncate(reply->fds[0], (off_t)in->mmap_size))
		_exit(1);
}

/* letter_of - what is worth a letter in script.order; '\0': nothing. */
static char letter_of(uint32_t request)
{
	switch (request) {
	case VU_SET_FEATURES:
		return 'f';
	case VU_SET_MEM_TABLE:
		return 'm';
	case VU_GET_CONFIG:
		return 'g';
	case VU_SET_CONFIG:
		return 'c';
	case VU_SET_VRING_KICK:
		return 'k';
	case VU_RESET_DEVICE:
		return 'r';
	default:
		return '\0';
	}
}

/* answer - the right reply to @msg. Return: false, there is none. */
static bool answer(struct vu_msg *msg, struct vu_msg *reply)
{
	struct vu_config *config = &reply->payload.config;

	vu_msg_init(reply, msg->hdr.request);
	reply->hdr.flags = REPLY_FLAGS;
	reply->hdr.size = sizeof(uint64_t);
	switch (msg->hdr.request) {
	case VU_GET_FEATURES:
		reply->payload.u64 = script.features;
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		reply->payload.u64 = script.protocol;
		return true;
	case VU_GET_QUEUE_NUM:
		reply->payload.u64 = script.queue_num;
		return true;
	case VU_GET_CONFIG:
		reply->hdr.size = msg->hdr.size;
		config->offset = msg->payload.config.offset;
		config->size = msg->payload.config.size;
		memcpy(config->data, script.config, config->size);
		return true;
	case VU_GET_INFLIGHT_FD:
		reply->hdr.size = sizeof(reply->payload.inflight);
		reply->payload.inflight = msg->payload.inflight;
		give_inflight(reply);
		return true;
	case VU_GET_VRING_BASE:
		reply->hdr.size = sizeof(reply->payload.state);
		reply->payload.state.index = msg->payload.state.index;
		return true;
	case VU_SET_FEATURES:
		__atomic_store_n(&script.features_set, msg->payload.u64, __ATOMIC_RELEASE);
		break;
	case VU_SET_CONFIG:
		memcpy(script.written + msg->payload.config.offset, msg->payload.config.data,
		       msg->payload.config.size);
		if (script.keeps_config)
			memcpy(script.config + msg->payload.config.offset, msg->payload.config.data,
			       msg->payload.config.size);
		count(configs_set);
		break;
	case VU_SET_BACKEND_REQ_FD:
		take_fd(msg, &script.channel);
		break;
	default:
		note_ring(msg);
	}
	return msg->hdr.flags & VU_FLAG_NEED_REPLY;
}

static void bytes(const void *from, size_t n)
{
	if (send(sock, from, n, MSG_NOSIGNAL) < 0)
		return; /* the other end has had enough */
}

static void say(const struct vu_msg *reply)
{
	if (vu_send(sock, reply) < 0)
		return;
}

/* misbehave - Return: false, the connection is over; true, go on. */
static bool misbehave(struct vu_msg *reply)
{
	struct vu_header too_long = {reply->hdr.request, REPLY_FLAGS, VU_MAX_PAYLOAD + 8};

	count(acted);
	switch (script.act) {
	case SCRIPT_HANG_UP:
		return false;
	case SCRIPT_HANG_UP_WITHIN:
		bytes(&reply->hdr, sizeof(reply->hdr) - 3);
		return false;
	case SCRIPT_JUNK:
		bytes("0123456789abcdef0123456789abcdef", 32);
		return true;
	case SCRIPT_OTHER_REQUEST:
		reply->hdr.request ^= 0x40;
		break;
	case SCRIPT_FLAGS:
		reply->hdr.flags ^= VU_FLAG_REPLY | VU_FLAG_NEED_REPLY;
		break;
	case SCRIPT_SHORT:
		reply->hdr.size--;
		break;
	case SCRIPT_LONG:
		reply->hdr.size++;
		break;
	case SCRIPT_TOO_LONG:
		bytes(&too_long, sizeof(too_long));
		return true;
	case SCRIPT_FDS:
		while (reply->num_fds < 4)
			reply->fds[reply->num_fds++] = dup(STDERR_FILENO);
		break;
	case SCRIPT_TWICE:
		say(reply);
		break;
	case SCRIPT_REFUSE:
		if (reply->payload.u64 || reply->hdr.size != sizeof(uint64_t))
			reply->hdr.size = 0;
		else
			reply->payload.u64 = 1;
		vu_msg_close_fds(reply);
		break;
	case SCRIPT_BENDS:
		script.bend(reply);
		break;
	case SCRIPT_HANG:
	case SCRIPT_ACTS:
		break;
	}
	say(reply);
	return true;
}

static bool is_the_one(unsigned connection, unsigned number, const struct vu_msg *msg)
{
	if (connection != script.connection || script_count(acted))
		return false;
	return script.request ? msg->hdr.request == script.request : number == script.message;
}

static void serve(unsigned connection)
{
	struct vu_receiver rx;
	bool hangs = false, goes_on = true;
	size_t letters = 0;

	vu_receiver_init(&rx);
	memset(script.order, 0, sizeof(script.order));
	if (script.keeps_config)
		memset(script.config, 0, sizeof(script.config));
	for (unsigned i = 0; i < ARRAY_SIZE(script.enabled); i++)
		__atomic_store_n(&script.enabled[i], false, __ATOMIC_RELEASE);
	for (unsigned number = 0; goes_on && vu_receive(sock, &rx) == 1; number++) {
		struct vu_msg reply;
		bool is = is_the_one(connection, number, &rx.msg);

		count(messages);
		if (letter_of(rx.msg.hdr.request) && letters < sizeof(script.order) - 1)
			script.order[letters++] = letter_of(rx.msg.hdr.request);
		if (is && script.act == SCRIPT_HANG) {
			count(acted);
			hangs = true;
		}
		if (!hangs) {
			bool wanted = answer(&rx.msg, &reply);

			if (is)
				goes_on = misbehave(&reply);
			else if (wanted)
				say(&reply);
			vu_msg_close_fds(&reply);
		}
		vu_receiver_reset(&rx);
	}
	vu_receiver_reset(&rx);
}

static void *run(void *arg)
{
	int next;

	while ((next = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_mutex_lock(&lock);
		sock = next;
		pthread_mutex_unlock(&lock);
		serve(count(connections) - 1);
		pthread_mutex_lock(&lock);
		close_fd(&sock);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

void script_start(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = SCRIPT_SOCKET};

	unlink(SCRIPT_SOCKET);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

void script_drop(void)
{
	pthread_mutex_lock(&lock);
	if (sock >= 0)
		shutdown(sock, SHUT_RDWR);
	pthread_mutex_unlock(&lock);
}

void script_stop(void)
{
	shutdown(listener, SHUT_RDWR);
	script_drop();
	pthread_join(thread, NULL);
	close_fd(&listener);
	close_fd(&script.err_fd);
	close_fd(&script.call_fd);
	close_fd(&script.kick_fd);
	close_fd(&script.channel);
}
