/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rpc.c - the control socket: JSON-RPC 2.0 as its specification words it, and clients that
 * are slow, broken or hostile. The server runs on a loop in a thread, as in a daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/support.h"
#include "vhost/control/dispatch.h"
#include "vhost/control/rpc.h"
#include "vhost/wire/unix.h"

static int calls; /* of the test methods; dispatch tests only, which have one thread */

static int call_echo(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)error;
	calls++;
	*result = json_deep_copy(params);
	return 0;
}

static int call_fail(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)params;
	*result = json_true(); /* must not be sent beside an error */
	return rpc_fail(error, RPC_FAILED, "the %s is on fire", "printer");
}

static int call_typed(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *name;
	int verbose = 0;
	json_int_t size;

	(void)ctx;
	if (rpc_unpack(params, error, "{s:s, s:I, s?b}", "name", &name, "size", &size, "verbose",
		       &verbose))
		return RPC_INVALID_PARAMS;
	*result = json_sprintf("%s %lld %d", name, (long long)size, verbose);
	return 0;
}

static int call_nothing(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)params, (void)result, (void)error;
	return 0;
}

/* A result of "bytes" bytes. */
static int call_big(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	json_int_t bytes;
	char *text;

	(void)ctx;
	if (rpc_unpack(params, error, "{s:I}", "bytes", &bytes))
		return RPC_INVALID_PARAMS;
	text = malloc((size_t)bytes);
	memset(text, 'x', (size_t)bytes);
	*result = json_stringn(text, (size_t)bytes);
	free(text);
	return 0;
}

/* What came along: -1, or its size, which tells one file from another. */
static int call_take(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);

static const struct rpc_method methods[] = {
	{"take", "", "take what came along, twice", call_take},
	{"echo", "any=thing", "give the parameters back", call_echo},
	{"fail", "", "fail", call_fail},
	{"typed", "name=TEXT size=N [verbose=BOOL]", "check types", call_typed},
	{"nothing", "", "no result", call_nothing},
	{"big", "bytes=N", "a long result", call_big},
};

/* ---- dispatch: one text in, one text out ---- */

static const struct rpc_table table = {methods, ARRAY_SIZE(methods), NULL};

/* The answer to @text as a string, "" for none; valid until the next call. */
static const char *answer_bytes(const char *text, size_t bytes)
{
	static struct rpc_output out;

	rpc_output_free(&out);
	ck_assert_int_eq(rpc_answer(&table, text, bytes, &out), 0);
	if (!out.end)
		return "";
	ck_assert_int_eq(out.data[out.end - 1], '\n');
	out.data[out.end - 1] = '\0';
	ck_assert_ptr_null(strchr(out.data, '\n'));
	return out.data;
}

static const char *answer(const char *text)
{
	return answer_bytes(text, strlen(text));
}

/* Check that @text is answered with error @code and, as JSON, @id. */
static void expect_error(const char *text, int code, const char *id)
{
	json_t *response = json_loads(answer(text), 0, NULL);
	json_t *want = json_loads(id, JSON_DECODE_ANY, NULL);
	json_t *error = json_object_get(response, "error");

	ck_assert_msg(json_is_object(response), "no answer to %s", text);
	ck_assert_str_eq(json_string_value(json_object_get(response, "jsonrpc")), "2.0");
	ck_assert_int_eq(json_integer_value(json_object_get(error, "code")), code);
	ck_assert_uint_gt(json_string_length(json_object_get(error, "message")), 0);
	ck_assert_msg(json_equal(json_object_get(response, "id"), want), "id in answer to %s",
		      text);
	ck_assert_ptr_null(json_object_get(response, "result"));
	json_decref(want);
	json_decref(response);
}

/* How many responses the batch @text gets. */
static size_t count_answers(const char *text)
{
	json_t *responses = json_loads(answer(text), 0, NULL);
	size_t n = json_array_size(responses);

	json_decref(responses);
	return n;
}

#define REQUEST(method_params) "{\"jsonrpc\":\"2.0\",\"id\":1," method_params "}"
#define RESULT(result)         "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":" result "}"

