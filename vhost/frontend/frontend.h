/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frontend.h - the other end of the wire: what a VMM, a test or a benchmark says to a back-end.
 * Beside L1 (uses base and wire only; no KVM, no event loop). One thread at a time per session.
 *
 * Requests are synchronous and bounded by a timeout. Nothing a back-end sends is trusted: a
 * reply's request, flags, size and fds are checked before a byte of it is used.
 *
 * Usual order (fe_negotiate and fe_ring_start do the steps between for you):
 *
 *     fe_connect, fe_negotiate, fe_share_memory, fe_ring_start..., fe_ring_stop..., fe_close
 *
 * A request that has no function here is a vu_msg away: fe_request() and fe_query().
 */
#ifndef RINGSIDE_FRONTEND_FRONTEND_H
#define RINGSIDE_FRONTEND_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/frontend/memory.h"
#include "vhost/frontend/ring.h"
#include "vhost/wire/codec.h"

#define FE_TIMEOUT_MS 5000 /* default of one request */

struct fe;

/*
 * What to do with a request from the back-end (enum vu_backend_request). The payload's size has
 * been checked for the requests of proto.h. fds may be taken out with vu_msg_take_fd; the rest
 * are closed. Makes no request on @fe: one may be waiting for its reply at this moment.
 * Return: 0, or -errno: answered as a failure where an answer is wanted.
 */
typedef int (*fe_channel_fn)(struct fe *fe, struct vu_msg *msg, void *arg);

struct fe {
	int sock; /* non-blocking */
	int error; /* not 0: the stream is lost, and this is why; every request returns it */
	unsigned timeout_ms; /* for each request; may be changed between two */
	uint64_t offered; /* by the last fe_get_features */
	uint64_t features; /* by the last fe_set_features */
	uint64_t protocol_offered;
	uint64_t protocol;
	struct vu_receiver rx;

	int channel_fd; /* our end of the back-end channel, or -1; readable: fe_channel_serve */
	fe_channel_fn channel_fn;
	void *channel_arg;
	unsigned config_changes; /* VU_BACKEND_CONFIG_CHANGE received */
	struct vu_receiver channel_rx;
};

/*
 * Errors common to all requests:
 *   -ETIMEDOUT   no complete reply in time       } the stream is out of step or gone: fe->error
 *   -ECONNRESET  the back-end closed             } is set, and only fe_close() helps
 *   -EPROTO      a reply that is not one to this }
 *   -EREMOTEIO   the back-end refused; the session goes on
 */

/* fe_connect - connect to a listening back-end. @fe need not be initialised.
 * Return: 0, -errno of unix_connect(). */
int fe_connect(struct fe *fe, const char *path);

/* fe_adopt - talk over a connected stream socket; takes @sock over. @fe need not be initialised.
 * Return: 0, -errno of fcntl(2) (the socket is then closed). */
int fe_adopt(struct fe *fe, int sock);

/* fe_close - hang up: both sockets are closed. Harmless when closed. Rings and memory are the
 * caller's and stay. */
void fe_close(struct fe *fe);

/*
 * fe_request - send a request that has no reply of its own. With REPLY_ACK negotiated it carries
 * NEED_REPLY and the answer is awaited; without, 0 means sent (fe_sync makes sure it was seen).
 * @msg is an initialised message with hdr.size set; its fds stay the caller's.
 * Return: 0, -EREMOTEIO, or a common error.
 */
int fe_request(struct fe *fe, struct vu_msg *msg);

/*
 * fe_query - send a request that has a reply of its own, and wait for it in fe->rx.msg, which
 * is valid until the next request on @fe. The reply's size is @reply_bytes exactly, or 0, which
 * means refused. At most @max_fds fds come with it: take them with vu_msg_take_fd, or they are
 * closed by the next request.
 * Return: 0, -EREMOTEIO, or a common error.
 */
int fe_query(struct fe *fe, struct vu_msg *msg, uint32_t reply_bytes, unsigned max_fds);

/* fe_sync - one round trip (GET_FEATURES): everything sent before has been handled. */
int fe_sync(struct fe *fe);

/* Features. The set forms remember what was set, the get forms what was offered. */
int fe_get_features(struct fe *fe, uint64_t *features);
int fe_set_features(struct fe *fe, uint64_t features);
int fe_get_protocol_features(struct fe *fe, uint64_t *features);
int fe_set_protocol_features(struct fe *fe, uint64_t features);

