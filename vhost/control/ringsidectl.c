/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ringsidectl.c - call one method of a running daemon over its control socket.
 * Layer L1, a program of its own: one thread, blocking, bounded by a timeout.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/control/pass.h"
#include "vhost/control/rpc.h"
#include "vhost/control/show.h"
#include "vhost/wire/unix.h"

#define MAX_TIMEOUT_S (24 * 3600)

static const char help_text[] =
	"Usage: ringsidectl [OPTION]... SOCKET METHOD [KEY=VALUE]...\n"
	"Call METHOD of the daemon whose --control-path is SOCKET and print its result.\n"
	"A VALUE is taken as JSON where it is JSON (7, true, \"7\"), else as a string.\n"
	"\n"
	"  --json             print the result as JSON, for programs\n"
	"  --timeout=SECONDS  give up after this long without an answer (default 10)\n"
	"  --version          print the version and exit\n"
	"  --help             print this and exit\n"
	"\n"
	"Examples:\n"
	"  ringsidectl /run/disk.ctl methods     what this daemon can be asked\n"
	"  ringsidectl /run/disk.ctl stats       counters and latencies\n"
	"  ringsidectl --json /run/disk.ctl stats | jq .\n"
	"\n"
	"Exit status: 0 done, 1 the daemon refused or could not be reached, 2 wrong usage.\n";

struct options {
	const char *socket_path;
	const char *method;
	bool json;
	uint64_t timeout_s;
};

/* The KEY=VALUE arguments as an object. Ends the program on a wrong one. */
static json_t *parse_params(char **args, int count)
{
	json_t *params = json_object();

	for (int i = 0; i < count; i++) {
		char *equals = strchr(args[i], '=');
		json_t *value;

		if (!equals || equals == args[i])
			usage_error("argument '%s' is not of the form KEY=VALUE", args[i]);
		*equals = '\0';
		if (json_object_get(params, args[i]))
			usage_error("parameter '%s' is given twice", args[i]);
		value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
		if (!value)
			value = json_string(equals + 1);
		if (!value || json_object_set_new(params, args[i], value))
			usage_error("parameter '%s' is not valid UTF-8", args[i]);
	}
	return params;
}

/* Print the reason why the daemon cannot be reached and what to try, and exit 1. */
static _Noreturn void fail_connect(const char *path, int err)
{
	switch (err) {
	case ENOENT:
		fatal("cannot connect to %s: no such file; is a daemon running with "
		      "--control-path=%s?",
		      path, path);
	case ECONNREFUSED:
		fatal("cannot connect to %s: nobody listens there; start the daemon again with "
		      "--control-path=%s",
		      path, path);
	case EACCES:
		fatal("cannot connect to %s: permission denied; run this as the daemon's user or "
		      "as root",
		      path);
	case ENOTSOCK:
		fatal("cannot connect to %s: it is not a socket; give the daemon's --control-path",
		      path);
	case EPROTOTYPE:
		fatal("cannot connect to %s: another kind of socket; give the daemon's "
		      "--control-path",
		      path);
	default:
		fatal("cannot connect to %s: %s", path, strerror(err));
	}
}

static int connect_to(const struct options *opt)
{
	struct timeval timeout = {.tv_sec = (time_t)opt->timeout_s};
	int sock = unix_connect(opt->socket_path);

	if (sock < 0)
		fail_connect(opt->socket_path, -sock);
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		fatal("cannot set a timeout: %s", strerror(errno));
	return sock;
}

static _Noreturn void fail_transfer(const struct options *opt)
{
	if (errno == EAGAIN)
		fatal("no answer from %s within %llu s; the daemon may be busy, see --timeout",
		      opt->socket_path, (unsigned long long)opt->timeout_s);
	fatal("lost the connection to %s: %s", opt->socket_path, strerror(errno));
}

/* send_some - with @fd, unless it is -1. Return: as send(2). */
static ssize_t send_some(int sock, const char *text, size_t bytes, int fd)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = bytes};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL);
}

static void send_request(const struct options *opt, int sock, const char *text, int fd)
{
	size_t bytes = strlen(text), sent = 0;

	while (sent < bytes) {
		ssize_t n = send_some(sock, text + sent, bytes - sent, sent ? -1 : fd);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EPIPE || errno == ECONNRESET)
			return; /* a daemon that refuses says why before it closes: read that */
		else if (errno != EINTR)
			fail_transfer(opt);
	}
}

