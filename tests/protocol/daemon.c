/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon.c - the echo device and the loop thread that serves it.
 * Tests only.
 */
#include "tests/protocol/daemon.h"

#include <check.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define count_up(counter) __atomic_add_fetch(&(counter), 1, __ATOMIC_RELEASE)

static bool held_back(const struct echo *e)
{
	return __atomic_load_n(&e->hold, __ATOMIC_ACQUIRE);
}

static void set_running(struct echo_queue *q, bool running)
{
	__atomic_store_n(&q->running, running, __ATOMIC_RELEASE);
}

static bool is_running(const struct echo_queue *q)
{
	return __atomic_load_n(&q->running, __ATOMIC_ACQUIRE);
}

/* copy - the readable buffers to the writable ones, as far as both go. Return: bytes. */
static uint32_t copy(const struct vq_chain *chain)
{
	const struct iovec *in = chain->iov + chain->num_out;
	size_t in_at = 0, bytes = 0;
	unsigned in_i = 0;

	for (unsigned i = 0; i < chain->num_out; i++) {
		const uint8_t *from = chain->iov[i].iov_base;

		for (size_t k = 0; k < chain->iov[i].iov_len; k++) {
			while (in_i < chain->num_in && in_at == in[in_i].iov_len) {
				in_i++;
				in_at = 0;
			}
			if (in_i == chain->num_in)
				return (uint32_t)bytes;
			((uint8_t *)in[in_i].iov_base)[in_at++] = from[k];
			bytes++;
		}
	}
	return (uint32_t)bytes;
}

static void finish_held(struct echo_queue *q)
{
	for (unsigned i = 0; i < q->num_held; i++) {
		const struct vq_chain *chain = &q->held[i].chain;

		vq_push(q->vq, chain->head, chain->error ? 0 : copy(chain));
	}
	q->num_held = 0;
	vq_publish(q->vq);
	vq_notify(q->vq);
}

static void take_chains(struct echo_queue *q, unsigned max)
{
	while (q->num_held < max) {
		struct vq_chain *chain = &q->held[q->num_held].chain;

		chain->iov = q->held[q->num_held].iov;
		chain->max_iov = ECHO_MAX_IOV;
		if (!vq_pop(q->vq, chain))
			break;
		q->num_held++;
		count_up(q->echo->popped);
	}
}