START_TEST(a_call_gets_its_result_and_id)
{
	ck_assert_str_eq(answer(REQUEST("\"method\":\"echo\",\"params\":{\"a\":[1,\"b\"]}")),
			 RESULT("{\"a\":[1,\"b\"]}"));
	ck_assert_str_eq(answer("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"echo\"}"),
			 "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}");
	ck_assert_str_eq(answer("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"nothing\"}"),
			 "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":null}");
	ck_assert_str_eq(answer(REQUEST("\"method\":\"echo\",\"params\":[]")), RESULT("{}"));
}
END_TEST

START_TEST(a_notification_is_carried_out_in_silence)
{
	calls = 0;
	ck_assert_str_eq(answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}"), "");
	ck_assert_int_eq(calls, 1);
	ck_assert_str_eq(answer("{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}"), "");
	ck_assert_str_eq(answer("{\"jsonrpc\":\"2.0\",\"method\":\"no such\"}"), "");
}
END_TEST

START_TEST(what_is_no_json_is_a_parse_error)
{
	static const char *const texts[] = {
		"{",
		"nonsense",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1}}",
		"[1,",
		"{\"id\":1,\"id\":2}",
		"\xff\xfe",
		"{\"a\":\"\xff\"}",
		"{\"a\":1e999}",
		"{\"a\":99999999999999999999}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		expect_error(texts[i], RPC_PARSE_ERROR, "null");
	ck_assert_ptr_nonnull(strstr(answer_bytes("{}\0{}", 5), "-32700"));
}
END_TEST

START_TEST(json_that_is_no_request_is_an_invalid_request)
{
	expect_error("1", RPC_INVALID_REQUEST, "null");
	expect_error("\"text\"", RPC_INVALID_REQUEST, "null");
	expect_error("null", RPC_INVALID_REQUEST, "null");
	expect_error("{}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"id\":7,\"method\":\"echo\"}", RPC_INVALID_REQUEST, "7");
	expect_error("{\"jsonrpc\":2.0,\"id\":7,\"method\":\"echo\"}", RPC_INVALID_REQUEST, "7");
	expect_error("{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"echo\"}", RPC_INVALID_REQUEST,
		     "7");
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", RPC_INVALID_REQUEST, "7");
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":7}", RPC_INVALID_REQUEST, "7");
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":[7],\"method\":\"echo\"}", RPC_INVALID_REQUEST,
		     "null");
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"echo\"}", RPC_INVALID_REQUEST,
		     "null");
	expect_error("[]", RPC_INVALID_REQUEST, "null");
}
END_TEST

START_TEST(an_unknown_method_is_not_found)
{
	expect_error(REQUEST("\"method\":\"ech\""), RPC_METHOD_NOT_FOUND, "1");
	expect_error(REQUEST("\"method\":\"\""), RPC_METHOD_NOT_FOUND, "1");
	/* Cut in the middle of a character, the name is still answered in valid JSON. */
	expect_error(REQUEST("\"method\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			     "xxxxxxxxx\xc3\xa9\xc3\xa9\xc3\xa9\""),
		     RPC_METHOD_NOT_FOUND, "1");
}
END_TEST

START_TEST(params_are_checked)
{
	ck_assert_str_eq(
		answer(REQUEST("\"method\":\"typed\",\"params\":{\"name\":\"n\",\"size\":3}")),
		RESULT("\"n 3 0\""));
	expect_error(REQUEST("\"method\":\"typed\""), RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"typed\",\"params\":{\"name\":1,\"size\":3}"),
		     RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"typed\",\"params\":{\"name\":\"n\",\"size\":3,\"x\":1}"),
		     RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"typed\",\"params\":[\"n\",3]"), RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"echo\",\"params\":7"), RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"echo\",\"params\":null"), RPC_INVALID_PARAMS, "1");
	expect_error(REQUEST("\"method\":\"version\",\"params\":{\"x\":1}"), RPC_INVALID_PARAMS,
		     "1");
}
END_TEST

START_TEST(a_handlers_error_is_passed_on)
{
	expect_error(REQUEST("\"method\":\"fail\""), RPC_FAILED, "1");
	ck_assert_ptr_nonnull(strstr(answer(REQUEST("\"method\":\"fail\"")), "printer is on fire"));
}
END_TEST

START_TEST(a_batch_is_answered_in_one_array)
{
	ck_assert_str_eq(answer("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"},"
				"{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"},"
				"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"nothing\"}]"),
			 "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null},"
			 "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":null}]");
	ck_assert_str_eq(answer("[{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}]"), "");
	/* The specification's own example: what is no request is answered one by one. */
	ck_assert_uint_eq(count_answers("[1,2,3]"), 3);
}
END_TEST

