/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_endpoint.c - a path is taken only where nobody listens, and given back only while it is
 * ours; connections come one at a time from a listener, a passed fd, or by connecting out.
 * Tests wire/endpoint and wire/unix.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/endpoint.h"

static struct loop *loop;
static struct endpoint ep, other;
static struct loop_timer quit_timer;
static char dir[64], path[108];
static int handed[8];
static unsigned num_handed;
static unsigned exhausted;
static unsigned fds_before;

static void quit_now(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_for(uint64_t ms)
{
	loop_timer_set(loop, &quit_timer, ms, quit_now);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void on_connect(struct endpoint *from, int sock)
{
	(void)from;
	ck_assert_uint_lt(num_handed, ARRAY_SIZE(handed));
	handed[num_handed++] = sock;
}

static void on_exhausted(struct endpoint *from)
{
	(void)from;
	exhausted++;
}

static void setup(void)
{
	strcpy(dir, "/tmp/ringside-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	memset(&ep, 0, sizeof(ep));
	memset(&other, 0, sizeof(other));
	ep.fd = other.fd = -1;
	ep.on_connect = other.on_connect = on_connect;
	ep.on_exhausted = on_exhausted;
	num_handed = exhausted = 0;
	fds_before = open_fds();
	ck_assert_int_eq(loop_create(&loop), 0);
}

/* entries - files in our directory: a left-over temporary name would show. */
static unsigned entries(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)))
		count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(d);
	return count;
}

static void teardown(void)
{
	for (unsigned i = 0; i < num_handed; i++)
		close_fd(&handed[i]);
	endpoint_close(&ep);
	endpoint_close(&other);
	endpoint_close(&other); /* harmless */
	loop_destroy(loop);
	ck_assert_uint_eq(open_fds(), fds_before);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing was left behind */
}

static int client(void)
{
	int sock = unix_connect(path);

	ck_assert_int_ge(sock, 0);
	return sock;
}

/* bound_socket - a socket file at @path of @type, listening or not. */
static int bound_socket(int type, bool listening)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (listening)
		ck_assert_int_eq(listen(sock, 0), 0);
	return sock;
}

static ino_t inode(void)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st.st_ino;
}

START_TEST(listen_creates_the_socket_and_close_removes_it)
{
	struct stat st;

	umask(077);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0660), 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660); /* umask or not */
	ck_assert_uint_eq(entries(), 1);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 0);
}
END_TEST

