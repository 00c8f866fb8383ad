/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_session.c - any messages with any fds to a whole session with a small device, which is
 * served and stopped meanwhile: it ends, nothing leaks, nothing spins.
 *
 * Input: a byte of OPTION_*, then records, each led by a byte: RECORD_MESSAGE with the request in
 * its low bits, or the number of something else that a peer may do. One thread: the loop runs
 * until it has nothing to do after each record.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/fuzz/fds.h"
#include "vhost/backend/session.h"

#define MAX_QUEUES   4
#define MAX_HELD     16 /* of a queue */
#define MAX_IOV      16
#define CONFIG_BYTES 60
#define MAX_ROUNDS   200 /* of the loop, until it must have nothing left to do */

#define OPTION_PACKED     1u
#define OPTION_NO_CONFIG  2u
#define OPTION_DRAIN_LATE 4u /* a queue asked to stop does so at its next pass */
#define OPTION_QUEUES(o)  (1 + ((o) >> 3 & 3))

#define RECORD_MESSAGE 0x40u /* flags, number of fds, size in two bytes, kinds of fds, payload */
enum record {
	RECORD_PASS, /* all queues: take chains, finish those taken before */
	RECORD_STORE, /* kind of fd, offset in two bytes, length, bytes: in a memfd */
	RECORD_TRUNCATE, /* kind of fd */
	RECORD_CONFIG_CHANGED,
	RECORD_DRAIN_CHANNEL, /* the peer reads its back-end channel */
	RECORD_HANG_UP, /* and connect again */
	RECORD_FILL_PIPE, /* length, bytes */
	RECORD_CLOSE, /* kind of fd: the peer's own */
	RECORDS
};
#define AT_ONCE 0x80u /* in a message's flags byte: with what comes next */

struct queue {
	struct virtqueue *vq; /* NULL: not the device's */
	bool stopping;
	struct {
		struct vq_chain chain;
		struct iovec iov[MAX_IOV];
	} held[MAX_HELD];
	unsigned num_held;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__real_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);
int __real_munmap(void *at, size_t bytes);

static struct loop *loop;
static int loop_fd; /* readable while the loop has something to do */
static struct vu_device device;
static struct queue queues[MAX_QUEUES];
static uint8_t options;
static unsigned num_maps, num_disconnects;
static int sock; /* the peer's end */
static struct vu_receiver reply;
static uint64_t asked; /* bit per request sent */

/* What is mapped by the library, counted at its doors. */
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *map = __real_mmap64(at, bytes, prot, flags, fd, offset);

	num_maps += map != MAP_FAILED && !(flags & MAP_FIXED);
	return map;
}

int __wrap_munmap(void *at, size_t bytes)
{
	int rc = __real_munmap(at, bytes);

	assert(rc == 0 && num_maps);
	num_maps--;
	return rc;
}

static void finish(struct queue *q)
{
	for (unsigned i = 0; i < q->num_held; i++) {
		struct vq_chain *chain = &q->held[i].chain;
		struct iovec *in = &chain->iov[chain->num_out];
		bool fill = chain->num_in && !chain->error;

		if (fill)
			memset(in->iov_base, 0x5a, min_of(in->iov_len, (size_t)16));
		vq_push(q->vq, chain->head, fill ? (uint32_t)min_of(in->iov_len, (size_t)16) : 0);
	}
	q->num_held = 0;
	vq_publish(q->vq);
	vq_notify(q->vq);
}

static void take(struct queue *q)
{
	while (q->num_held < MAX_HELD) {
		struct vq_chain *chain = &q->held[q->num_held].chain;

		chain->iov = q->held[q->num_held].iov;
		chain->max_iov = MAX_IOV;
		if (!vq_pop(q->vq, chain))
			break;
		q->num_held++;
	}
}

/* stop - what the process before had taken is finished first. */
static void stop(struct queue *q)
{
	struct virtqueue *vq = q->vq;

	finish(q);
	while (vq_owes(vq)) {
		take(q);
		finish(q);
	}
	q->vq = NULL;
	q->stopping = false;
	vu_queue_stopped(vq);
}

static void pass(struct queue *q)
{
	if (!q->vq)
		return;
	if (q->stopping) {
		stop(q);
		return;
	}
	finish(q);
	vq_kicks_off(q->vq);
	take(q);
	vq_kicks_on(q->vq);
}
static void queue_start(struct vu_device *dev, struct virtqueue *vq)
{
	struct queue *q = &queues[vq->index];

	assert(dev == &device && vq->index < dev->num_queues && !q->vq && !q->num_held);
	q->vq = vq;
}