START_TEST(a_batch_has_a_limit)
{
	char text[4 * (RPC_MAX_BATCH + 1) + 3] = "[";

	for (int i = 0; i < RPC_MAX_BATCH; i++)
		strcat(text, i ? ",1" : "1");
	strcat(text, "]");
	ck_assert_uint_eq(count_answers(text), RPC_MAX_BATCH);
	strcpy(text + strlen(text) - 1, ",1]");
	expect_error(text, RPC_INVALID_REQUEST, "null");
}
END_TEST

START_TEST(the_built_in_methods_answer)
{
	const char *text = answer(REQUEST("\"method\":\"methods\""));

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		ck_assert_ptr_nonnull(strstr(text, methods[i].help));
	ck_assert_ptr_nonnull(strstr(text, "\"name\":\"version\""));
	ck_assert_str_eq(answer(REQUEST("\"method\":\"version\"")),
			 RESULT("{\"version\":\"" RINGSIDE_VERSION "\"}"));
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
	static char text[RPC_MAX_REQUEST_BYTES];

	memset(text, '[', sizeof(text));
	ck_assert_ptr_nonnull(strstr(answer_bytes(text, sizeof(text)), "-32700"));
	for (size_t i = 0; i + 5 <= sizeof(text); i += 5)
		memcpy(text + i, "{\"\":[", 5);
	ck_assert_ptr_nonnull(strstr(answer_bytes(text, sizeof(text)), "-32700"));
}
END_TEST

START_TEST(an_answer_over_the_limit_is_an_error)
{
	struct rpc_output out = {0};
	char text[128];

	snprintf(text, sizeof(text), REQUEST("\"method\":\"big\",\"params\":{\"bytes\":%u}"),
		 RPC_MAX_OUTPUT_BYTES - 100);
	ck_assert_int_eq(rpc_answer(&table, text, strlen(text), &out), 0);
	rpc_output_free(&out);
	snprintf(text, sizeof(text), REQUEST("\"method\":\"big\",\"params\":{\"bytes\":%u}"),
		 RPC_MAX_OUTPUT_BYTES);
	ck_assert_int_eq(rpc_answer(&table, text, strlen(text), &out), -EMSGSIZE);
	rpc_output_free(&out);
}
END_TEST

/* ---- the server ---- */

static struct loop *loop;
static struct rpc_server *server;
static pthread_t thread;
static char dir[] = "/tmp/test_rpc.XXXXXX";
static char path[64];

static int call_take(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	int fd = rpc_take_fd(server), second = rpc_take_fd(server);
	struct stat file = {.st_size = -1};

	(void)ctx, (void)params, (void)error;
	if (fd >= 0) {
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(fstat(fd, &file), 0);
		close(fd);
	}
	*result = json_sprintf("%d %d", (int)file.st_size, second);
	return 0;
}

static void *run_loop(void *arg)
{
	(void)arg;
	ck_assert_int_eq(loop_run(loop), 0);
	return NULL;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ctl", dir);
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(rpc_server_create(&server, loop, path, methods, ARRAY_SIZE(methods), NULL),
			 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, NULL), 0);
}

static void quit(struct mail *mail)
{
	(void)mail;
	loop_quit(loop);
}

static void stop_loop(void)
{
	struct mail mail;

	loop_post(loop, &mail, quit);
	pthread_join(thread, NULL);
}

