/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.h - what each request of a front-end looks like, and what a reply to it must look like.
 * Beside L1 (front-end). No state, any thread: requests.c waits for replies, pipeline.c does not.
 *
 * The builders initialise @msg wholly. fds in it stay whose they are: a message that is sent and
 * thrown away closes none.
 */
#ifndef RINGSIDE_FRONTEND_MESSAGES_H
#define RINGSIDE_FRONTEND_MESSAGES_H

#include <stdbool.h>

#include "vhost/frontend/memory.h"
#include "vhost/wire/codec.h"

void fe_msg_u64(struct vu_msg *msg, uint32_t request, uint64_t value);

/* fe_msg_state - SET_VRING_NUM, _BASE, _ENABLE, GET_VRING_BASE, VRING_KICK. */
void fe_msg_state(struct vu_msg *msg, uint32_t request, unsigned index, uint32_t num);

/* fe_msg_vring_fd - SET_VRING_KICK, _CALL, _ERR; an @fd of -1 says "no fd". */
void fe_msg_vring_fd(struct vu_msg *msg, uint32_t request, unsigned index, int fd);

void fe_msg_vring_addr(struct vu_msg *msg, unsigned index, const struct vu_vring_addr *addr);

/* fe_msg_fd - no payload and one fd: SET_BACKEND_REQ_FD, SET_LOG_FD. */
void fe_msg_fd(struct vu_msg *msg, uint32_t request, int fd);

/* fe_msg_mem_table - all regions of @mem. Return: 0 or -E2BIG (more than 32). */
int fe_msg_mem_table(struct vu_msg *msg, const struct fe_memory *mem);

/* fe_msg_region - ADD_MEM_REG with the fd, or REM_MEM_REG without: region @index of @mem. */
void fe_msg_region(struct vu_msg *msg, uint32_t request, const struct fe_memory *mem,
		   unsigned index);

/* fe_msg_config - GET_CONFIG (@data is NULL) or SET_CONFIG of @size bytes at @offset.
 * Return: 0 or -EINVAL (more than VU_MAX_CONFIG). */
int fe_msg_config(struct vu_msg *msg, uint32_t offset, uint32_t size, uint32_t flags,
		  const void *data);

/* fe_msg_get_inflight - a region for @num_queues rings of @queue_size entries is asked for. */
void fe_msg_get_inflight(struct vu_msg *msg, unsigned num_queues, unsigned queue_size);

/* fe_msg_set_inflight - @region, whose file is @fd. */
void fe_msg_set_inflight(struct vu_msg *msg, const struct vu_inflight *region, int fd);

/*
 * fe_check_reply - is @reply one to @request, of @reply_bytes exactly and with at most @max_fds fds?
 * Return: 0, -EREMOTEIO (a reply without payload where there should be one: refused), -EPROTO.
 */
int fe_check_reply(const struct vu_msg *reply, uint32_t request, uint32_t reply_bytes,
		   unsigned max_fds);

/* The contents of a reply of the right size. Return: 0, -EPROTO (not what was asked for). */
int fe_check_vring_base(const struct vu_msg *reply, unsigned index);
int fe_check_config(const struct vu_msg *reply, uint32_t offset, uint32_t size);

/* fe_check_inflight - Return: also -EREMOTEIO (the back-end has no region for these sizes). With 0
 * there is an fd; whether its file is long enough is not known. */
int fe_check_inflight(const struct vu_msg *reply, unsigned num_queues, unsigned queue_size);

/* fe_check_channel - a request on the back-end channel: a request, of the size that those of
 * proto.h have? */
bool fe_check_channel(const struct vu_header *hdr);

/* fe_answer_channel - tell the back-end how @request went, if it wants to hear it. Never waits: one
 * that does not read its answers loses the channel. Return: 0 or -errno of vu_send(). */
int fe_answer_channel(int fd, const struct vu_header *request, int result);

#endif
