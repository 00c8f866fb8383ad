/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - one connected front-end: what was negotiated, its memory, its rings.
 * Layer L4, internal to vhost/backend. Control thread only, but for vu_queue_stopped().
 *
 * Theory of operation. A message is received, checked against one table (requests.c), and then
 * handled in four steps which stand here once, so that no handler can forget one:
 *
 *     quiesce   the rings the message may change are taken back from the device; until the last
 *               vu_queue_stopped() the session reads no further message, while other sessions go on
 *     handle    change what is to be changed
 *     restart   every ring in question that is started, enabled and whole is translated anew
 *               against the memory table and given to the device
 *     answer    the reply, where there is one
 *
 * A session ends (peer gone, protocol error, vu_device_close) by draining all rings; only then are
 * memory, fds and at last the socket given up, since a front-end takes the closed socket as the
 * word that nothing touches its memory any more.
 */
#ifndef RINGSIDE_BACKEND_SESSION_H
#define RINGSIDE_BACKEND_SESSION_H

#include "vhost/backend/device.h"
#include "vhost/backend/device_state.h"
#include "vhost/memory/dirty.h"
#include "vhost/memory/map.h"
#include "vhost/memory/table.h"
#include "vhost/wire/codec.h"

#define VU_DEFAULT_RING_SIZE 1024 /* largest ring when the device sets no limit */

/* Started and enabled are independent; this is the started half, and who has the queue. */
enum vu_ring_state {
	VU_RING_STOPPED, /* no SET_VRING_KICK yet, or GET_VRING_BASE since */
	VU_RING_STARTED, /* ours: disabled, incomplete, broken, or held for a change */
	VU_RING_RUNNING, /* the device's, since queue_start */
	VU_RING_DRAINING, /* the device's until vu_queue_stopped */
	VU_RING_STATES
};

/* A message on the back-end channel: without payload, or with the number of a ring. */
struct vu_note {
	struct list node; /* empty: it does not wait */
	uint32_t request; /* enum vu_backend_request */
	uint32_t index;
	void (*sent)(struct vu_note *note); /* may be NULL */
};

/* One ring's calls, or its errors, when they go over the back-end channel. */
struct vu_inband {
	struct vu_ring *ring;
	int fd; /* our eventfd, the same file as the ring's call_fd or err_fd; -1: not needed yet */
	struct loop_watch watch;
	bool due; /* it was signalled, and the front-end has not been told */
	struct vu_note note;
};

/* One ring. Allocated apart from its neighbours; what the control thread writes begins on a line
 * of its own behind the queue, which the queue's thread reads. */
struct vu_ring {
	struct virtqueue vq;

	struct vu_session *session cacheline_aligned;
	enum vu_ring_state state;
	bool enabled;
	bool has_addr;
	bool on_area; /* it has run with its in-flight area, which says where it stands */
	uint16_t size; /* entries, 0 before SET_VRING_NUM */
	uint32_t base; /* where to go on, as vq_base() has it, while the ring is ours */
	struct vu_vring_addr addr;
	int kick_fd;
	int call_fd;
	int err_fd;
	struct vu_inband inband_call;
	struct vu_inband inband_err;
	struct mail stopped_mail; /* posted by vu_queue_stopped */
};

/* The in-flight region: an area for each ring from the first on. */
struct vu_inflight_region {
	struct mem_map map;
	uint64_t stride; /* bytes of one area */
	unsigned num_areas; /* 0: no region */
};

/* The back-end channel of SET_BACKEND_REQ_FD. */
struct vu_channel {
	int fd; /* -1: none */
	struct loop *loop;
	const char *name; /* of the device, for log lines */
	struct loop_watch watch;
	struct list notes; /* struct vu_note: what waits for room in the socket, or for one */
	struct vu_note config;
};

enum vu_session_phase {
	VU_SESSION_SERVING, /* reading messages */
	VU_SESSION_QUIESCING, /* a message in rx waits for rings to drain */
	VU_SESSION_ENDING, /* all rings drain, then everything is freed */
};

