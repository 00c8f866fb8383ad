/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader.h - guest memory of several buffers as one stream, copied out and each byte read once.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_BALLOON_READER_H
#define RINGSIDE_BALLOON_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost/base/util.h"
#include "vhost/ring/guest_access.h"

/* Zero but for the first two, which stay the caller's. */
struct bal_reader {
	const struct iovec *iov;
	unsigned num;
	size_t offset; /* in iov[0] */
};

/* bal_copy - @bytes of guest memory to @out, in words as far as they go. */
static inline void bal_copy(uint8_t *out, const uint8_t *from, size_t bytes)
{
	size_t i = 0;

	for (; bytes - i >= sizeof(uint32_t); i += sizeof(uint32_t))
		*(guest_u32 *)(out + i) = (guest_u32){((const volatile guest_u32 *)(from + i))->v};
	for (; i < bytes; i++)
		out[i] = *(const volatile uint8_t *)(from + i);
}

/* bal_read - the next @bytes of the stream. Return: how many there were. */
static inline size_t bal_read(struct bal_reader *reader, void *out, size_t bytes)
{
	size_t done = 0;

	while (done < bytes && reader->num) {
		size_t left = reader->iov->iov_len - reader->offset;
		size_t part = min_of(bytes - done, left);

		bal_copy((uint8_t *)out + done,
			 (const uint8_t *)reader->iov->iov_base + reader->offset, part);
		done += part;
		reader->offset += part;
		if (part == left) {
			reader->iov++;
			reader->num--;
			reader->offset = 0;
		}
	}
	return done;
}

#endif
