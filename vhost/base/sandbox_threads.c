/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox_threads.c - see sandbox.h: the capabilities of threads that are there already, a
 * library's say. Layer L0; the caller's thread, before the system call filter, and the handler on
 * every other.
 */
#include "vhost/base/sandbox.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOKS       500 /* in all about a second */
#define LOOK_NS     2000000
#define DROP_SIGNAL SIGRTMAX

/* On each thread; capset(2) is of the calling thread. */
static void drop(int signal_number)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	int saved = errno;

	(void)signal_number;
	syscall(SYS_capset, &header, none);
	errno = saved;
}

/* has_capability - by its status: does thread @tid have one? Return: false when it is gone. */
static bool has_capability(const char *tid)
{
	char path[64], line[128];
	bool has = false;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", tid);
	status = fopen(path, "re");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status)) {
		if (!strncmp(line, "CapPrm:", 7) || !strncmp(line, "CapEff:", 7))
			has |= strtoull(line + 7, NULL, 16) != 0;
	}
	fclose(status);
	return has;
}

/* tell_others - signal every other thread that has a capability. Return: how many, or -errno. */
static int tell_others(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int told = 0;

	if (!tasks)
		return -errno;
	while ((entry = readdir(tasks))) {
		long tid = strtol(entry->d_name, NULL, 10);

		if (!isdigit((unsigned char)entry->d_name[0]) || tid == syscall(SYS_gettid) ||
		    !has_capability(entry->d_name))
			continue;
		syscall(SYS_tgkill, getpid(), (pid_t)tid, DROP_SIGNAL);
		told++;
	}
	closedir(tasks);
	return told;
}

int sandbox_drop_in_threads(void)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct sigaction action = {.sa_handler = drop, .sa_flags = SA_RESTART}, before;
	int told = -ETIMEDOUT;

	if (sigaction(DROP_SIGNAL, &action, &before) < 0)
		return -errno;
	/* A thread started meanwhile has what its parent had, so look until none has anything. */
	for (int i = 0; i < LOOKS; i++) {
		told = tell_others();
		if (told <= 0)
			break;
		nanosleep(&pause, NULL);
	}
	if (told)
		before.sa_handler = SIG_IGN; /* who has blocked it shall not die of it later */
	sigaction(DROP_SIGNAL, &before, NULL);
	return told > 0 ? -ETIMEDOUT : told;
}
