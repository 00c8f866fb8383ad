/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty_log.h - a dirty log as a front-end keeps it, with a fence of bytes around that nobody writes.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_DIRTY_LOG_H
#define RINGSIDE_TESTS_PROTOCOL_DIRTY_LOG_H

#include <check.h>
#include <string.h>
#include <sys/mman.h>

#include "vhost/frontend/frontend.h"

#define LOG_PAGE    4096u
#define FENCE_BYTES 8192u /* behind the log; before it, whatever its offset leaves */
#define FENCE       0xa5

struct dirty_log {
	int fd;
	uint8_t *map; /* of the whole file */
	uint8_t *bits;
	uint64_t offset; /* of the bits in the file */
	uint64_t bytes; /* of bits */
	uint64_t file_bytes;
};

/* dirty_log_make - @bytes of log at @offset of a file, all clear. */
static inline void dirty_log_make(struct dirty_log *log, uint64_t offset, uint64_t bytes)
{
	log->file_bytes = align_up(offset + bytes + FENCE_BYTES, LOG_PAGE);
	log->offset = offset;
	log->bytes = bytes;
	log->fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(log->fd, 0);
	ck_assert_int_eq(ftruncate(log->fd, (off_t)log->file_bytes), 0);
	log->map = mmap(NULL, log->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
	ck_assert_ptr_ne(log->map, MAP_FAILED);
	log->bits = log->map + offset;
	memset(log->map, FENCE, log->file_bytes);
	memset(log->bits, 0, bytes);
}

static inline void dirty_log_free(struct dirty_log *log)
{
	munmap(log->map, log->file_bytes);
	close_fd(&log->fd);
}

static inline bool dirty_log_fenced(const struct dirty_log *log)
{
	uint64_t at;

	for (at = 0; at < log->file_bytes; at++) {
		if (at == log->offset)
			at += log->bytes;
		if (at < log->file_bytes && log->map[at] != FENCE)
			return false;
	}
	return true;
}

static inline void dirty_log_clear(struct dirty_log *log)
{
	uint64_t at;

	for (at = 0; at < log->bytes; at++)
		__atomic_exchange_n(&log->bits[at], 0, __ATOMIC_ACQ_REL);
}

static inline bool dirty_log_has(const struct dirty_log *log, uint64_t gpa)
{
	uint64_t page = gpa / LOG_PAGE;

	return page / 8 < log->bytes &&
	       __atomic_load_n(&log->bits[page / 8], __ATOMIC_ACQUIRE) >> (page % 8) & 1;
}

/* dirty_log_count - pages marked. */
static inline unsigned dirty_log_count(const struct dirty_log *log)
{
	unsigned count = 0;
	uint64_t at;

	for (at = 0; at < log->bytes; at++)
		count += (unsigned)__builtin_popcount(
			__atomic_load_n(&log->bits[at], __ATOMIC_ACQUIRE));
	return count;
}

/* dirty_log_use - tell the back-end. Return: as fe_set_log_base(). */
static inline int dirty_log_use(struct fe *fe, const struct dirty_log *log)
{
	return fe_set_log_base(fe, log->fd, log->bytes, log->offset);
}

#endif