static void teardown(void)
{
	stop_loop();
	rpc_server_destroy(server);
	loop_destroy(loop);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static int dial(void)
{
	struct timeval timeout = {.tv_sec = 5};
	int sock = unix_connect(path);

	ck_assert_int_ge(sock, 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return sock;
}

static void put(int sock, const char *text)
{
	ck_assert_int_eq(send(sock, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Read up to a newline, which is left out. Return: the text, or NULL at the end of the stream;
 * valid until the next call. */
static const char *get(int sock)
{
	static char line[4096];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(sock, line + n, 1, 0);

		if (got < 0 && errno == ECONNRESET)
			return NULL;
		ck_assert_msg(got >= 0, "no answer: %s", strerror(errno));
		if (got == 0)
			return NULL;
		if (line[n] == '\n')
			break;
		ck_assert_uint_lt(++n, sizeof(line));
	}
	line[n] = '\0';
	return line;
}

#define NOTHING REQUEST("\"method\":\"nothing\"")
#define BIG(n)  REQUEST("\"method\":\"big\",\"params\":{\"bytes\":" #n "}")

static void expect_service(int sock)
{
	put(sock, NOTHING "\n");
	ck_assert_str_eq(get(sock), RESULT("null"));
}

/* The server closes what a client left behind a moment after the client's close(). */
static void expect_fds(unsigned want)
{
	for (int tries = 0; open_fds() != want && tries < 500; tries++)
		usleep(10000);
	ck_assert_uint_eq(open_fds(), want);
}

START_TEST(requests_are_lines_however_they_arrive)
{
	int sock = dial();

	put(sock, NOTHING "\n\n  \r\n" NOTHING "\n" NOTHING);
	ck_assert_str_eq(get(sock), RESULT("null"));
	ck_assert_str_eq(get(sock), RESULT("null"));
	put(sock, "\n");
	ck_assert_str_eq(get(sock), RESULT("null"));
	for (const char *p = NOTHING "\n"; *p; p++)
		ck_assert_int_eq(send(sock, p, 1, 0), 1);
	ck_assert_str_eq(get(sock), RESULT("null"));
	close(sock);
}
END_TEST

START_TEST(many_requests_in_one_write_are_all_answered)
{
	static char text[500 * sizeof(NOTHING) + 1];
	int sock = dial();

	for (int i = 0; i < 500; i++)
		strcpy(text + (size_t)i * sizeof(NOTHING), NOTHING "\n");
	put(sock, text);
	shutdown(sock, SHUT_WR);
	for (int i = 0; i < 500; i++)
		ck_assert_str_eq(get(sock), RESULT("null"));
	ck_assert_ptr_null(get(sock));
	close(sock);
}
END_TEST

START_TEST(the_end_of_the_stream_ends_the_last_line)
{
	int sock = dial();

	put(sock, NOTHING);
	shutdown(sock, SHUT_WR);
	ck_assert_str_eq(get(sock), RESULT("null"));
	ck_assert_ptr_null(get(sock));
	close(sock);
}
END_TEST

START_TEST(a_broken_line_does_not_end_the_connection)
{
	int sock = dial();

	put(sock, "{{{\n");
	ck_assert_ptr_nonnull(strstr(get(sock), "-32700"));
	expect_service(sock);
	close(sock);
}
END_TEST

START_TEST(the_socket_is_the_owners_only)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(the_socket_goes_with_the_server)
{
	stop_loop();
	rpc_server_destroy(server);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(rpc_server_create(&server, loop, path, methods, ARRAY_SIZE(methods), NULL),
			 0);
	/* Somebody else's file at the same path stays. */
	ck_assert_int_eq(unlink(path), 0);
	close(creat(path, 0600));
	rpc_server_destroy(server);
	ck_assert_int_eq(access(path, F_OK), 0);
	server = NULL;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, NULL), 0);
}
END_TEST

START_TEST(a_path_in_use_is_refused)
{
	struct rpc_server *second;

	stop_loop();
	ck_assert_int_eq(rpc_server_create(&second, loop, path, NULL, 0, NULL), -EADDRINUSE);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, NULL), 0);
	expect_service(dial());
}
END_TEST

START_TEST(a_request_over_the_limit_is_refused)
{
	static char text[RPC_MAX_REQUEST_BYTES + 2];
	int sock = dial();

	/* At the limit: blanks around a request. */
	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, NOTHING, strlen(NOTHING));
	text[RPC_MAX_REQUEST_BYTES] = '\n';
	put(sock, text);
	ck_assert_str_eq(get(sock), RESULT("null"));
	/* One byte more, and the newline does not fit. */
	text[RPC_MAX_REQUEST_BYTES] = ' ';
	put(sock, text);
	ck_assert_ptr_nonnull(strstr(get(sock), "-32600"));
	ck_assert_ptr_null(get(sock));
	close(sock);
}
END_TEST