struct vu_request_info;

struct vu_session {
	struct vu_device *dev;
	enum vu_session_phase phase;
	int sock;
	struct loop_watch watch;
	struct vu_receiver rx; /* the message being received or handled */

	const struct vu_request_info *info; /* of the message being handled */
	struct vu_ring *ring; /* the ring it is about, or NULL */

	uint64_t features;
	uint64_t protocol_features;
	bool features_set;
	bool protocol_features_set;
	struct mem_table mem;
	struct mem_dirty log; /* in use while VU_F_LOG_ALL is among the features */
	struct vu_inflight_region inflight;
	int fault_fd; /* readable once memory of the front-end's was found cut short */
	struct loop_watch fault_watch;
	struct vu_channel channel;
	uint8_t status; /* the driver's device status (virtio 2.1), as SET_STATUS has it */
	struct vu_state_transfer state;

	unsigned draining; /* rings asked back and not yet stopped */
	struct loop_timer drain_timer;
	unsigned drain_waited_ms;
	struct mail end_mail;

	char why[192]; /* why the message is refused */
	struct log_limit log_limit;

	unsigned num_rings;
	struct vu_ring *rings[];
};

/* --- requests.c: the table of messages --- */

/* Where a message names the ring it is about. */
enum vu_index_at { VU_INDEX_NONE, VU_INDEX_STATE, VU_INDEX_ADDR, VU_INDEX_U64 };

/* Which rings are taken back before the handler runs. */
enum vu_quiesce { VU_QUIESCE_NONE, VU_QUIESCE_RING, VU_QUIESCE_ALL };

enum vu_reply {
	VU_REPLY_ACK, /* a u64, if REPLY_ACK was negotiated and the message asks for it */
	VU_REPLY_OWN, /* always, and the handler fills it in */
};

/* vu_request_info.needs: 0, a virtio transport bit, or a protocol feature. */
#define VU_NEEDS_NOTHING           0
#define VU_NEEDS_PROTOCOL_FEATURES 0xff /* feature bit 30 */
#define VU_NEEDS(protocol_feature) ((protocol_feature) + 1)

struct vu_request_info {
	uint16_t min_bytes; /* of payload */
	uint16_t max_bytes;
	uint8_t min_fds;
	uint8_t max_fds;
	uint8_t needs;
	enum vu_index_at index_at;
	enum vu_quiesce quiesce;
	enum vu_reply reply;
	/* Values beyond what the table can say; before any ring is stopped. May be NULL. */
	int (*check)(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring);
	/* Can the change be made under running rings after all? May be NULL: no. */
	bool (*at_once)(const struct vu_session *s, const struct vu_msg *msg);
	/* NULL: known, but its feature is not offered. @reply is empty, flags are set. */
	int (*handle)(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply);
	/* What has to wait until the front-end has its answer. May be NULL. */
	void (*answered)(struct vu_ring *ring);
};

/* Returned for a message after which the stream cannot be trusted: the connection ends even if
 * an error could be answered. */
#define VU_OUT_OF_STEP (-EPROTO)

/*
 * vu_request_check - everything that is checked before a message is acted on.
 * On success s->info and s->ring say what it is and which ring it is about.
 * Return: 0, -errno (refuse it, s->why says why) or VU_OUT_OF_STEP.
 */
int vu_request_check(struct vu_session *s, const struct vu_msg *msg);

/* --- session.c: the life of a session --- */

/* vu_session_create - serve @sock, which it takes over on success. Return: 0 or -errno. */
int vu_session_create(struct vu_device *dev, int sock);

/* vu_session_end - drain, free, and let the next front-end in; later, by mail, so that the
 * caller may go on using @s until it returns to the loop. @fmt: why, for the log; NULL: silently. */
void vu_session_end(struct vu_session *s, enum log_level level, const char *fmt, ...)
	printf_like(3, 4);

/* vu_refuse - note why the message being checked or handled is refused. Return: @err. */
int vu_refuse(struct vu_session *s, int err, const char *fmt, ...) printf_like(3, 4);

