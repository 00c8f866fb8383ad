/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ringsidectl.c - what the operator sees: the layout of results, and the program itself
 * (path in the environment as RINGSIDECTL) against a server, with its messages and exit status.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"
#include "vhost/control/rpc.h"
#include "vhost/control/show.h"
#include "vhost/wire/unix.h"

/* ---- layout ---- */

static void expect_layout(const char *json, const char *want)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	char *got = NULL;
	size_t bytes;
	FILE *out = open_memstream(&got, &bytes);

	ck_assert_ptr_nonnull(value);
	show_value(out, value);
	fclose(out);
	ck_assert_str_eq(got, want);
	free(got);
	json_decref(value);
}

START_TEST(scalars_are_lines)
{
	expect_layout("7", "7\n");
	expect_layout("\"text\"", "text\n");
	expect_layout("null", "-\n");
	expect_layout("{}", "{}\n");
	expect_layout("[]", "[]\n");
	expect_layout("[1,2]", "[1,2]\n");
}
END_TEST

START_TEST(members_are_aligned_and_nested)
{
	expect_layout("{\"a\":1,\"long\":\"x\",\"in\":{\"b\":true},\"none\":[]}", "a     1\n"
										  "long  x\n"
										  "in:\n"
										  "  b  true\n"
										  "none  []\n");
}
END_TEST

START_TEST(a_list_of_objects_is_a_table)
{
	expect_layout("{\"queues\":[{\"name\":\"q0\",\"ops\":{\"read\":12345}},"
		      "{\"name\":\"queue1\",\"ops\":{\"read\":7,\"write\":1}}]}",
		      "queues:\n"
		      "  name    ops.read  ops.write\n"
		      "  q0         12345          -\n"
		      "  queue1         7          1\n");
}
END_TEST

START_TEST(a_wide_table_is_turned)
{
	char json[2048] = "[{", want[4096] = "";

	for (int i = 0; i < 20; i++) {
		sprintf(json + strlen(json), "%s\"counter%02d\":%d", i ? "," : "", i, i);
		sprintf(want + strlen(want), "counter%02d  %2d\n", i, i);
	}
	strcat(json, "}]");
	expect_layout(json, want);
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
	expect_layout("\"\\u001b[2J\\u009b\"", "?[2J??\n");
	expect_layout("{\"\\u0007\":\"\\n\"}", "?  ?\n");
	expect_layout("[{\"\\u0007\":\"\\n\"}]", "?\n?\n");
}
END_TEST

START_TEST(a_text_keeps_its_lines)
{
	expect_layout("\"a 1\\nb\\u001b 2\\n\"", "a 1\nb? 2\n");
	expect_layout("\"a\\n\\nb\"", "a\n\nb\n");
	expect_layout("\"\\n\"", "\n");
}
END_TEST

/* ---- the program ---- */

static struct loop *loop;
static struct rpc_server *server;
static pthread_t thread;
static char dir[] = "/tmp/test_ringsidectl.XXXXXX";
static char path[64];

static int call_echo(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)error;
	*result = json_deep_copy(params);
	return 0;
}

static int call_fail(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)result;
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	return rpc_fail(error, RPC_FAILED, "no\033[2J");
}

static int call_hang(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx, (void)params, (void)result, (void)error;
	sleep(3);
	return 0;
}

/* What came along, and whether it is taken: not with refuse=. */
static int call_take(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct stat file = {0};
	int fd = rpc_take_fd(server), listening = 0;
	socklen_t bytes = sizeof(listening);

	(void)ctx;
	if (fd >= 0)
		fstat(fd, &file);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes);
	*result = json_string(fd < 0                  ? "nothing"
			      : S_ISREG(file.st_mode) ? "file"
			      : listening             ? "listening socket"
						      : "something else");
	close_fd(&fd);
	return json_object_get(params, "refuse") ? rpc_fail(error, RPC_FAILED, "no") : 0;
}

static const struct rpc_method methods[] = {
	{"capture.start", "file=FILE", "take a file", call_take},
	{"port.add", "port=KEY=VALUE,...", "take a socket", call_take},
	{"echo", "any=thing", "give the parameters back", call_echo},
	{"fail", "", "fail", call_fail},
	{"hang", "", "answer late", call_hang},
};

