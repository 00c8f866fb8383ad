/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_broker.c - the broker connects to the peers it was told of and to nothing else, removes the
 * socket files that are still ours when the daemon is gone, and leaves others' alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/unix.h"

static char dir[64], path[100], second[100];
static struct broker *broker;

static void setup(void)
{
	strcpy(dir, "/tmp/ringside-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(second, sizeof(second), "%s/t", dir);
	ck_assert_int_eq(broker_start(&broker), 0);
}

static void teardown(void)
{
	unlink(path);
	unlink(second);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else is left in it */
}

static int listen_at(const char *at, struct stat *file)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(sock, 0);
	ck_assert_int_eq(unix_listen(sock, at, 0600, file), 0);
	return sock;
}

static bool exists(const char *at)
{
	struct stat st;

	return lstat(at, &st) == 0;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

START_TEST(connects_to_its_peers)
{
	struct stat file;
	int listener = listen_at(path, &file), number, sock;
	unsigned fds;

	ck_assert_int_eq(broker_add_peer(broker, second), 0);
	number = broker_add_peer(broker, path);
	ck_assert_int_eq(number, 1);
	ck_assert_int_eq(broker_seal(broker), 0);
	fds = open_fds();
	for (unsigned i = 0; i < 50; i++) {
		int peer;

		sock = broker_connect(broker, number);
		ck_assert_int_ge(sock, 0);
		ck_assert_int_ne(fcntl(sock, F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_ne(fcntl(sock, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert(readable(listener, 5000));
		peer = accept(listener, NULL, NULL);
		close(sock);
		/* The broker keeps no copy of it: the peer sees its end. */
		ck_assert(readable(peer, 5000));
		close(peer);
	}
	ck_assert_int_eq(broker_connect(broker, 0), -ENOENT);
	close(listener);
	ck_assert_int_eq(broker_connect(broker, number), -ECONNREFUSED);
	ck_assert_uint_eq(open_fds(), fds - 1);
	broker_stop(broker);
	ck_assert(exists(path)); /* the peer's own */
}
END_TEST

START_TEST(numbers_that_name_no_peer_are_refused)
{
	struct stat file;
	int listener = listen_at(path, &file);

	ck_assert_int_eq(broker_remove_at_end(broker, path, &file), 0);
	ck_assert_int_eq(broker_seal(broker), 0);
	ck_assert_int_eq(broker_connect(broker, 0), -EINVAL);
	ck_assert_int_eq(broker_connect(broker, 1), -EINVAL);
	ck_assert_int_eq(broker_connect(broker, -1), -EINVAL);
	ck_assert_int_eq(broker_connect(broker, INT32_MAX), -EINVAL);
	broker_stop(broker);
	close(listener);
}
END_TEST

START_TEST(ours_are_removed_at_the_end)
{
	struct stat file[2];
	int listeners[2] = {listen_at(path, &file[0]), listen_at(second, &file[1])};

	ck_assert_int_eq(broker_remove_at_end(broker, path, &file[0]), 0);
	ck_assert_int_eq(broker_remove_at_end(broker, second, &file[1]), 0);
	ck_assert_int_eq(broker_seal(broker), 0);
	close(listeners[0]);
	close(listeners[1]);
	ck_assert(exists(path));
	broker_stop(broker);
	ck_assert(!exists(path));
	ck_assert(!exists(second));
}
END_TEST

START_TEST(others_at_our_path_stay)
{
	struct stat file;
	int ours = listen_at(path, &file), theirs;

	ck_assert_int_eq(broker_remove_at_end(broker, path, &file), 0);
	ck_assert_int_eq(broker_seal(broker), 0);
	close(ours);
	/* Taken over, again and again: an inode number would come back at once, were ours free. */
	for (unsigned i = 0; i < 10; i++) {
		struct stat now;

		theirs = listen_at(path, &now);
		ck_assert_uint_ne(now.st_ino, file.st_ino);
		if (i < 9)
			close(theirs);
	}
	broker_stop(broker);
	ck_assert(exists(path));
	close(theirs);
}
END_TEST

/* A start that failed half-way. */
START_TEST(one_that_was_not_sealed_removes_them_too)
{
	struct stat file;
	int ours = listen_at(path, &file);

	ck_assert_int_eq(broker_remove_at_end(broker, path, &file), 0);
	close(ours);
	broker_stop(broker);
	ck_assert(!exists(path));
	broker_stop(NULL);
}
END_TEST

START_TEST(a_sealed_one_takes_no_paths)
{
	struct stat file;
	int ours = listen_at(path, &file);

	ck_assert_int_eq(broker_seal(broker), 0);
	ck_assert_int_eq(broker_add_peer(broker, path), -EPERM);
	ck_assert_int_eq(broker_remove_at_end(broker, path, &file), -EPERM);
	ck_assert_int_eq(broker_seal(broker), -EPERM);
	ck_assert_int_eq(broker_connect(broker, 0), -EINVAL);
	broker_stop(broker);
	ck_assert(exists(path));
	close(ours);
}
END_TEST

/* A daemon that dies as programs do: without a word. Its group gets the signals too. */
START_TEST(it_outlives_a_daemon_that_is_killed)
{
	struct stat file;
	int status;
	pid_t pid;

	broker_stop(broker);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		listen_at(path, &file);
		if (broker_start(&broker) || broker_remove_at_end(broker, path, &file) ||
		    broker_seal(broker))
			_exit(1);
		kill(-getpid(), SIGHUP);
		pause();
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	for (unsigned i = 0; i < 5000 && exists(path); i++)
		usleep(1000);
	ck_assert(!exists(path));
}
END_TEST

/* A daemon may be started with its first files closed: the socket pair has their numbers then. */
START_TEST(it_notices_the_end_of_one_without_standard_files)
{
	struct stat file;
	int status;
	pid_t pid;

	broker_stop(broker);
	pid = fork();
	if (!pid) {
		listen_at(path, &file);
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		if (broker_start(&broker) || broker_remove_at_end(broker, path, &file) ||
		    broker_seal(broker))
			_exit(1);
		broker_stop(broker);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(!exists(path));
}
END_TEST

static pid_t broker_pid(void)
{
	char children[64], line[32] = "";
	FILE *file;

	snprintf(children, sizeof(children), "/proc/self/task/%d/children", getpid());
	file = fopen(children, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	fclose(file);
	return atoi(line);
}

/* Answers that come late are not taken for others, and nothing they bring stays open. */
START_TEST(one_that_was_stopped_for_a_while_goes_on)
{
	struct stat file[2];
	int ours = listen_at(path, &file[0]), peer = listen_at(second, &file[1]), sock;
	unsigned fds;

	ck_assert_int_eq(broker_remove_at_end(broker, path, &file[0]), 0);
	ck_assert_int_eq(broker_add_peer(broker, second), 1);
	ck_assert_int_eq(broker_seal(broker), 0);
	fds = open_fds();
	ck_assert_int_eq(kill(broker_pid(), SIGSTOP), 0);
	ck_assert_int_eq(broker_connect(broker, 1), -ETIMEDOUT);
	ck_assert(exists(path)); /* we are still there */
	ck_assert_int_eq(kill(broker_pid(), SIGCONT), 0);
	ck_assert_int_eq(broker_connect(broker, 0), -EINVAL);
	ck_assert_uint_eq(open_fds(), fds);
	sock = broker_connect(broker, 1);
	ck_assert_int_ge(sock, 0);
	ck_assert(exists(path));
	close(sock);
	close(ours);
	close(peer);
	broker_stop(broker);
	ck_assert(!exists(path));
}
END_TEST

START_TEST(a_broker_that_is_gone_is_noticed)
{
	ck_assert_int_eq(broker_add_peer(broker, path), 0);
	ck_assert_int_eq(broker_seal(broker), 0);
	ck_assert_int_eq(kill(broker_pid(), SIGKILL), 0);
	ck_assert_int_eq(broker_connect(broker, 0), -EPIPE);
	ck_assert_int_eq(broker_connect(broker, 0), -EPIPE);
	broker_stop(broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("broker");
	TCase *tc = tcase_create("broker");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, connects_to_its_peers);
	tcase_add_test(tc, numbers_that_name_no_peer_are_refused);
	tcase_add_test(tc, ours_are_removed_at_the_end);
	tcase_add_test(tc, others_at_our_path_stay);
	tcase_add_test(tc, one_that_was_not_sealed_removes_them_too);
	tcase_add_test(tc, a_sealed_one_takes_no_paths);
	tcase_add_test(tc, it_outlives_a_daemon_that_is_killed);
	tcase_add_test(tc, it_notices_the_end_of_one_without_standard_files);
	tcase_add_test(tc, one_that_was_stopped_for_a_while_goes_on);
	tcase_add_test(tc, a_broker_that_is_gone_is_noticed);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