START_TEST(connections_come_one_at_a_time)
{
	int a, b;

	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	a = client(); /* before the start: waits in the backlog */
	b = client();
	run_for(10);
	ck_assert_uint_eq(num_handed, 0);
	endpoint_start(&ep);
	run_for(20);
	ck_assert_uint_eq(num_handed, 1);
	ck_assert(fcntl(handed[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fcntl(handed[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(a, "a", 1), 1);
	ck_assert_int_eq(write(b, "b", 1), 1);
	endpoint_resume(&ep);
	endpoint_resume(&ep); /* harmless */
	run_for(20);
	ck_assert_uint_eq(num_handed, 2);
	for (unsigned i = 0; i < 2; i++) {
		char c;

		ck_assert_int_eq(read(handed[i], &c, 1), 1);
		ck_assert_int_eq(c, "ab"[i]);
	}
	close_fd(&a);
	close_fd(&b);
}
END_TEST

static void resume_at_once(struct endpoint *from, int sock)
{
	close_fd(&sock);
	num_handed++;
	endpoint_resume(from);
}

static void close_at_once(struct endpoint *from, int sock)
{
	close_fd(&sock);
	num_handed++;
	endpoint_close(from);
}

START_TEST(the_callback_may_resume)
{
	int a, b;

	ep.on_connect = resume_at_once;
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	endpoint_start(&ep);
	a = client();
	b = client();
	run_for(20);
	ck_assert_uint_eq(num_handed, 2);
	num_handed = 0;
	close_fd(&a);
	close_fd(&b);
}
END_TEST

START_TEST(the_callback_may_close)
{
	int a, b;

	ep.on_connect = close_at_once;
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	endpoint_start(&ep);
	a = client();
	b = client();
	run_for(20);
	ck_assert_uint_eq(num_handed, 1);
	ck_assert_uint_eq(entries(), 0);
	num_handed = 0;
	close_fd(&a);
	close_fd(&b);
}
END_TEST

START_TEST(a_dead_socket_is_taken_over)
{
	int dead = bound_socket(SOCK_STREAM, true), sock;
	ino_t ino = inode();

	close_fd(&dead);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	ck_assert_uint_ne(inode(), ino);
	ck_assert_uint_eq(entries(), 1);
	sock = client();
	close_fd(&sock);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 0);
}
END_TEST

START_TEST(a_live_listener_is_left_alone)
{
	ino_t ino;
	int sock;

	ck_assert_int_eq(endpoint_listen(&other, loop, path, 0600), 0);
	ino = inode();
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -EADDRINUSE);
	ck_assert_uint_eq(inode(), ino);
	ck_assert_uint_eq(entries(), 1);
	ck_assert(!ep.watch.active);
	sock = client();
	close_fd(&sock);
}
END_TEST

START_TEST(a_listener_with_a_full_backlog_is_left_alone)
{
	int busy = bound_socket(SOCK_STREAM, true), peers[2];

	/* A backlog of 0 takes one. */
	peers[0] = unix_connect_nonblock(path);
	ck_assert_int_ge(peers[0], 0);
	peers[1] = unix_connect_nonblock(path);
	ck_assert_int_eq(peers[1], -EAGAIN);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -EADDRINUSE);
	close_fd(&peers[0]);
	close_fd(&busy);
}
END_TEST

START_TEST(a_datagram_socket_is_left_alone)
{
	int sock = bound_socket(SOCK_DGRAM, false);

	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -EADDRINUSE);
	close_fd(&sock);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	char target[128];
	int fd;

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "data", 4), 4);
	close_fd(&fd);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -ENOTSOCK);
	ck_assert_uint_eq(entries(), 1);
	ck_assert_int_eq(unlink(path), 0);

	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -ENOTSOCK);
	ck_assert_int_eq(rmdir(path), 0);

	/* A link, even one that dangles, is the operator's. */
	snprintf(target, sizeof(target), "%s/elsewhere", dir);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), -ENOTSOCK);
	ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(paths_that_cannot_be_are_refused)
{
	char longest[108], too_long[128];

	ck_assert_int_eq(endpoint_listen(&ep, loop, "", 0600), -EINVAL);
	ck_assert_int_eq(endpoint_listen(&ep, loop, "/tmp/", 0600), -EINVAL);
	ck_assert_int_eq(endpoint_listen(&ep, loop, "/nowhere/at/all", 0600), -ENOENT);
	ck_assert_int_eq(endpoint_listen(&ep, loop, "/dev/null/s", 0600), -ENOTDIR);
	memset(too_long, 'x', sizeof(too_long));
	memcpy(too_long, "/tmp/", 5);
	too_long[108] = '\0';
	ck_assert_int_eq(endpoint_listen(&ep, loop, too_long, 0600), -ENAMETOOLONG);
	ck_assert_int_eq(endpoint_connect(&ep, loop, too_long), -ENAMETOOLONG);
	ck_assert_int_eq(endpoint_connect(&ep, loop, ""), -EINVAL);
	ck_assert_int_eq(unix_connect(too_long), -ENAMETOOLONG);

	/* The longest that fits an address, though a temporary name beside it would not. */
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, dir, strlen(dir));
	longest[strlen(dir)] = '/';
	longest[107] = '\0';
	strcpy(path, longest);
	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0640), 0);
	ck_assert_uint_eq(entries(), 1);
	ck_assert_int_eq(endpoint_listen(&other, loop, path, 0600), -EADDRINUSE);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 0);
}
END_TEST

START_TEST(a_relative_path_works)
{
	int sock;

	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(endpoint_listen(&ep, loop, "s", 0600), 0);
	sock = client();
	close_fd(&sock);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_socket_file_that_is_no_longer_ours_is_not_removed)
{
	int theirs;

	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	/* The old inode stays in use, so that its number cannot come again. */
	char kept[128];

	snprintf(kept, sizeof(kept), "%s/kept", dir);
	ck_assert_int_eq(rename(path, kept), 0);
	theirs = bound_socket(SOCK_STREAM, true);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 2);
	ck_assert_int_eq(unlink(kept), 0);
	close_fd(&theirs);
}
END_TEST

/* The pipes of a race: the children read from go and over until their writers are closed. */
struct race {
	int go[2];
	int decided[2];
	int over[2];
};

/* contend - in a child: try for the path, hold it until all have tried, report by exit status. */
static void contend(struct race *race)
{
	struct endpoint mine = {.fd = -1, .on_connect = on_connect};
	struct loop *own;
	char c = 0;
	int ret;

	close(race->go[1]);
	close(race->over[1]);
	if (loop_create(&own) < 0 || read(race->go[0], &c, 1) < 0)
		_exit(3);
	ret = endpoint_listen(&mine, own, path, 0600);
	if (write(race->decided[1], &c, 1) < 0 || read(race->over[0], &c, 1) < 0)
		_exit(3);
	if (ret == -EADDRINUSE)
		_exit(1);
	if (ret < 0)
		_exit(2);
	/* Still ours and still listening: nobody has taken it over. */
	_exit(mine.ino == inode() && unix_connect(path) >= 0 ? 0 : 4);
}