/*
 * fe_negotiate - the customary opening: GET_FEATURES, protocol features where offered,
 * SET_OWNER, SET_FEATURES. What is set is what is both wanted and offered; VU_F_PROTOCOL_FEATURES
 * is wanted always. See fe->features and fe->protocol for the outcome.
 */
int fe_negotiate(struct fe *fe, uint64_t wanted, uint64_t wanted_protocol);

static inline bool fe_has(const struct fe *fe, unsigned protocol_feature)
{
	return fe->protocol & VU_BIT(protocol_feature);
}

int fe_set_owner(struct fe *fe);

/* fe_reset_device - all rings stopped, disabled and without an address; the device as after start.
 * Memory, channel and what was negotiated stay. */
int fe_reset_device(struct fe *fe);

/* The device status (virtio 2.1). Return of get: also -EPROTO (more than 8 bits; the session goes
 * on). */
int fe_get_status(struct fe *fe, uint8_t *status);
int fe_set_status(struct fe *fe, uint8_t status);

/* What a network device may take: the guest's address to announce; the MTU of the host. */
int fe_send_rarp(struct fe *fe, const uint8_t mac[6]);
int fe_set_mtu(struct fe *fe, uint64_t mtu);

int fe_get_queue_num(struct fe *fe, uint64_t *rings);
int fe_get_max_mem_slots(struct fe *fe, uint64_t *slots);

/* fe_set_mem_table - all regions of @mem in one message. Return: also -E2BIG (> 32 regions). */
int fe_set_mem_table(struct fe *fe, const struct fe_memory *mem);

/* fe_add_region, fe_remove_region - memory slots: region @index of @mem. */
int fe_add_region(struct fe *fe, const struct fe_memory *mem, unsigned index);
int fe_remove_region(struct fe *fe, const struct fe_memory *mem, unsigned index);

/* fe_share_memory - all of @mem, by slots where negotiated, else as a table. */
int fe_share_memory(struct fe *fe, const struct fe_memory *mem);

/* Rings, one message each. An fd of -1 says "no fd" (poll; never interrupt). */
int fe_set_vring_num(struct fe *fe, unsigned index, uint32_t num);
int fe_set_vring_base(struct fe *fe, unsigned index, uint32_t base);
int fe_set_vring_addr(struct fe *fe, unsigned index, const struct vu_vring_addr *addr);
int fe_set_vring_kick(struct fe *fe, unsigned index, int fd);
int fe_set_vring_call(struct fe *fe, unsigned index, int fd);
int fe_set_vring_err(struct fe *fe, unsigned index, int fd);
int fe_set_vring_enable(struct fe *fe, unsigned index, bool enable);

/* fe_vring_kick - INBAND_NOTIFICATIONS: a kick as a message, which starts a stopped ring too. */
int fe_vring_kick(struct fe *fe, unsigned index);

/* fe_get_vring_base - stops the ring: waits for all its requests. The index echoed is checked. */
int fe_get_vring_base(struct fe *fe, unsigned index, uint32_t *base);

/*
 * fe_ring_start - num, base, addr, err, call, kick, enable, as @ring is. The base is where the
 * ring stands, so that a ring that was stopped goes on, with what it left undone first.
 */
int fe_ring_start(struct fe *fe, unsigned index, const struct fe_ring *ring);

/*
 * fe_ring_stop - disable, then fe_get_vring_base. What the back-end had taken is used by now
 * (poll it); what it had not taken yet stays available. The base is checked against the ring.
 * Return: also -EPROTO (they differ; the session goes on).
 */
int fe_ring_stop(struct fe *fe, unsigned index, const struct fe_ring *ring);

/* fe_get_config, fe_set_config - @size bytes at @offset of the configuration space.
 * @flags of set: 0 a driver's write, 1 migration. Return: also -EINVAL (> VU_MAX_CONFIG). */
int fe_get_config(struct fe *fe, uint32_t offset, uint32_t size, void *data);
int fe_set_config(struct fe *fe, uint32_t offset, uint32_t size, uint32_t flags, const void *data);

/*
 * The in-flight region: memory of the back-end's making that outlives it. It keeps there what it
 * has taken from the rings; given back to the next back-end before its rings start, that one
 * serves what the one before left undone.
 */