static void queue_stop(struct vu_device *dev, struct virtqueue *vq)
{
	struct queue *q = &queues[vq->index];

	assert(dev == &device && q->vq == vq && !q->stopping);
	q->stopping = true;
	if (!(options & OPTION_DRAIN_LATE))
		stop(q);
}

static void all_stopped(void)
{
	for (unsigned i = 0; i < MAX_QUEUES; i++)
		assert(!queues[i].vq && !queues[i].num_held);
}

static void get_config(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data)
{
	assert(offset <= dev->config_bytes && size <= dev->config_bytes - offset);
	memset(data, 0xc0, size);
}

static int set_config(struct vu_device *dev, uint32_t offset, uint32_t size, const uint8_t *data)
{
	assert(offset <= dev->config_bytes && size <= dev->config_bytes - offset);
	all_stopped();
	for (uint32_t i = 0; i < size; i++) {
		if (data[i] != 0xc0)
			return -EPERM;
	}
	return 0;
}

static void set_features(struct vu_device *dev, uint64_t features)
{
	assert(!(features & ~dev->features));
	all_stopped();
}

static void disconnected(struct vu_device *dev)
{
	assert(dev == &device);
	all_stopped();
	num_disconnects++;
}

static void reset(struct vu_device *dev)
{
	assert(dev == &device);
	all_stopped();
}

static ssize_t save_state(struct vu_device *dev, uint8_t *out, size_t max)
{
	size_t bytes = min_of(max, (size_t)100);

	assert(dev == &device);
	all_stopped();
	memset(out, 0x5e, bytes);
	return (ssize_t)bytes;
}

static int load_state(struct vu_device *dev, const uint8_t *data, size_t size)
{
	assert(dev == &device);
	all_stopped();
	for (size_t i = 0; i < size; i++) {
		if (data[i] != 0x5e)
			return -EBADMSG;
	}
	return 0;
}

static int send_rarp(struct vu_device *dev, const uint8_t mac[6])
{
	assert(dev == &device);
	return mac[0] & 1 ? -EINVAL : 0;
}

static int set_mtu(struct vu_device *dev, uint16_t mtu)
{
	assert(dev == &device && mtu >= 68);
	return 0;
}

static const struct vu_device_ops ops = {
	.get_config = get_config,
	.set_config = set_config,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.disconnected = disconnected,
	.reset = reset,
	.save_state = save_state,
	.load_state = load_state,
	.send_rarp = send_rarp,
	.set_mtu = set_mtu,
};

/* --- the loop, a few rounds at a time --- */

static void quit(struct mail *mail)
{
	(void)mail;
	loop_quit(loop);
}

/* What the loop has in hand besides, it does before it looks at its mail once more. */
static void quit_next(struct mail *mail)
{
	loop_post(loop, mail, quit);
}

/* run_round - what there is to do now, without waiting for more. */
static void run_round(void)
{
	static struct mail mail;
	int rc;

	loop_post(loop, &mail, quit_next);
	rc = loop_run(loop);
	assert(rc == 0);
}

