/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uring.c - see uring.h. Layer L5, I/O thread.
 */
#include "blk/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "vhost/base/log.h"

/* Room for every request in flight, and for some kicks. More kicks than that wait in the kernel,
 * which says so by IORING_SQ_CQ_OVERFLOW. */
#define CQ_ENTRIES 4096
static_assert(BLK_MAX_IN_FLIGHT < CQ_ENTRIES, "room for every request's completion");

/* Best first; each is tried when the kernel refuses the one before. */
struct setup {
	unsigned flags;
	const char *name;
};
static const struct setup setups[] = {
	{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
	 "single issuer, deferred task work"},
	{IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
		 IORING_SETUP_CLAMP,
	 "cooperative task work (kernel before 6.1)"},
	{IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, "plain (kernel before 5.19)"},
};

static void register_files(struct blk_thread *thread)
{
	int ret;

	if (!thread->opt.num_files)
		return;
	ret = io_uring_register_files(&thread->ring, thread->opt.files, thread->opt.num_files);
	thread->fixed_files = ret == 0;
	if (ret < 0)
		log_warn(thread->name,
			 "files are not registered with io_uring (%s): each request "
			 "looks its file up",
			 strerror(-ret));
}

/*
 * Requests to an io_uring do not pass the system call filter, so the ring gets one of its own:
 * what file.c and the polls and cancels below ask for, and nothing else for ever.
 */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t opcodes[] = {
		IORING_OP_READ,  IORING_OP_WRITE,     IORING_OP_READV,    IORING_OP_WRITEV,
		IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
	};
	struct io_uring_restriction rules[ARRAY_SIZE(opcodes) + 2];
	unsigned n;

	memset(rules, 0, sizeof(rules));
	for (n = 0; n < ARRAY_SIZE(opcodes); n++) {
		rules[n].opcode = IORING_RESTRICTION_SQE_OP;
		rules[n].sqe_op = opcodes[n];
	}
	rules[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[n++].sqe_flags = IOSQE_FIXED_FILE;
	rules[n].opcode = IORING_RESTRICTION_REGISTER_OP; /* liburing does so at the end */
	rules[n++].register_op = IORING_UNREGISTER_RING_FDS;
	return io_uring_register_restrictions(ring, rules, n);
}

/* make_ring - Return: the one of setups[] that the kernel took, or NULL with *@error set. */
static const struct setup *make_ring(struct blk_thread *thread, unsigned more_flags, int *error)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(setups); i++) {
		struct io_uring_params params = {
			.flags = setups[i].flags | more_flags,
			.cq_entries = CQ_ENTRIES,
		};

		*error = io_uring_queue_init_params(BLK_RING_ENTRIES, &thread->ring, &params);
		if (*error == 0)
			return &setups[i];
		if (*error != -EINVAL)
			break;
	}
	return NULL;
}

static void register_all(struct blk_thread *thread)
{
	unsigned max_workers[2] = {4, 4};

	io_uring_register_ring_fd(&thread->ring);
	/* Writes that extend or fill holes go to kernel workers; a few serve as well as many. */
	io_uring_register_iowq_max_workers(&thread->ring, max_workers);
	register_files(thread);
}

/* make_restricted - a ring that begins disabled, so that it can be restricted first. Where it is
 * enabled is where the kernel says who may submit: this thread. Return: as make_ring. */
static const struct setup *make_restricted(struct blk_thread *thread, int *error)
{
	const struct setup *setup = make_ring(thread, IORING_SETUP_R_DISABLED, error);

	if (!setup)
		return NULL;
	*error = restrict_ring(&thread->ring);
	if (*error == 0) {
		register_all(thread);
		*error = io_uring_enable_rings(&thread->ring);
	}
	if (*error == 0)
		return setup;
	io_uring_queue_exit(&thread->ring);
	return NULL;
}

int uring_setup(struct blk_thread *thread)
{
	const struct setup *setup = NULL;
	int ret, refused = 0;

	if (thread->opt.restricted)
		setup = make_restricted(thread, &refused);
	if (!setup) {
		setup = make_ring(thread, 0, &ret);
		if (!setup)
			return ret;
		/* All threads have the same kernel: one line. */
		if (thread->opt.restricted && thread->index == 0)
			log_warn("sandbox",
				 "io_uring is not restricted (%s; kernel before 5.10?): requests "
				 "to it do not pass the system call filter",
				 strerror(-refused));
		register_all(thread);
	}
	if (setup != &setups[0])
		log_info(thread->name, "io_uring: %s", setup->name);
	else
		log_debug(thread->name, "io_uring: %s", setup->name);
	return 0;
}

/* liburing from 2.4 on names the ring by its short name, which is bit 31 of the opcode and has no
 * name in older headers.
 * Syscalls: io_uring_register(opcode=IORING_UNREGISTER_RING_FDS|2147483669): that short name */
void uring_teardown(struct blk_thread *thread)
{
	io_uring_queue_exit(&thread->ring);
}

/* Syscalls: io_uring_enter */
void uring_flush(struct blk_thread *thread)
{
	int ret;

	if (!io_uring_sq_ready(&thread->ring))
		return;
	ret = io_uring_submit(&thread->ring);
	/* EAGAIN and EBUSY (completions must be reaped first) leave the entries queued. */
	if (unlikely(ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR))
		log_error(thread->name, "io_uring_enter: %s", strerror(-ret));
}

struct io_uring_sqe *uring_sqe(struct blk_thread *thread, enum uring_tag tag, void *object)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&thread->ring);

	while (unlikely(!sqe)) {
		uring_flush(thread);
		sqe = io_uring_get_sqe(&thread->ring);
	}
	assert(((uintptr_t)object & URING_TAG_MASK) == 0);
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = (uintptr_t)object | tag;
	return sqe;
}

void uring_use_file(const struct blk_thread *thread, struct io_uring_sqe *sqe,
		    const struct blk_image *image)
{
	if (thread->fixed_files) {
		sqe->fd = (int)image->file_slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		sqe->fd = image->fd;
	}
}

bool uring_pending(struct blk_thread *thread)
{
	if (io_uring_cq_ready(&thread->ring))
		return true;
	if (IO_URING_READ_ONCE(*thread->ring.sq.kflags) &
	    (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) {
		io_uring_get_events(&thread->ring);
		return io_uring_cq_ready(&thread->ring) != 0;
	}
	return false;
}

void uring_wait(struct blk_thread *thread)
{
	int ret = io_uring_submit_and_wait(&thread->ring, 1);

	if (unlikely(ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR))
		log_error(thread->name, "io_uring_enter: %s", strerror(-ret));
}

void uring_arm_poll(struct blk_thread *thread, int fd, enum uring_tag tag, void *object)
{
	struct io_uring_sqe *sqe = uring_sqe(thread, tag, object);
	uint64_t user_data = sqe->user_data;

	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	sqe->user_data = user_data;
}

void uring_cancel_poll(struct blk_thread *thread, enum uring_tag tag, void *object)
{
	struct io_uring_sqe *sqe = uring_sqe(thread, URING_CANCEL, NULL);

	/* Not a poll removal, which fails (EALREADY) while an event is being delivered. */
	io_uring_prep_cancel64(sqe, (uintptr_t)object | tag, 0);
	sqe->user_data = URING_CANCEL;
}
