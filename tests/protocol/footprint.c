/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * footprint.c - see footprint.h. Tests only.
 */
#include "tests/protocol/footprint.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 5000
#define REST_MS     20
#define REST_CPU_NS 1000000 /* 5 % of it: a thread that wakes up, and not one that spins */
#define HEAP_SLACK \
	(4u << 20) /* what an allocator keeps; stacks, and a test's arrays, once touched */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

static unsigned count_fds(pid_t pid)
{
	struct dirent *entry;
	unsigned count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	ck_assert_msg(dir, "%s: the process is gone", path);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

struct held held_by(pid_t pid)
{
	struct held now = {.fds = count_fds(pid)};
	unsigned long long kib;
	char line[512];
	FILE *file;

	/* A memory file has no name, so it counts as deleted; so does the queue of notifications
	 * that each thread has of its own. */
	file = open_proc(pid, "maps");
	ck_assert_msg(file, "process %d is gone", pid);
	while (fgets(line, sizeof(line), file))
		now.maps += strstr(line, "(deleted)") && !strstr(line, "/[aio]");
	fclose(file);
	file = open_proc(pid, "status");
	ck_assert_msg(file, "process %d is gone", pid);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
			now.heap_bytes = kib << 10;
	fclose(file);
	return now;
}

/* A sanitizer keeps what was freed; it looks for leaks itself at the end. */
static bool heap_grown(struct held before, struct held now)
{
	return !SANITIZED && now.heap_bytes > before.heap_bytes + HEAP_SLACK;
}

void held_back(pid_t pid, struct held before)
{
	struct held now;
	unsigned ms;

	for (ms = 0; ms < PATIENCE_MS; ms++) {
		now = held_by(pid);
		if (now.fds == before.fds && now.maps == before.maps && !heap_grown(before, now))
			return;
		usleep(1000);
	}
	ck_abort_msg("%u fds, expected %u; %u mappings, expected %u; %llu bytes, before %llu",
		     now.fds, before.fds, now.maps, before.maps, (unsigned long long)now.heap_bytes,
		     (unsigned long long)before.heap_bytes);
}

uint64_t cpu_ns(pid_t pid)
{
	char path[64], name[64];
	struct dirent *task;
	uint64_t sum = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	ck_assert_msg(tasks, "%s: the process is gone", path);
	while ((task = readdir(tasks))) {
		unsigned long long ns;
		FILE *file;

		if (task->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "task/%.20s/schedstat", task->d_name);
		file = open_proc(pid, name);
		if (!file)
			continue; /* it has ended */
		if (fscanf(file, "%llu", &ns) == 1)
			sum += ns;
		fclose(file);
	}
	closedir(tasks);
	return sum;
}

void comes_to_rest(pid_t pid)
{
	uint64_t spent = 0;
	unsigned ms;

	for (ms = 0; ms < PATIENCE_MS; ms += REST_MS) {
		uint64_t before = cpu_ns(pid);

		usleep(REST_MS * 1000);
		spent = cpu_ns(pid) - before;
		if (spent < REST_CPU_NS)
			return;
	}
	ck_abort_msg("still %llu us of CPU in %u ms", (unsigned long long)spent / 1000, REST_MS);
}

void canary_take(struct canary *canary, const void *base, size_t bytes)
{
	free(canary->copy);
	*canary = (struct canary){.base = base, .bytes = bytes, .copy = malloc(bytes)};
	ck_assert_ptr_nonnull(canary->copy);
	memcpy(canary->copy, base, bytes);
}

void canary_allow(struct canary *canary, const void *at, size_t bytes)
{
	size_t offset = (size_t)((const uint8_t *)at - canary->base);

	ck_assert_uint_lt(canary->num_allowed, CANARY_ALLOWED);
	ck_assert_uint_le(offset, canary->bytes);
	ck_assert_uint_le(bytes, canary->bytes - offset);
	canary->allowed[canary->num_allowed].at = offset;
	canary->allowed[canary->num_allowed].bytes = bytes;
	canary->num_allowed++;
}

void canary_lives(struct canary *canary)
{
	uint8_t *now = malloc(canary->bytes);
	size_t at = 0;
	unsigned i;

	/* What is allowed may change at this moment: all is looked at once. */
	ck_assert_ptr_nonnull(now);
	memcpy(now, canary->base, canary->bytes);
	for (i = 0; i < canary->num_allowed; i++)
		memcpy(now + canary->allowed[i].at, canary->copy + canary->allowed[i].at,
		       canary->allowed[i].bytes);
	if (memcmp(canary->copy, now, canary->bytes)) {
		while (canary->copy[at] == now[at])
			at++;
		ck_abort_msg("byte %zu of %zu was written to", at, canary->bytes);
	}
	free(now);
	free(canary->copy);
	canary->copy = NULL;
}