static void *run_loop(void *arg)
{
	(void)arg;
	loop_run(loop);
	return NULL;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(getenv("RINGSIDECTL"));
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

static void teardown(void)
{
	struct mail mail;

	loop_post(loop, &mail, quit);
	pthread_join(thread, NULL);
	rpc_server_destroy(server);
	loop_destroy(loop);
	ck_assert_int_eq(rmdir(dir), 0);
}

/*
 * Run "ringsidectl @args", where every '@' stands for the socket; stdout and stderr come back
 * together in @output. Return: its exit status.
 */
static int run(const char *args, char output[4096])
{
	char command[1024] = "exec 2>&1; \"$RINGSIDECTL\" ";
	size_t n;
	FILE *pipe;
	int status;

	for (n = strlen(command); *args; args++) {
		if (*args == '@')
			n += (size_t)sprintf(command + n, "%s", path);
		else
			command[n++] = *args;
	}
	command[n] = '\0';
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(output, 1, 4095, pipe);
	output[n] = '\0';
	status = pclose(pipe);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect(const char *args, int status, const char *words)
{
	char output[4096];
	int got = run(args, output);

	ck_assert_msg(got == status, "%s: exit status %d: %s", args, got, output);
	ck_assert_msg(strstr(output, words), "%s: no '%s' in: %s", args, words, output);
}

START_TEST(values_are_json_where_they_parse)
{
	expect("--json @ echo n=7 t=true s='\"7\"' w=word size=20G list=[1]", 0,
	       "{\n  \"n\": 7,\n  \"t\": true,\n  \"s\": \"7\",\n  \"w\": \"word\",\n"
	       "  \"size\": \"20G\",\n  \"list\": [\n    1\n  ]\n}\n");
	expect("@ echo a=1 bcd=x", 0, "a    1\nbcd  x\n");
	expect("@ methods", 0, "give the parameters back\n");
}
END_TEST

START_TEST(errors_say_what_to_type_next)
{
	expect("@ fail", 1, "ringsidectl: no?[2J\n");
	expect("@ fail a=1", 1, "methods");
	expect("@ unknown", 1, "methods");
	expect("@.missing stats", 1, "--control-path=");
	expect("/dev/null stats", 1, "/dev/null");
	expect("--timeout=1 @ hang", 1, "within 1 s");
}
END_TEST

/* expect_file - is there a file beside the socket called @path with @suffix behind it? */
static void expect_file(const char *suffix, bool there)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	ck_assert_msg((access(name, F_OK) == 0) == there, "%s", name);
	unlink(name);
}

START_TEST(what_a_daemon_cannot_open_goes_along)
{
	expect("@ capture.start file=@.file", 0, "file");
	expect_file(".file", true);
	expect("@ port.add port=name=x,socket=@.sock", 0, "listening socket");
	expect_file(".sock", true);
	expect("@ port.add port=name=x,socket=@.so,,ck,queues=2", 0, "listening socket");
	expect_file(".so,ck", true);
	expect("@ port.add port=name=x,socket=@.sock refuse=1", 1, "no");
	expect_file(".sock", false);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const none[] = {"socket=@.sock,client",
						   "socket=@.sock,client=on",
						   "dpdk=net_null0,socket=@.sock",
						   "socket=@.sock,dpdk=net_null0"};
		char args[128];

		snprintf(args, sizeof(args), "@ port.add port=name=x,%s", none[i]);
		expect(args, 0, "nothing");
		expect_file(".sock", false);
	}
	expect("@ echo file=@.file port=socket=@.sock", 0, "");
	expect_file(".file", false);
	expect("@ capture.start file=/nonexistent/x", 1, "file=/nonexistent/x: No such");
	expect("@ port.add port=name=x,socket=/nonexistent/x", 1, "socket=/nonexistent/x: ");
	expect("@.missing capture.start file=@.file", 1, "--control-path=");
	expect_file(".file", false); /* who is not there is given nothing */
}
END_TEST

START_TEST(wrong_usage_is_status_2)
{
	expect("", 2, "--help");
	expect("@", 2, "methods");
	expect("@ echo word", 2, "'word'");
	expect("@ echo =1", 2, "KEY=VALUE");
	expect("@ echo a=1 a=2", 2, "twice");
	expect("--timeout=0 @ echo", 2, "--timeout=0");
	expect("--nonsense @ echo", 2, "--help");
	expect("@ echo $(printf 'a=\\377')", 2, "UTF-8");
}
END_TEST

START_TEST(help_and_version_are_answers)
{
	expect("--help", 0, "Usage: ringsidectl");
	expect("--version", 0, RINGSIDE_VERSION);
}
END_TEST

START_TEST(a_peer_that_speaks_something_else_is_named)
{
	char other[80], output[4096];
	struct stat file;
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t child;

	snprintf(other, sizeof(other), "%s.other", path);
	ck_assert_int_eq(unix_listen(sock, other, 0600, &file), 0);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 2; i++) {
			int peer = accept(sock, NULL, NULL);

			if (i == 0 && write(peer, "220 hello\n", 10) != 10)
				_exit(1);
			close(peer);
		}
		_exit(0);
	}
	ck_assert_int_eq(run("@.other stats", output), 1);
	ck_assert_ptr_nonnull(strstr(output, "JSON-RPC"));
	ck_assert_int_eq(run("@.other stats", output), 1);
	ck_assert_ptr_nonnull(strstr(output, "ringsidectl: "));
	waitpid(child, NULL, 0);
	close(sock);
	unlink(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ringsidectl");
	TCase *layout = tcase_create("layout"), *program = tcase_create("program");

	tcase_add_test(layout, scalars_are_lines);
	tcase_add_test(layout, members_are_aligned_and_nested);
	tcase_add_test(layout, a_list_of_objects_is_a_table);
	tcase_add_test(layout, a_wide_table_is_turned);
	tcase_add_test(layout, control_characters_do_not_reach_the_terminal);
	tcase_add_test(layout, a_text_keeps_its_lines);
	suite_add_tcase(suite, layout);

	tcase_add_checked_fixture(program, setup, teardown);
	tcase_set_timeout(program, 30);
	tcase_add_test(program, values_are_json_where_they_parse);
	tcase_add_test(program, errors_say_what_to_type_next);
	tcase_add_test(program, what_a_daemon_cannot_open_goes_along);
	tcase_add_test(program, wrong_usage_is_status_2);
	tcase_add_test(program, help_and_version_are_answers);
	tcase_add_test(program, a_peer_that_speaks_something_else_is_named);
	suite_add_tcase(suite, program);

	return run_suite(suite);
}