/* vu_session_drained - the last draining ring is back. From ring_state.c. */
void vu_session_drained(struct vu_session *s);

/* --- ring_state.c: the life of a ring --- */

/* vu_ring_create - a stopped, disabled ring. Return: 0 or -ENOMEM. */
int vu_ring_create(struct vu_session *s, unsigned index, struct vu_ring **out);

/* vu_ring_free - close its fds. NULL is harmless; the device must not have the queue. */
void vu_ring_free(struct vu_ring *ring);

const char *vu_ring_state_name(enum vu_ring_state state);

/* vu_ring_set_state - the one place where a ring changes state. */
void vu_ring_set_state(struct vu_ring *ring, enum vu_ring_state next);

/* vu_ring_stop - ask a running ring back; counts in s->draining until it is. Others: nothing. */
void vu_ring_stop(struct vu_ring *ring);

/* vu_ring_update - hand a started ring to the device if it is enabled and whole. */
void vu_ring_update(struct vu_ring *ring);

/* vu_ring_start - a stopped ring is started: from now on it may run. Others: nothing. */
void vu_ring_start(struct vu_ring *ring);

/* vu_ring_reset - back to how it was created, but for its size, and the fds for call and err,
 * which front-ends do not send again. The ring is not the device's. */
void vu_ring_reset(struct vu_ring *ring);

/* vu_ring_is_broken - was the ring found wrong in itself? Of a running one: about right. */
bool vu_ring_is_broken(const struct vu_ring *ring);

/* vu_ring_stopped - mail of vu_queue_stopped. */
void vu_ring_stopped(struct mail *mail);

/* vu_is_packed - did the front-end negotiate the packed ring format? */
static inline bool vu_is_packed(const struct vu_session *s)
{
	return s->features & VU_BIT(VIRTIO_F_RING_PACKED);
}

/* vu_is_inband - may rings do with messages in the place of eventfds? */
static inline bool vu_is_inband(const struct vu_session *s)
{
	return s->protocol_features & VU_BIT(VU_PF_INBAND_NOTIFICATIONS);
}

/* vu_ring_in_flight - chains the device holds, about right, for a log line. */
unsigned vu_ring_in_flight(const struct vu_ring *ring);

/* --- handle_inflight.c: the in-flight region --- */

/* vu_inflight_setup - @ring's area, if there is one. */
void vu_inflight_setup(const struct vu_ring *ring, struct vq_setup *setup);

/* vu_inflight_settle - a stopped ring has nothing in flight, the front-end knows its base, and that
 * is what counts from here on: its area becomes one of a queue never used. */
void vu_inflight_settle(struct vu_ring *ring);

/* vu_inflight_reset - the device was reset, all rings are ours: no request is in flight any more,
 * not even one that a process before this one had taken. */
void vu_inflight_reset(struct vu_session *s);

/* --- channel.c: the back-end channel --- */

void vu_channel_init(struct vu_channel *channel, struct loop *loop, const char *name);

/* vu_channel_open - use @fd from now on (taken over on success) instead of the one before.
 * Return: 0, -ENOTSOCK for what is not a unix stream socket, -errno. */
int vu_channel_open(struct vu_channel *channel, int fd);

void vu_channel_close(struct vu_channel *channel);

/* vu_note_init - prepare a message. */
void vu_note_init(struct vu_note *note, uint32_t request, uint32_t index,
		  void (*sent)(struct vu_note *note));

/* vu_channel_post - send @note, now or when there is a channel with room. Never waits; a note that
 * waits already is sent once. */
void vu_channel_post(struct vu_channel *channel, struct vu_note *note);

/* vu_channel_cancel - do not send it after all. Harmless when it does not wait. */
void vu_channel_cancel(struct vu_note *note);

/* vu_channel_config_changed - send CONFIG_CHANGE, now or when there is room. Never waits. */
void vu_channel_config_changed(struct vu_channel *channel);

/* --- inband.c: calls and errors over the channel --- */