START_TEST(one_client_too_many_is_told_so)
{
	int socks[RPC_MAX_CLIENTS], extra;

	for (int i = 0; i < RPC_MAX_CLIENTS; i++) {
		socks[i] = dial();
		expect_service(socks[i]);
	}
	extra = dial();
	ck_assert_ptr_nonnull(strstr(get(extra), "-32001"));
	ck_assert_ptr_null(get(extra));
	close(extra);
	expect_service(socks[0]);
	close(socks[0]);
	/* The place is free as soon as the server has seen the end of the old connection. */
	for (int tries = 0; tries < 500; tries++) {
		extra = dial();
		put(extra, NOTHING "\n");
		if (!strstr(get(extra), "-32001"))
			return;
		close(extra);
		usleep(10000);
	}
	ck_abort_msg("the place of a client that left was not given to another");
}
END_TEST

START_TEST(a_client_that_does_not_read_is_not_read_from)
{
	int slow = dial(), other = dial();
	struct pollfd writable = {.fd = slow, .events = POLLOUT};
	size_t sent = 0;

	/* Each request asks for 1 MiB; the server must stop taking them once one is stuck. */
	while (poll(&writable, 1, 200) == 1) {
		ssize_t n = send(slow, BIG(1000000) "\n", strlen(BIG(1000000)) + 1, MSG_DONTWAIT);

		if (n < 0)
			ck_assert_int_eq(errno, EAGAIN);
		else
			sent += (size_t)n;
		ck_assert_uint_lt(sent, 16u << 20);
	}
	expect_service(other);
	close(slow);
	expect_service(other);
	close(other);
}
END_TEST

START_TEST(a_slow_reader_gets_everything)
{
	static char buffer[4096];
	int sock = dial();
	size_t total = 0;

	put(sock, BIG(3000000) "\n" BIG(3000000) "\n");
	shutdown(sock, SHUT_WR);
	for (;;) {
		ssize_t n = recv(sock, buffer, sizeof(buffer), 0);

		ck_assert_int_ge(n, 0);
		if (n == 0)
			break;
		total += (size_t)n;
	}
	ck_assert_uint_eq(total, 2 * (3000000 + strlen(RESULT("\"\"")) + 1));
	close(sock);
}
END_TEST

START_TEST(an_answer_that_is_too_long_ends_its_client_only)
{
	int greedy = dial(), other = dial();

	put(greedy, BIG(5000000) "\n");
	ck_assert_ptr_null(get(greedy));
	expect_service(other);
	close(greedy);
	close(other);
}
END_TEST

START_TEST(clients_that_leave_at_any_point_leave_nothing_behind)
{
	static const char text[] = NOTHING "\n" BIG(1000000) "\n" NOTHING "\n";
	int keep = dial();
	unsigned before;

	expect_service(keep);
	before = open_fds();
	for (size_t n = 0; n < sizeof(text); n++) {
		int sock = dial();

		ck_assert_int_eq(send(sock, text, n, MSG_NOSIGNAL), (ssize_t)n);
		close(sock);
	}
	expect_fds(before);
	expect_service(keep);
	close(keep);
}
END_TEST

START_TEST(passed_fds_are_not_kept)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)NOTHING "\n", sizeof(NOTHING)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int sock = dial();
	unsigned before;

	expect_service(sock);
	before = open_fds();
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &sock, sizeof(int));
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(sendmsg(sock, &msg, 0), (ssize_t)sizeof(NOTHING));
		ck_assert_str_eq(get(sock), RESULT("null"));
	}
	expect_fds(before);
	close(sock);
}
END_TEST

#define TAKE REQUEST("\"method\":\"take\"")
#define MANY 8

