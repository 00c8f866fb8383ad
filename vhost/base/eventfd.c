/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eventfd.c - see eventfd.h. Layer L0, any thread; the AIO context is the calling thread's own.
 */
#include "vhost/base/eventfd.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "vhost/base/log.h"

#define EVENTS 64 /* completions kept until they are thrown away together */

/* Thread-local, since a context is a queue of its own. The kernel keeps it for as long as the
 * process lives, and so do the threads that signal: none is started and ended in passing. */
static __thread struct {
	bool tried;
	bool usable;
	unsigned pending;
	aio_context_t context;
} aio;

/* What no kernel knows as a flag of a read: refused, but only after the eventfd was looked at. */
#define NO_SUCH_FLAG (1 << 30)

static bool aio_ready(void)
{
	static bool told;

	if (!aio.tried) {
		aio.tried = true;
		aio.usable = syscall(SYS_io_setup, EVENTS, &aio.context) == 0;
		if (!aio.usable && !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
			log_warn("eventfd",
				 "no AIO context (%s): a front-end can hold a thread up by filling "
				 "the counter of its call eventfd",
				 errno == EAGAIN ? "see /proc/sys/fs/aio-max-nr"
						 : "io_setup is refused");
	}
	return aio.usable;
}

void eventfd_prepare(void)
{
	aio_ready();
}

/* Syscalls: io_submit */
bool eventfd_is(int fd)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
		.aio_rw_flags = NO_SUCH_FLAG,
	};
	struct iocb *list = &request;

	return !aio_ready() || syscall(SYS_io_submit, aio.context, 1, &list) >= 0 ||
	       errno == EOPNOTSUPP;
}

/* Syscalls: io_getevents */
static void throw_events_away(void)
{
	static const struct timespec at_once;
	struct io_event events[EVENTS];

	syscall(SYS_io_getevents, aio.context, 0, EVENTS, events, &at_once);
	aio.pending = 0;
}

/* Syscalls: preadv2 */
bool eventfd_drain(int fd)
{
	uint64_t count;
	struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(count);
}

/* Syscalls: io_submit, write */
void eventfd_signal(int fd)
{
	/* A read too short for an eventfd: it ends at once, with an error that nobody looks at,
	 * and a request's end is what signals. */
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &request;
	const uint64_t one = 1;

	if (fd < 0)
		return;
	if (aio_ready()) {
		if (aio.pending == EVENTS)
			throw_events_away();
		aio.pending++;
		if (syscall(SYS_io_submit, aio.context, 1, &list) == 1)
			return;
	}
	/* A full counter (EAGAIN) is a signal that waits already; there is nobody to tell of
	 * another failure. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}