void vu_inband_init(struct vu_inband *inband, struct vu_ring *ring, uint32_t request);

/* vu_inband_use - have the ring's *@fd signal @inband, if that was negotiated. Also under a ring
 * that runs: an open *@fd keeps its number. Return: 0, -errno. */
int vu_inband_use(struct vu_inband *inband, int *fd);

/* vu_inband_collect - the device gave the ring back: tell what it signalled to the end. */
void vu_inband_collect(struct vu_ring *ring);

/* vu_inband_hold - the ring is stopped: tell nothing until it runs. */
void vu_inband_hold(struct vu_ring *ring);

/* vu_inband_forget - a held ring is reset: nobody waits any more. */
void vu_inband_forget(struct vu_ring *ring);

/* vu_inband_resume - the ring runs: tell what was held, and what comes. */
void vu_inband_resume(struct vu_ring *ring);

/* vu_inband_free - close ours. */
void vu_inband_free(struct vu_ring *ring);

/* --- handle_*.c: the handlers the table names --- */

#define VU_CHECKER(name) \
	int name(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring)
#define VU_HANDLER(name)                                                         \
	int name(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring, \
		 struct vu_msg *reply)

/* vu_protocol_features_offered - what GET_PROTOCOL_FEATURES answers for @dev. */
uint64_t vu_protocol_features_offered(const struct vu_device *dev);

VU_HANDLER(vu_get_features);
VU_CHECKER(vu_check_features);
VU_HANDLER(vu_set_features);
VU_HANDLER(vu_get_protocol_features);
VU_CHECKER(vu_check_protocol_features);
VU_HANDLER(vu_set_protocol_features);
VU_HANDLER(vu_accept); /* nothing to do */
VU_HANDLER(vu_get_queue_num);
VU_CHECKER(vu_check_mem_table);
VU_HANDLER(vu_set_mem_table);
VU_HANDLER(vu_set_log_base);
VU_HANDLER(vu_get_inflight_fd);
VU_CHECKER(vu_check_inflight_fd);
VU_HANDLER(vu_set_inflight_fd);
VU_HANDLER(vu_get_max_mem_slots);
VU_HANDLER(vu_add_mem_reg);
VU_HANDLER(vu_rem_mem_reg);
VU_HANDLER(vu_set_backend_req_fd);
VU_HANDLER(vu_get_config);
VU_CHECKER(vu_check_config);
VU_HANDLER(vu_set_config);
bool vu_config_at_once(const struct vu_session *s, const struct vu_msg *msg);

VU_CHECKER(vu_check_vring_num);
VU_HANDLER(vu_set_vring_num);
VU_CHECKER(vu_check_vring_addr);
VU_HANDLER(vu_set_vring_addr);
VU_CHECKER(vu_check_vring_base);
VU_HANDLER(vu_set_vring_base);
VU_HANDLER(vu_get_vring_base);
VU_CHECKER(vu_check_vring_fd);
VU_HANDLER(vu_set_vring_kick);
VU_HANDLER(vu_set_vring_call);
VU_HANDLER(vu_set_vring_err);
bool vu_call_at_once(const struct vu_session *s, const struct vu_msg *msg);
bool vu_err_at_once(const struct vu_session *s, const struct vu_msg *msg);
VU_HANDLER(vu_set_vring_enable);
bool vu_enable_at_once(const struct vu_session *s, const struct vu_msg *msg);
VU_CHECKER(vu_check_vring_kick);
VU_HANDLER(vu_vring_kick);
bool vu_kick_at_once(const struct vu_session *s, const struct vu_msg *msg);

VU_HANDLER(vu_reset_device);
VU_CHECKER(vu_check_status);
VU_HANDLER(vu_set_status);
VU_HANDLER(vu_get_status);
VU_HANDLER(vu_send_rarp);
VU_CHECKER(vu_check_mtu);
VU_HANDLER(vu_net_set_mtu);
VU_HANDLER(vu_set_device_state_fd);
VU_HANDLER(vu_check_device_state);

#endif