/* put_with - @text and files of @first, @first + 1, ... bytes. */
static void put_with(int sock, const char *text, unsigned num, unsigned first)
{
	char control[CMSG_SPACE(MANY * sizeof(int))] = {0};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(num * sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int fds[MANY];

	for (unsigned i = 0; i < num; i++)
		fds[i] = test_memfd(first + i);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(num * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, num * sizeof(int));
	ck_assert_int_eq(sendmsg(sock, &msg, MSG_NOSIGNAL), (ssize_t)strlen(text));
	for (unsigned i = 0; i < num; i++)
		close(fds[i]);
}

START_TEST(an_fd_goes_to_the_request_it_came_with)
{
	int sock = dial();
	unsigned before;

	expect_service(sock);
	before = open_fds();
	put(sock, TAKE "\n");
	ck_assert_str_eq(get(sock), RESULT("\"-1 -1\""));
	put_with(sock, TAKE "\n", 1, 7);
	ck_assert_str_eq(get(sock), RESULT("\"7 -1\""));
	put(sock, TAKE "\n"); /* and to no other */
	ck_assert_str_eq(get(sock), RESULT("\"-1 -1\""));
	put_with(sock, NOTHING "\n" TAKE "\n", 1, 7);
	ck_assert_str_eq(get(sock), RESULT("null"));
	ck_assert_str_eq(get(sock), RESULT("\"-1 -1\""));
	put_with(sock, "{", 1, 7); /* before the rest of it */
	put(sock, &(TAKE "\n")[1]);
	ck_assert_str_eq(get(sock), RESULT("\"7 -1\""));
	expect_fds(before);
	close(sock);
}
END_TEST

START_TEST(more_fds_than_one_are_closed)
{
	int sock = dial(), other;
	unsigned before;

	expect_service(sock);
	before = open_fds();
	for (unsigned i = 0; i < 20; i++) {
		put_with(sock, TAKE "\n", MANY, 1);
		get(sock);
		put_with(sock, NOTHING, 1, 1);
		put_with(sock, "\n", 1, 2); /* takes the place of the first */
		get(sock);
	}
	other = dial();
	put_with(other, "{", 1, 1); /* and leaves before it has said what for */
	close(other);
	expect_fds(before);
	expect_service(sock);
	close(sock);
}
END_TEST

START_TEST(running_out_of_fds_is_survived)
{
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval timeout = {.tv_sec = 5};
	struct rlimit limit, none;
	struct timespec cpu;
	clockid_t clock;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	ck_assert_int_eq(connect(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	usleep(300000);
	/* The connection still waits, and the loop does not spin on it. */
	ck_assert_int_eq(pthread_getcpuclockid(thread, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &cpu), 0);
	ck_assert_msg(cpu.tv_sec == 0 && cpu.tv_nsec < 100000000, "the loop spins");
	setrlimit(RLIMIT_NOFILE, &limit);
	expect_service(sock);
	close(sock);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc");
	TCase *protocol = tcase_create("dispatch"), *sockets = tcase_create("server");

	tcase_add_test(protocol, a_call_gets_its_result_and_id);
	tcase_add_test(protocol, a_notification_is_carried_out_in_silence);
	tcase_add_test(protocol, what_is_no_json_is_a_parse_error);
	tcase_add_test(protocol, json_that_is_no_request_is_an_invalid_request);
	tcase_add_test(protocol, an_unknown_method_is_not_found);
	tcase_add_test(protocol, params_are_checked);
	tcase_add_test(protocol, a_handlers_error_is_passed_on);
	tcase_add_test(protocol, a_batch_is_answered_in_one_array);
	tcase_add_test(protocol, a_batch_has_a_limit);
	tcase_add_test(protocol, the_built_in_methods_answer);
	tcase_add_test(protocol, deep_nesting_is_refused);
	tcase_add_test(protocol, an_answer_over_the_limit_is_an_error);
	suite_add_tcase(suite, protocol);

	tcase_add_checked_fixture(sockets, setup, teardown);
	tcase_set_timeout(sockets, 20);
	tcase_add_test(sockets, requests_are_lines_however_they_arrive);
	tcase_add_test(sockets, many_requests_in_one_write_are_all_answered);
	tcase_add_test(sockets, the_end_of_the_stream_ends_the_last_line);
	tcase_add_test(sockets, a_broken_line_does_not_end_the_connection);
	tcase_add_test(sockets, the_socket_is_the_owners_only);
	tcase_add_test(sockets, the_socket_goes_with_the_server);
	tcase_add_test(sockets, a_path_in_use_is_refused);
	tcase_add_test(sockets, a_request_over_the_limit_is_refused);
	tcase_add_test(sockets, one_client_too_many_is_told_so);
	tcase_add_test(sockets, a_client_that_does_not_read_is_not_read_from);
	tcase_add_test(sockets, a_slow_reader_gets_everything);
	tcase_add_test(sockets, an_answer_that_is_too_long_ends_its_client_only);
	tcase_add_test(sockets, clients_that_leave_at_any_point_leave_nothing_behind);
	tcase_add_test(sockets, passed_fds_are_not_kept);
	tcase_add_test(sockets, an_fd_goes_to_the_request_it_came_with);
	tcase_add_test(sockets, more_fds_than_one_are_closed);
	tcase_add_test(sockets, running_out_of_fds_is_survived);
	suite_add_tcase(suite, sockets);

	return run_suite(suite);
}