static void drain_fd(int fd)
{
	uint64_t count;

	if (fd >= 0 && read(fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
}

static void *serve_queue(void *arg)
{
	struct echo_queue *q = arg;
	struct virtqueue *vq = q->vq;
	struct pollfd pfd[2] = {
		{.fd = vq->kick_fd, .events = POLLIN},
		{.fd = q->stop_fd, .events = POLLIN},
	};

	while (!(pfd[1].revents & POLLIN)) {
		bool again, hold;

		take_chains(q, ECHO_MAX_HELD);
		hold = held_back(q->echo);
		if (!hold)
			finish_held(q);
		again = vq_kicks_on(vq) && q->num_held < ECHO_MAX_HELD;
		poll(pfd, 2, again ? 0 : hold || pfd[0].fd < 0 ? 1 : -1);
		if (pfd[0].revents & POLLIN)
			drain_fd(pfd[0].fd);
	}
	while (q->num_held && held_back(q->echo))
		usleep(500);
	finish_held(q);
	set_running(q, false);
	count_up(q->echo->stops);
	vu_queue_stopped(vq);
	return NULL;
}

static void device_closed(struct vu_device *dev);

/* On the loop: a pass. What was pushed is left to be published. */
static bool serve_on_loop(struct vu_loop_queue *loop_queue)
{
	struct echo_queue *q = container_of(loop_queue, struct echo_queue, loop_queue);
	const struct echo_options *options = &q->echo->options;
	unsigned max = ECHO_MAX_HELD;
	bool left, close;

	ck_assert(is_running(q) && loop_queue->vq == q->vq && !q->vq->kicks_wanted);
	count_up(q->echo->passes);
	usleep(options->pass_ms * 1000);
	if (options->pass_chains && !held_back(q->echo))
		max = options->pass_chains;
	take_chains(q, max);
	left = q->num_held == max;
	if (held_back(q->echo)) /* asked after taking: it holds for what was submitted since */
		return false;
	for (unsigned i = 0; i < q->num_held; i++)
		vq_push(q->vq, q->held[i].chain.head, copy(&q->held[i].chain));
	close = q->num_held && options->close_inside && !q->echo->dev.closing;
	q->num_held = 0;
	if (close)
		vu_device_close(&q->echo->dev, device_closed);
	return left;
}

static void stopped_on_loop(struct vu_loop_queue *loop_queue)
{
	struct echo_queue *q = container_of(loop_queue, struct echo_queue, loop_queue);

	ck_assert(is_running(q) && !vq_owes(q->vq));
	set_running(q, false);
	count_up(q->echo->stops);
}

static void stop_on_loop(struct echo_queue *q)
{
	while (q->num_held) {
		const struct vq_chain *chain = &q->held[--q->num_held].chain;

		vu_loop_queue_push(&q->loop_queue, chain->head, copy(chain));
	}
	vu_loop_queue_stop(&q->loop_queue);
}

static struct echo *echo_of(struct vu_device *dev)
{
	return container_of(dev, struct echo, dev);
}

static void join_thread(struct echo_queue *q)
{
	if (q->has_thread)
		pthread_join(q->thread, NULL);
	q->has_thread = false;
}

static void queue_start(struct vu_device *dev, struct virtqueue *vq)
{
	struct echo *e = echo_of(dev);
	struct echo_queue *q = &e->queues[vq->index];

	join_thread(q); /* of the last run; it has said that it stopped */
	ck_assert(!is_running(q));
	set_running(q, true);
	q->vq = vq;
	vq->device_data = q;
	count_up(e->starts);
	if (e->options.stop_inside)
		return;
	if (e->options.on_loop) {
		ck_assert_int_eq(vu_loop_queue_start(&q->loop_queue, dev->loop, vq, serve_on_loop),
				 0);
		q->loop_queue.stopped = stopped_on_loop;
		return;
	}
	drain_fd(q->stop_fd);
	ck_assert_int_eq(pthread_create(&q->thread, NULL, serve_queue, q), 0);
	q->has_thread = true;
}

static void queue_stop(struct vu_device *dev, struct virtqueue *vq)
{
	struct echo *e = echo_of(dev);
	struct echo_queue *q = vq->device_data;
	uint64_t one = 1;

	ck_assert(q->vq == vq && is_running(q));
	if (e->options.stop_inside) {
		set_running(q, false);
		count_up(e->stops);
		vu_queue_stopped(vq);
		return;
	}
	if (e->options.on_loop) {
		stop_on_loop(q);
		return;
	}
	ck_assert_int_eq(write(q->stop_fd, &one, sizeof(one)), sizeof(one));
}

static void get_config(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_le(offset, sizeof(e->config));
	ck_assert_uint_le(size, sizeof(e->config) - offset);
	memcpy(data, e->config + offset, size);
}

static int set_config(struct vu_device *dev, uint32_t offset, uint32_t size, const uint8_t *data)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_le(offset, sizeof(e->config));
	ck_assert_uint_le(size, sizeof(e->config) - offset);
	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	for (uint32_t i = 0; i < size; i++) {
		if (offset + i >= sizeof(e->config) / 2 && e->config[offset + i] != data[i])
			return -EPERM;
	}
	memcpy(e->config + offset, data, size);
	count_up(e->config_writes);
	return 0;
}

static void set_features(struct vu_device *dev, uint64_t features)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	__atomic_store_n(&e->features, features, __ATOMIC_RELEASE);
}

static void memory_changed(struct vu_device *dev)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	__atomic_store_n(&e->regions, vu_device_memory(dev)->num_regions, __ATOMIC_RELEASE);
	count_up(e->memory_changes);
}

static void disconnected(struct vu_device *dev)
{
	struct echo *e = echo_of(dev);

	ck_assert_ptr_null(vu_device_memory(dev));
	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	count_up(e->disconnects);
}

static void reset(struct vu_device *dev)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	count_up(e->resets);
}

static ssize_t save_state(struct vu_device *dev, uint8_t *out, size_t max)
{
	struct echo *e = echo_of(dev);
	size_t bytes = echo_count(e, state_bytes);

	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	if (bytes > max)
		return -ENOBUFS;
	for (size_t i = 0; i < bytes; i++)
		out[i] = echo_state_byte(echo_count(e, state_seed), i);
	return (ssize_t)bytes;
}

static int load_state(struct vu_device *dev, const uint8_t *data, size_t size)
{
	struct echo *e = echo_of(dev);

	ck_assert_uint_eq(echo_count(e, starts), echo_count(e, stops));
	if (size < 2)
		return -EBADMSG;
	for (size_t i = 0; i < size; i++) {
		if (data[i] != echo_state_byte(data[1], i))
			return -EBADMSG;
	}
	__atomic_store_n(&e->state_seed, data[1], __ATOMIC_RELEASE);
	__atomic_store_n(&e->state_bytes, size, __ATOMIC_RELEASE);
	count_up(e->loads);
	return 0;
}