static bool loop_idle(void)
{
	struct pollfd pfd = {.fd = loop_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 0;
}

/* --- the peer --- */

static void take_replies(void)
{
	int rc;

	while (sock >= 0 && (rc = vu_receive(sock, &reply)) != 0) {
		if (rc < 0) {
			assert(rc == -ECONNRESET);
			close_fd(&sock);
			return;
		}
		assert(reply.msg.hdr.flags & VU_FLAG_REPLY);
		assert(reply.msg.hdr.request < RECORD_MESSAGE &&
		       asked & VU_BIT(reply.msg.hdr.request));
		fuzz_fds_received(&reply.msg);
		vu_receiver_reset(&reply);
	}
}

static void connect_device(void)
{
	int pair[2], rc;

	rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	assert(rc == 0);
	rc = vu_session_create(&device, pair[1]);
	assert(rc == 0);
	sock = pair[0];
	vu_receiver_init(&reply);
	asked = 0;
}

/* hang_up - and wait until the session is over, which needs no more than that the device drains. */
static void hang_up(void)
{
	unsigned before = num_disconnects;

	close_fd(&sock);
	for (unsigned i = 0; device.session && i < MAX_ROUNDS; i++) {
		run_round();
		for (unsigned k = 0; k < MAX_QUEUES; k++)
			pass(&queues[k]);
	}
	assert(!device.session);
	all_stopped();
	assert(num_disconnects - before <= 1);
	assert(num_maps == 0);
}

/* settle - whatever was sent: when it has been dealt with, the loop sleeps (contract 10). */
static void settle(void)
{
	unsigned i;

	for (i = 0; i < MAX_ROUNDS && !loop_idle(); i++) {
		run_round();
		take_replies();
	}
	assert(i < MAX_ROUNDS);
}

/* --- the input --- */

static const uint8_t *input, *input_end;

static uint8_t next_byte(void)
{
	return input < input_end ? *input++ : 0;
}

static uint16_t next16(void)
{
	uint16_t low = next_byte();

	return (uint16_t)(low | next_byte() << 8);
}

static size_t next_bytes(void *to, size_t max)
{
	size_t bytes = min_of(max, (size_t)(input_end - input));

	memcpy(to, input, bytes);
	input += bytes;
	return bytes;
}

/* send_message - Return: is the loop to run now? */
static bool send_message(uint32_t number)
{
	static struct vu_msg msg;
	uint8_t flags = next_byte();
	uint8_t num_fds = next_byte();

	asked |= VU_BIT(number);
	vu_msg_init(&msg, number);
	msg.hdr.flags ^= flags & 0xfu;
	msg.hdr.size = next16() % (VU_MAX_PAYLOAD + 1u);
	msg.num_fds = num_fds % (VU_MAX_FDS + 1u);
	for (unsigned i = 0; i < msg.num_fds; i++)
		msg.fds[i] = fuzz_fd(next_byte());
	memset(msg.payload.bytes, 0, msg.hdr.size);
	next_bytes(msg.payload.bytes, msg.hdr.size);
	if (sock >= 0)
		vu_send(sock, &msg); /* a peer that is gone, or whose socket is full: no matter */
	return !(flags & AT_ONCE);
}

static void store(void)
{
	uint8_t bytes[255];
	int fd = fuzz_fd(next_byte() % FUZZ_FD_MEMORY_KINDS);
	uint16_t offset = next16();
	size_t len = next_bytes(bytes, next_byte());
	ssize_t n = pwrite(fd, bytes, len, offset);

	(void)n; /* memory that was cut short grows again: so it may */
}

static void fill_pipe(void)
{
	uint8_t bytes[255];
	size_t len = next_bytes(bytes, next_byte());

	fuzz_fd_write(FUZZ_FD_PIPE_WRITE, bytes, len);
}

static void other_record(uint8_t record)
{
	int fd;

	switch (record % RECORDS) {
	case RECORD_PASS:
		for (unsigned i = 0; i < MAX_QUEUES; i++)
			pass(&queues[i]);
		break;
	case RECORD_STORE:
		store();
		break;
	case RECORD_TRUNCATE:
		fd = fuzz_fd(next_byte() % FUZZ_FD_MEMORY_KINDS);
		if (ftruncate(fd, 4096 * (next_byte() % 4)) < 0)
			assert(errno == EPERM);
		break;
	case RECORD_CONFIG_CHANGED:
		vu_device_config_changed(&device);
		break;
	case RECORD_DRAIN_CHANNEL:
		fuzz_fds_drain();
		break;
	case RECORD_FILL_PIPE:
		fill_pipe();
		break;
	case RECORD_CLOSE:
		fuzz_fd_close(next_byte());
		break;
	case RECORD_HANG_UP:
		hang_up();
		connect_device();
		break;
	}
}

static void step(void)
{
	uint8_t record = next_byte();
	bool run = true;

	if (record & RECORD_MESSAGE)
		run = send_message(record & (RECORD_MESSAGE - 1));
	else
		other_record(record);
	if (run)
		settle();
}

static void set_up(void)
{
	int rc;

	if (!loop) {
		log_set_level("error");
		signal(SIGPIPE, SIG_IGN); /* as every daemon does */
		loop_fd = fuzz_lowest_free_fd();
		rc = loop_create(&loop);
		assert(rc == 0);
	}
	memset(&device, 0, sizeof(device));
	device.name = "fuzz0";
	device.ops = &ops;
	device.features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			  VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_F_IN_ORDER);
	if (options & OPTION_PACKED)
		device.features |= VU_BIT(VIRTIO_F_RING_PACKED);
	device.num_queues = OPTION_QUEUES(options);
	device.max_ring_size = 256;
	device.max_iov = MAX_IOV;
	device.config_bytes = options & OPTION_NO_CONFIG ? 0 : CONFIG_BYTES;
	vu_device_init(&device, loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_open_fds before, after;

	if (!size)
		return -1;
	input = data;
	input_end = data + size;
	options = next_byte();
	set_up();
	fuzz_open_fds(&before);
	connect_device();
	while (input < input_end)
		step();
	settle();
	hang_up();
	vu_receiver_reset(&reply);
	fuzz_fds_close();
	fuzz_open_fds(&after);
	assert(!memcmp(&before, &after, sizeof(before)));
	return 0;
}