struct fe_inflight {
	int fd; /* ours; -1: none */
	void *map; /* mmap_size bytes, of this process */
	uint64_t mmap_size; /* num_queues areas of equal size */
	uint64_t mmap_offset; /* in the file, as the back-end said it */
	uint16_t num_queues;
	uint16_t queue_size;
	void *map_base; /* what munmap(2) wants: whole pages */
	uint64_t map_bytes;
};

/*
 * fe_get_inflight - ask for a region for @num_queues rings of @queue_size entries, and map it. The
 * format is that of the features set before. @out need not be initialised; on failure it is empty.
 * Return: also -EREMOTEIO (the back-end has none for these sizes), -EPROTO (a reply that makes no
 * sense: other numbers, no fd, a file too short; the session goes on), -errno of mmap(2).
 */
int fe_get_inflight(struct fe *fe, unsigned num_queues, unsigned queue_size,
		    struct fe_inflight *out);

/* fe_set_inflight - have the back-end use @inflight, which stays the caller's. */
int fe_set_inflight(struct fe *fe, const struct fe_inflight *inflight);

/* fe_inflight_free - unmap and close. Harmless when empty: {.fd = -1}, or after a failed get. */
void fe_inflight_free(struct fe_inflight *inflight);

/*
 * fe_set_log_base - [@offset, @offset + @size) of @fd is the dirty log from now on: a bit for every
 * 4 KiB of guest-physical memory. The fd stays the caller's. Logging itself is switched by
 * VU_F_LOG_ALL, and for a ring's own memory by bit 0 of vu_vring_addr.flags.
 * Return: also -EPROTO (the log echoed is another one; the session goes on).
 */
int fe_set_log_base(struct fe *fe, int fd, uint64_t size, uint64_t offset);

/* fe_set_log_fd - the eventfd by which a back-end may tell of pages logged; it stays the caller's. */
int fe_set_log_fd(struct fe *fe, int fd);

/*
 * fe_save_state, fe_load_state - DEVICE_STATE: what the device keeps beside rings and configuration
 * space, while all rings are stopped. The whole of it, checked by the back-end in the end. SIGPIPE
 * must be ignored, since the other end may go away.
 * Return: bytes saved, or 0; also -EREMOTEIO (refused, or failed in the back-end), -EFBIG (more than
 * @max), -ETIMEDOUT (the transfer; the session goes on), -EPROTO (a reply that makes no sense; the
 * session goes on), -EINVAL (an fd of another kind in the reply), -EPIPE, -errno of pipe(2).
 */
ssize_t fe_save_state(struct fe *fe, void *buf, size_t max);
int fe_load_state(struct fe *fe, const void *data, size_t len);

/*
 * fe_open_channel - make the back-end channel and pass its other end. @fn may be NULL: every
 * request is then answered with success and only config_changes counts. The channel is also
 * served while a request waits for its reply, so that two waits cannot meet.
 */
int fe_open_channel(struct fe *fe, fe_channel_fn fn, void *arg);

/*
 * fe_channel_serve - wait up to @timeout_ms (0: not at all) for one back-end request, hand it to
 * the function and answer it.
 * Return: 1 one was served, 0 none came, -ECONNRESET or -EPROTO (the channel is then closed).
 */
int fe_channel_serve(struct fe *fe, int timeout_ms);

/* fe_channel_close - our end only. Harmless when closed. */
void fe_channel_close(struct fe *fe);

/*
 * For tests that misbehave. Nothing is checked and nothing is awaited.
 *
 * fe_send - @msg exactly as it is. fe_send_bytes - any bytes, fds with the first of them.
 * fe_await_reply - a reply to @request, as fe_query would take it.
 * fe_await_close - wait for the back-end to hang up, dropping what it still says.
 * Return: 0, -ETIMEDOUT, -ECONNRESET, -EPROTO.
 */
int fe_send(struct fe *fe, const struct vu_msg *msg);
int fe_send_bytes(struct fe *fe, const void *bytes, size_t len, const int *fds, unsigned num_fds);
int fe_await_reply(struct fe *fe, uint32_t request, uint32_t reply_bytes, unsigned max_fds);
int fe_await_close(struct fe *fe, unsigned timeout_ms);

#endif