static int send_rarp(struct vu_device *dev, const uint8_t mac[6])
{
	struct echo *e = echo_of(dev);
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	__atomic_store_n(&e->mac, value, __ATOMIC_RELEASE);
	return value ? 0 : -EINVAL;
}

static int set_mtu(struct vu_device *dev, uint16_t mtu)
{
	__atomic_store_n(&echo_of(dev)->mtu, mtu, __ATOMIC_RELEASE);
	return mtu == ECHO_BAD_MTU ? -EINVAL : 0;
}

static const struct vu_device_ops ops = {
	.get_config = get_config,
	.set_config = set_config,
	.set_features = set_features,
	.memory_changed = memory_changed,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.disconnected = disconnected,
	.reset = reset,
	.save_state = save_state,
	.load_state = load_state,
	.send_rarp = send_rarp,
	.set_mtu = set_mtu,
};

static const struct vu_device_ops plain_ops = {
	.get_config = get_config,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.disconnected = disconnected,
};

static void echo_start(struct daemon *d, unsigned n, const struct echo_options *options)
{
	struct echo *e = &d->echo[n];

	e->options = *options;
	for (unsigned i = 0; i < ECHO_MAX_QUEUES; i++) {
		e->queues[i].echo = e;
		e->queues[i].stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_ge(e->queues[i].stop_fd, 0);
	}
	for (unsigned i = 0; i < sizeof(e->config); i++)
		e->config[i] = (uint8_t)(i + 1);
	e->dev.name = n ? "echo1" : "echo0";
	e->dev.ops = options->plain ? &plain_ops : &ops;
	e->dev.features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			  VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	if (options->packed)
		e->dev.features |= VU_BIT(VIRTIO_F_RING_PACKED);
	e->dev.num_queues = options->num_queues ? options->num_queues : 1;
	e->dev.max_ring_size = options->max_ring_size;
	e->dev.config_bytes = options->no_config ? 0 : sizeof(e->config);
	e->state_bytes = 100;
	snprintf(e->path, sizeof(e->path), "%s/%u", d->dir, n);
	vu_device_init(&e->dev, d->loop);
	ck_assert_int_eq(endpoint_listen(&e->dev.endpoint, d->loop, e->path, 0600), 0);
	vu_device_start(&e->dev);
}

static void *run_loop(void *arg)
{
	ck_assert_int_eq(loop_run(arg), 0);
	return NULL;
}

void daemon_start(struct daemon *d, const struct echo_options *options)
{
	static const struct echo_options defaults;

	memset(d, 0, sizeof(*d));
	signal(SIGPIPE, SIG_IGN); /* as every daemon does */
	snprintf(d->dir, sizeof(d->dir), "/tmp/ringside-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(d->dir));
	ck_assert_int_eq(loop_create(&d->loop), 0);
	for (unsigned i = 0; i < DAEMON_DEVICES; i++)
		echo_start(d, i, options ? options : &defaults);
	ck_assert_int_eq(pthread_create(&d->thread, NULL, run_loop, d->loop), 0);
}

static void device_closed(struct vu_device *dev)
{
	count_up(echo_of(dev)->closed);
}

static void close_device(void *arg)
{
	struct echo *e = arg;

	if (!e->dev.closing)
		vu_device_close(&e->dev, device_closed);
}

static void quit(void *arg)
{
	loop_quit(arg);
}

void daemon_stop(struct daemon *d)
{
	for (unsigned i = 0; i < DAEMON_DEVICES; i++) {
		struct echo *e = &d->echo[i];

		daemon_call(d, close_device, e);
		while (!echo_count(e, closed))
			usleep(500);
		for (unsigned k = 0; k < ECHO_MAX_QUEUES; k++) {
			join_thread(&e->queues[k]);
			close_fd(&e->queues[k].stop_fd);
		}
	}
	daemon_call(d, quit, d->loop);
	pthread_join(d->thread, NULL);
	loop_destroy(d->loop);
	ck_assert_int_eq(rmdir(d->dir), 0);
}

struct call {
	struct mail mail;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void run_call(struct mail *mail)
{
	struct call *call = container_of(mail, struct call, mail);

	call->fn(call->arg);
	sem_post(&call->done);
}

void daemon_call(struct daemon *d, void (*fn)(void *arg), void *arg)
{
	struct call call = {.fn = fn, .arg = arg};

	sem_init(&call.done, 0, 0);
	loop_post(d->loop, &call.mail, run_call);
	while (sem_wait(&call.done))
		;
	sem_destroy(&call.done);
}

void echo_hold(struct echo *e, bool hold)
{
	__atomic_store_n(&e->hold, hold, __ATOMIC_RELEASE);
}
