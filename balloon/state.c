/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.c - see state.h: one form for a migration and for the state file.
 * Layer L5, control thread; bal_state_open() at start-up.
 */
#include "balloon/state.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost/base/util.h"

#define STATE_VERSION 1

static const uint8_t magic[8] = {'R', 'S', '-', 'B', 'A', 'L', 0x1a, '\n'};

/* As it goes out, little-endian. A longer one gets another version; whoever does not know it loads
 * nothing. */
struct wire {
	uint8_t magic[8];
	uint32_t version;
	uint32_t bytes; /* of the whole */
	uint64_t target_bytes;
	uint32_t actual_pages;
	uint32_t poison_val;
	uint32_t stats_there; /* 0: all that follows is 0; 1 */
	uint32_t stats_present;
	uint64_t stats_age_ns;
	uint64_t stats_values[BAL_STATS_TAGS]; /* 0 for those not present */
};
static_assert(sizeof(struct wire) == BAL_STATE_BYTES, "saved state");
static_assert(BAL_STATS_TAGS < 32, "a bit for every statistic");

ssize_t bal_state_encode(const struct bal_state *state, uint64_t now_ns, uint8_t *out, size_t max)
{
	const struct bal_stats *stats = &state->stats;
	struct wire wire = {
		.version = htole32(STATE_VERSION),
		.bytes = htole32(sizeof(wire)),
		.target_bytes = htole64(state->target_bytes),
		.actual_pages = htole32(state->actual_pages),
		.poison_val = htole32(state->poison_val),
	};

	if (max < sizeof(wire))
		return -ENOBUFS;
	memcpy(wire.magic, magic, sizeof(magic));
	if (stats->there) {
		wire.stats_there = htole32(1);
		wire.stats_present = htole32(stats->present);
		wire.stats_age_ns = htole64(now_ns - min_of(stats->taken_ns, now_ns));
	}
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		if (stats->there && stats->present & 1u << i)
			wire.stats_values[i] = htole64(stats->values[i]);
	memcpy(out, &wire, sizeof(wire));
	return sizeof(wire);
}

/* decode_stats - Return: 0 or -EBADMSG. */
static int decode_stats(const struct wire *wire, uint64_t now_ns, struct bal_stats *stats)
{
	uint64_t age_ns = le64toh(wire->stats_age_ns);

	*stats = (struct bal_stats){
		.there = wire->stats_there,
		.present = le32toh(wire->stats_present),
	};
	if (le32toh(wire->stats_there) > 1 || stats->present >> BAL_STATS_TAGS ||
	    (!stats->there && (stats->present || age_ns)))
		return -EBADMSG;
	if (stats->there)
		stats->taken_ns = now_ns - min_of(age_ns, now_ns);
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++) {
		stats->values[i] = le64toh(wire->stats_values[i]);
		if (stats->values[i] && !(stats->present & 1u << i))
			return -EBADMSG;
	}
	return 0;
}

int bal_state_decode(struct bal_state *state, uint64_t now_ns, const uint8_t *data, size_t bytes)
{
	struct bal_state next;
	struct wire wire;

	if (bytes != sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, data, sizeof(wire));
	if (memcmp(wire.magic, magic, sizeof(magic)) || le32toh(wire.version) != STATE_VERSION ||
	    le32toh(wire.bytes) != sizeof(wire))
		return -EBADMSG;
	next = (struct bal_state){
		.target_bytes = le64toh(wire.target_bytes),
		.actual_pages = le32toh(wire.actual_pages),
		.poison_val = le32toh(wire.poison_val),
	};
	if (decode_stats(&wire, now_ns, &next.stats))
		return -EBADMSG;
	*state = next;
	return 0;
}

/* --- the file --- */

/* lock - for as long as the file is open, whoever forks or closes another fd of it. */
static int lock(int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int bal_state_open(const char *path)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	struct stat st;
	int ret;

	if (fd < 0 || stat_fd(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	ret = lock(fd);
	if (ret)
		return ret;
	ret = fd;
	fd = -1;
	return ret;
}

/* Syscalls: pwrite64 */
int bal_state_store(int fd, const struct bal_state *state, uint64_t now_ns)
{
	uint8_t data[BAL_STATE_BYTES];
	ssize_t n;

	bal_state_encode(state, now_ns, data, sizeof(data));
	n = pwrite(fd, data, sizeof(data), 0);
	if (n < 0)
		return -errno;
	return n == sizeof(data) ? 0 : -ENOSPC;
}

int bal_state_load(int fd, struct bal_state *state, uint64_t now_ns)
{
	uint8_t data[BAL_STATE_BYTES + 1]; /* one more, so that a longer file is seen as such */
	ssize_t n = pread(fd, data, sizeof(data), 0);

	if (n < 0)
		return -errno;
	return n ? bal_state_decode(state, now_ns, data, (size_t)n) : -ENODATA;
}