/* Read one line. Return: its length in bytes; *@line is the caller's to free. */
static size_t receive_line(const struct options *opt, int sock, char **line)
{
	size_t used = 0, allocated = 64 * 1024;

	*line = malloc(allocated);
	while (*line) {
		ssize_t n = recv(sock, *line + used, allocated - used, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail_transfer(opt);
		if (n == 0)
			fatal("%s closed the connection without an answer; is it the "
			      "--control-path of a daemon?",
			      opt->socket_path);
		used += (size_t)n;
		if ((*line)[used - 1] == '\n')
			return used;
		if (used > RPC_MAX_OUTPUT_BYTES)
			fatal("the answer from %s is too long", opt->socket_path);
		if (used == allocated)
			*line = realloc(*line, allocated *= 2);
	}
	fatal("out of memory");
}

/* Send the request, return the response. Exits where there is none that makes sense. */
static json_t *call(const struct options *opt, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method",
				    opt->method, "params", params);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	struct ctl_pass pass;
	json_t *response;
	int sock;
	char *line;
	size_t bytes;

	if (!text)
		usage_error("method '%s' is not valid UTF-8", opt->method);
	if (strlen(text) > RPC_MAX_REQUEST_BYTES)
		usage_error("the parameters are longer than %u bytes", RPC_MAX_REQUEST_BYTES);
	sock = connect_to(opt);
	ctl_pass_open(&pass, opt->method, params);
	send_request(opt, sock, text, pass.fd);
	send_request(opt, sock, "\n", -1);
	bytes = receive_line(opt, sock, &line);
	response = json_loadb(line, bytes, 0, NULL);
	if (!json_is_object(response))
		fatal("%s did not answer with JSON-RPC; is it the --control-path of a daemon?",
		      opt->socket_path);
	ctl_pass_close(&pass, !json_object_get(response, "error"));
	free(line);
	free(text);
	json_decref(request);
	close_fd(&sock);
	return response;
}

/* Print the error of @response and what to type next. */
static void show_error(const struct options *opt, const json_t *error)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	fputs("ringsidectl: ", stderr);
	show_text(stderr, message ? message : "an error without a message");
	fputc('\n', stderr);
	if (code == RPC_METHOD_NOT_FOUND || code == RPC_INVALID_PARAMS)
		fprintf(stderr, "try: ringsidectl %s methods\n", opt->socket_path);
}

static void parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longopts[] = {
		{"json", no_argument, NULL, 'j'},
		{"timeout", required_argument, NULL, 't'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (c) {
		case 'j':
			opt->json = true;
			break;
		case 't':
			if (parse_uint(optarg, 1, MAX_TIMEOUT_S, &opt->timeout_s))
				usage_error("--timeout=%s: a number of seconds from 1 to %d is "
					    "allowed",
					    optarg, MAX_TIMEOUT_S);
			break;
		case 'v':
			puts("ringsidectl " RINGSIDE_VERSION);
			exit(0);
		case 'h':
			fputs(help_text, stdout);
			exit(0);
		default:
			fputs("try 'ringsidectl --help'\n", stderr);
			exit(2);
		}
	}
	if (optind >= argc)
		usage_error("the daemon's control socket is missing");
	if (optind + 1 >= argc)
		usage_error("a method is missing; 'ringsidectl %s methods' lists them",
			    argv[optind]);
	opt->socket_path = argv[optind];
	opt->method = argv[optind + 1];
}

int main(int argc, char **argv)
{
	struct options opt = {.timeout_s = 10};
	json_t *params, *response, *error, *result;
	int status = 0;

	log_init("ringsidectl");
	parse_options(argc, argv, &opt);
	params = parse_params(argv + optind + 2, argc - optind - 2);
	response = call(&opt, params);
	error = json_object_get(response, "error");
	result = json_object_get(response, "result");
	if (error) {
		show_error(&opt, error);
		status = 1;
	} else if (!result) {
		fatal("%s answered with neither a result nor an error", opt.socket_path);
	} else if (opt.json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else {
		show_value(stdout, result);
	}
	json_decref(response);
	if (fflush(stdout) || ferror(stdout))
		fatal("cannot write the result: %s", strerror(errno));
	return status;
}