/* run_race - Return: how many of @contenders got the path. */
static unsigned run_race(unsigned contenders)
{
	struct race race;
	unsigned winners = 0;

	ck_assert_int_eq(pipe(race.go), 0);
	ck_assert_int_eq(pipe(race.decided), 0);
	ck_assert_int_eq(pipe(race.over), 0);
	for (unsigned i = 0; i < contenders; i++) {
		if (fork() == 0)
			contend(&race);
	}
	close(race.go[0]);
	close(race.go[1]);
	for (unsigned i = 0; i < contenders; i++) {
		char c;

		ck_assert_int_eq(read(race.decided[0], &c, 1), 1);
	}
	close(race.decided[0]);
	close(race.decided[1]);
	close(race.over[0]);
	close(race.over[1]);
	for (unsigned i = 0; i < contenders; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert(WIFEXITED(status));
		ck_assert_int_le(WEXITSTATUS(status), 1);
		winners += WEXITSTATUS(status) == 0;
	}
	return winners;
}

/* _i = 0: no file is there at first; 1: a dead socket. */
START_TEST(of_many_that_start_at_once_one_gets_the_path)
{
	for (unsigned round = 0; round < 200; round++) {
		if (_i) {
			int dead = bound_socket(SOCK_STREAM, true);

			close_fd(&dead);
		}
		ck_assert_uint_eq(run_race(8), 1);
		ck_assert_uint_eq(entries(), 1);
		ck_assert_int_eq(unlink(path), 0);
	}
}
END_TEST

