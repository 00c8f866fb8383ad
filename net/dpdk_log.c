/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dpdk_log.c - see dpdk_log.h: a stdio stream whose writer cuts lines and hands them on.
 * Layer L5. The writer runs on whichever thread logs, under the stream's lock, which guards all
 * that is here.
 */
#include "net/dpdk_log.h"

#include <ctype.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>

#include "vhost/base/log.h"

#define LINE_BYTES 400

static struct {
	FILE *stream;
	FILE *stdout_before, *stderr_before; /* while caught */
	char line[LINE_BYTES];
	size_t used;
	bool noting;
	char reason[LINE_BYTES];
	struct log_limit limit;
} dpdk_log;

/* says_nothing - complaints of what is as it shall be: no signals for net_tap (eal.c), no flow
 * rules, no second process. */
static bool says_nothing(const char *line)
{
	static const char *const words[] = {
		"rt-signal",     "Rx trigger",       "multiq qdisc",
		"ingress qdisc", "rte flow support", "mp action callback",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

/* without_origin - "tun_alloc(): ", "EAL: ", "EAL: FATAL: " are for DPDK's developers. */
static const char *without_origin(const char *line)
{
	static const char *const origins[] = {"EAL: ", "FATAL: ", "ETHDEV: ", "VDEV: "};
	const char *call = strstr(line, "(): ");

	if (call && !memchr(line, ' ', (size_t)(call - line)))
		line = call + 4;
	for (unsigned i = 0; i < ARRAY_SIZE(origins); i++)
		if (!strncmp(line, origins[i], strlen(origins[i])))
			line += strlen(origins[i]);
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

static void take_line(const char *line, bool complaint)
{
	const char *text = without_origin(line);

	if (!*text)
		return;
	if (complaint && dpdk_log.noting && !dpdk_log.reason[0] && !says_nothing(line))
		snprintf(dpdk_log.reason, sizeof(dpdk_log.reason), "%s", text);
	if (complaint && !dpdk_log.noting && !says_nothing(line))
		log_warn_limited(&dpdk_log.limit, "dpdk", "%s", text);
	else
		log_debug("dpdk", "%s", line);
}

static ssize_t take(void *cookie, const char *text, size_t bytes)
{
	/* What is printed has the level of what was logged last, or 0 when that was nothing. */
	int worst = dpdk_log.noting ? (int)RTE_LOG_WARNING : (int)RTE_LOG_ERR;
	bool complaint = rte_log_cur_msg_loglevel() <= worst;

	(void)cookie;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != '\n') {
			if (dpdk_log.used < LINE_BYTES - 1)
				dpdk_log.line[dpdk_log.used++] = text[i];
			continue;
		}
		dpdk_log.line[dpdk_log.used] = '\0';
		dpdk_log.used = 0;
		take_line(dpdk_log.line, complaint);
	}
	return (ssize_t)bytes;
}

void net_dpdk_log_start(void)
{
	dpdk_log.stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take});
	if (!dpdk_log.stream || rte_openlog_stream(dpdk_log.stream) < 0)
		fatal("out of memory");
}

void net_dpdk_log_catch_stdio(bool on)
{
	fflush(stdout);
	fflush(stderr);
	if (on) {
		dpdk_log.stdout_before = stdout;
		dpdk_log.stderr_before = stderr;
		stdout = stderr = dpdk_log.stream;
		return;
	}
	stdout = dpdk_log.stdout_before;
	stderr = dpdk_log.stderr_before;
	dpdk_log.stdout_before = dpdk_log.stderr_before = NULL;
}

void net_dpdk_reason_begin(void)
{
	flockfile(dpdk_log.stream);
	dpdk_log.reason[0] = '\0';
	dpdk_log.noting = true;
	funlockfile(dpdk_log.stream);
}

const char *net_dpdk_reason_end(void)
{
	flockfile(dpdk_log.stream);
	dpdk_log.noting = false;
	funlockfile(dpdk_log.stream);
	return dpdk_log.reason;
}