START_TEST(a_passed_connection_is_served_once)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(endpoint_fd(&ep, loop, pair[0]), 0);
	ck_assert_int_eq(ep.kind, ENDPOINT_ACCEPTED_FD);
	run_for(10);
	ck_assert_uint_eq(num_handed, 0);
	endpoint_start(&ep);
	ck_assert_uint_eq(num_handed, 0); /* not from within the call */
	run_for(10);
	ck_assert_uint_eq(num_handed, 1);
	ck_assert(fcntl(handed[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fcntl(handed[0], F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(exhausted, 0);
	endpoint_resume(&ep);
	ck_assert_uint_eq(exhausted, 0);
	run_for(10);
	ck_assert_uint_eq(exhausted, 1);
	ck_assert_uint_eq(num_handed, 1);
	endpoint_close(&ep);
	ck_assert_int_ge(fcntl(handed[0], F_GETFD), 0); /* the callee's, not the endpoint's */
	close_fd(&pair[1]);
}
END_TEST

START_TEST(a_passed_connection_never_started_is_closed)
{
	int pair[2];
	char c;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(endpoint_fd(&ep, loop, pair[0]), 0);
	endpoint_start(&ep);
	endpoint_close(&ep);
	run_for(10);
	ck_assert_uint_eq(num_handed, 0);
	ck_assert_int_eq(read(pair[1], &c, 1), 0);
	close_fd(&pair[1]);
}
END_TEST

START_TEST(a_passed_listener_is_served_and_its_file_kept)
{
	int listener = bound_socket(SOCK_STREAM, true), a;

	ck_assert_int_eq(endpoint_fd(&ep, loop, listener), 0);
	ck_assert_int_eq(ep.kind, ENDPOINT_LISTEN);
	endpoint_start(&ep);
	a = client();
	run_for(20);
	ck_assert_uint_eq(num_handed, 1);
	endpoint_resume(&ep);
	close_fd(&a);
	a = client();
	run_for(20);
	ck_assert_uint_eq(num_handed, 2);
	close_fd(&a);
	endpoint_close(&ep);
	ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(passed_fds_of_another_kind_are_refused)
{
	int file = test_memfd(1), datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(endpoint_fd(&ep, loop, -1), -EBADF);
	ck_assert_int_eq(endpoint_fd(&ep, loop, file), -ENOTSOCK);
	ck_assert_int_eq(endpoint_fd(&ep, loop, datagram), -EPROTOTYPE);
	ck_assert_int_eq(endpoint_fd(&ep, loop, inet), -EPROTOTYPE);
	close_fd(&file);
	close_fd(&datagram);
	close_fd(&inet);
}
END_TEST

START_TEST(a_client_waits_for_its_peer_and_comes_back)
{
	int listener, peer;

	ck_assert_int_eq(endpoint_connect(&ep, loop, path), 0);
	endpoint_start(&ep);
	run_for(50);
	ck_assert_uint_eq(num_handed, 0);
	listener = bound_socket(SOCK_STREAM, true);
	run_for(400); /* tries at 0, 100, 300 ms */
	ck_assert_uint_eq(num_handed, 1);
	ck_assert(fcntl(handed[0], F_GETFL) & O_NONBLOCK);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(peer, 0);
	close_fd(&peer);
	endpoint_resume(&ep);
	ck_assert_uint_eq(num_handed, 1);
	run_for(600);
	ck_assert_uint_eq(num_handed, 2);
	close_fd(&listener);
}
END_TEST

START_TEST(the_pause_between_tries_grows_to_its_limit)
{
	ck_assert_int_eq(endpoint_connect(&ep, loop, path), 0);
	ck_assert_uint_eq(ep.backoff_ms, 100);
	endpoint_start(&ep);
	run_for(10);
	ck_assert_uint_eq(ep.backoff_ms, 200);
	run_for(120);
	ck_assert_uint_eq(ep.backoff_ms, 400);
	ep.backoff_ms = 4000;
	loop_timer_set(loop, &ep.retry, 0, ep.retry.fn);
	run_for(10);
	ck_assert_uint_eq(ep.backoff_ms, 5000);
	loop_timer_set(loop, &ep.retry, 0, ep.retry.fn);
	run_for(10);
	ck_assert_uint_eq(ep.backoff_ms, 5000);
	ck_assert_uint_gt(ep.retry.due_ns, clock_ns() + 4000000000ull);
}
END_TEST

START_TEST(a_connection_that_held_starts_the_pause_anew)
{
	int listener = bound_socket(SOCK_STREAM, true), peer;

	ck_assert_int_eq(endpoint_connect(&ep, loop, path), 0);
	ep.backoff_ms = 5000;
	endpoint_start(&ep);
	run_for(10);
	ck_assert_uint_eq(num_handed, 1);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close_fd(&peer);
	ep.connected_ns -= 6000000000ull; /* as if it had lasted six seconds */
	endpoint_resume(&ep);
	run_for(150);
	ck_assert_uint_eq(num_handed, 2);
	close_fd(&listener);
}
END_TEST

START_TEST(out_of_fds_the_peer_waits_and_the_daemon_does_not_spin)
{
	struct rlimit limit, none;
	clock_t cpu;
	int a;

	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	endpoint_start(&ep);
	a = client();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cpu = clock();
	run_for(300);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(ep.watch.events, 0); /* paused */
	ck_assert_uint_eq(num_handed, 0);
	ck_assert_int_lt(clock() - cpu, CLOCKS_PER_SEC / 10);
	run_for(1000);
	ck_assert_uint_eq(num_handed, 1);
	close_fd(&a);
}
END_TEST

START_TEST(a_file_that_the_broker_does_not_take_is_removed_here)
{
	struct broker *broker;

	ck_assert_int_eq(endpoint_listen(&ep, loop, path, 0600), 0);
	ck_assert_int_eq(broker_start(&broker), 0);
	ck_assert_int_eq(broker_seal(broker), 0);
	ck_assert_int_eq(endpoint_use_broker(&ep, broker), -EPERM);
	endpoint_close(&ep);
	broker_stop(broker);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endpoint");
	TCase *tc = tcase_create("endpoint");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, listen_creates_the_socket_and_close_removes_it);
	tcase_add_test(tc, connections_come_one_at_a_time);
	tcase_add_test(tc, the_callback_may_resume);
	tcase_add_test(tc, the_callback_may_close);
	tcase_add_test(tc, a_dead_socket_is_taken_over);
	tcase_add_test(tc, a_live_listener_is_left_alone);
	tcase_add_test(tc, a_listener_with_a_full_backlog_is_left_alone);
	tcase_add_test(tc, a_datagram_socket_is_left_alone);
	tcase_add_test(tc, what_is_no_socket_is_left_alone);
	tcase_add_test(tc, paths_that_cannot_be_are_refused);
	tcase_add_test(tc, a_relative_path_works);
	tcase_add_test(tc, a_socket_file_that_is_no_longer_ours_is_not_removed);
	tcase_add_loop_test(tc, of_many_that_start_at_once_one_gets_the_path, 0, 2);
	tcase_add_test(tc, a_passed_connection_is_served_once);
	tcase_add_test(tc, a_passed_connection_never_started_is_closed);
	tcase_add_test(tc, a_passed_listener_is_served_and_its_file_kept);
	tcase_add_test(tc, passed_fds_of_another_kind_are_refused);
	tcase_add_test(tc, a_client_waits_for_its_peer_and_comes_back);
	tcase_add_test(tc, the_pause_between_tries_grows_to_its_limit);
	tcase_add_test(tc, a_connection_that_held_starts_the_pause_anew);
	tcase_add_test(tc, out_of_fds_the_peer_waits_and_the_daemon_does_not_spin);
	tcase_add_test(tc, a_file_that_the_broker_does_not_take_is_removed_here);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
