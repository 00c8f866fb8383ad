/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_console.c - the serial port's other end: a terminal that is raw only while it should be
 * and put back whatever ends the program, keys, files, pipes and sockets, and that nothing waits.
 * Tests vmm/console* and vmm/terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/util.h"
#include "vhost/wire/unix.h"
#include "vmm/console.h"

/* The serial port: as much room as a test gives it. */
static struct {
	uint8_t got[16384];
	size_t got_bytes, room;
	unsigned tx_ready;
} port;

size_t serial_rx_room(const struct serial *serial)
{
	(void)serial;
	return port.room;
}

size_t serial_rx(struct serial *serial, const uint8_t *data, size_t bytes)
{
	size_t n = min_of(bytes, port.room);

	(void)serial;
	n = min_of(n, sizeof(port.got) - port.got_bytes);
	memcpy(port.got + port.got_bytes, data, n);
	port.got_bytes += n;
	port.room -= n;
	return n;
}

void serial_tx_ready(struct serial *serial)
{
	(void)serial;
	port.tx_ready++;
}

static struct loop *loop;
static struct console *console;
static unsigned quits, pauses;
static char dir[] = "/tmp/ringside-console-XXXXXX";
static char path[64];

static void on_key(void *ctx, enum console_key key)
{
	(void)ctx;
	quits += key == CONSOLE_QUIT;
	pauses += key == CONSOLE_PAUSE;
}

static int create(const char *target)
{
	struct console_options opt = {.target = target, .loop = loop, .on_key = on_key};
	char error[256] = "";
	int ret = console_create(&console, &opt, error, sizeof(error));

	ck_assert_int_eq(ret < 0, error[0] != '\0');
	return ret;
}

static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_ms(unsigned ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(loop, &timer, ms, stop);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_cancel(loop, &timer);
}

static void put_text(const char *text)
{
	while (*text)
		ck_assert(console_put(console, (uint8_t)*text++));
}

/* read_text - what comes from @fd until @bytes are there, with the loop going on. */
static void read_text(int fd, char *text, size_t bytes)
{
	size_t used = 0;

	for (unsigned tries = 0; used < bytes && tries < 2000; tries++) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		run_ms(1);
		if (poll(&pfd, 1, 0) <= 0)
			continue;
		n = read(fd, text + used, bytes - used);
		ck_assert_int_gt(n, 0);
		used += (size_t)n;
	}
	ck_assert_uint_eq(used, bytes);
}

static void expect_text(int fd, const char *expected)
{
	char text[512] = "";

	read_text(fd, text, strlen(expected));
	ck_assert_str_eq(text, expected);
}

static void expect_input(const char *expected)
{
	for (unsigned tries = 0; port.got_bytes < strlen(expected) && tries < 2000; tries++)
		run_ms(1);
	ck_assert_uint_eq(port.got_bytes, strlen(expected));
	ck_assert_mem_eq(port.got, expected, port.got_bytes);
	port.got_bytes = 0;
}

static void setup(void)
{
	log_init("test");
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(loop_create(&loop), 0);
	memset(&port, 0, sizeof(port));
	port.room = sizeof(port.got);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c", dir);
}

static void teardown(void)
{
	if (console)
		console_destroy(console);
	loop_destroy(loop);
	unlink(path);
	rmdir(dir);
}

/* --- no terminal --- */

START_TEST(nowhere)
{
	ck_assert_int_eq(create("none"), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (unsigned i = 0; i < 100000; i++)
		ck_assert(console_put(console, 'x'));
}
END_TEST

START_TEST(into_a_file)
{
	char target[64], text[32] = "";
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	snprintf(target, sizeof(target), "%s", path);
	ck_assert_int_eq(create(target), 0);
	ck_assert_int_eq(console_start(console), 0);
	put_text("guest");
	run_ms(20);
	put_text(" end"); /* which the end of the console writes */
	console_destroy(console);
	console = NULL;
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 16);
	ck_assert_str_eq(text, "before guest end");
	close(fd);
}
END_TEST

START_TEST(a_full_disk)
{
	ck_assert_int_eq(create("/dev/full"), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (unsigned i = 0; i < 200000; i++) {
		ck_assert(console_put(console, 'x'));
		if (i % 1000 == 0)
			run_ms(3);
	}
}
END_TEST

START_TEST(what_cannot_be_opened)
{
	char target[128];

	ck_assert_int_eq(create("/nowhere/file"), -ENOENT);
	ck_assert_int_eq(create("/tmp"), -EISDIR);
	ck_assert_int_eq(create("socket:/nowhere/socket"), -ENOENT);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(target, sizeof(target), "%s", path);
	ck_assert_int_eq(create(target), -ENXIO);
	snprintf(target, sizeof(target), "socket:%s", path);
	ck_assert_int_eq(create(target), -ENOTSOCK);
	console = NULL;
}
END_TEST

/* stdio_pipes - pipes for standard input and output. Return: our ends. */
static void stdio_pipes(int *to_in, int *from_out)
{
	int in[2], out[2];

	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	dup2(in[0], STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	close(in[0]);
	close(out[1]);
	*to_in = in[1];
	*from_out = out[0];
}

START_TEST(pipes)
{
	int to_in, from_out;

	stdio_pipes(&to_in, &from_out);
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert_int_eq(console_start(console), 0);
	put_text("hello");
	expect_text(from_out, "hello");
	ck_assert_int_eq(write(to_in, "in\1x", 4), 4); /* no keys: these are bytes */
	expect_input("in\1x");
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
	close(to_in); /* the end of input is not the end of output */
	run_ms(5);
	put_text("on");
	expect_text(from_out, "on");
	close(from_out);
	put_text("nobody reads this");
	run_ms(5);
	put_text("nor this");
	run_ms(5);
}
END_TEST

START_TEST(a_socket_for_standard_output)
{
	char text[20000];
	int pair[2];
	size_t sent = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	dup2(pair[0], STDOUT_FILENO);
	dup2(pair[0], STDIN_FILENO);
	close(pair[0]);
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (; sent < sizeof(text); sent++)
		ck_assert(console_put(console, (uint8_t)('a' + sent % 26)));
	read_text(pair[1], text, sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++)
		ck_assert_int_eq(text[i], 'a' + (int)(i % 26));
	close(pair[1]);
}
END_TEST

START_TEST(input_from_a_file)
{
	static char text[20001];
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	memset(text, 'i', sizeof(text) - 1);
	ck_assert_int_eq(write(fd, text, 12000), 12000);
	lseek(fd, 0, SEEK_SET);
	dup2(fd, STDIN_FILENO);
	close(fd);
	port.room = 16;
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (unsigned i = 0; i < 2000 && port.got_bytes < 12000; i++) {
		run_ms(1);
		port.room = 16;
	}
	ck_assert_uint_eq(port.got_bytes, 12000);
}
END_TEST

/* A reader that stands still stops the guest's output, not us; nothing of it is lost. */
START_TEST(a_reader_that_stands_still)
{
	int to_in, from_out;
	size_t taken = 0, read_back = 0;
	uint64_t begin_ns;

	stdio_pipes(&to_in, &from_out);
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (unsigned i = 0; i < 50; i++) {
		while (console_put(console, (uint8_t)(taken % 251)))
			taken++;
		run_ms(2);
	}
	ck_assert_uint_ge(taken, 2 * 64 * 1024); /* the pipe and our buffer */
	ck_assert_uint_lt(taken, 300000);
	ck_assert_uint_eq(port.tx_ready > 50, false);
	port.tx_ready = 0;
	while (read_back < taken) {
		uint8_t data[8192];
		size_t n = min_of(taken - read_back, sizeof(data));

		read_text(from_out, (char *)data, n);
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(data[i], (read_back + i) % 251);
		read_back += n;
	}
	ck_assert_uint_eq(port.tx_ready, 1); /* the guest is told that there is room */
	while (console_put(console, 'x'))
		run_ms(0);
	begin_ns = clock_ns();
	console_destroy(console); /* which does not wait for ever either */
	console = NULL;
	ck_assert_uint_lt(clock_ns() - begin_ns, 3000000000ull);
}
END_TEST

START_TEST(a_guest_without_room)
{
	int to_in, from_out;
	char text[9000];
	size_t sent = 0;

	stdio_pipes(&to_in, &from_out);
	ck_assert_int_eq(create("stdio"), 0);
	port.room = 3;
	ck_assert_int_eq(console_start(console), 0);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	while (sent < sizeof(text)) {
		ssize_t n = write(to_in, text + sent, sizeof(text) - sent);

		ck_assert_int_gt(n, 0);
		sent += (size_t)n;
		run_ms(1);
	}
	run_ms(50);
	ck_assert_uint_eq(port.got_bytes, 3);
	for (unsigned i = 0; i < 5000 && port.got_bytes < sizeof(text); i++) {
		port.room = 16;
		run_ms(1);
	}
	ck_assert_uint_eq(port.got_bytes, sizeof(text));
	ck_assert_mem_eq(port.got, text, sizeof(text));
}
END_TEST

START_TEST(clients_of_a_socket)
{
	char target[80], text[64 * 1024];
	int one, two;

	snprintf(target, sizeof(target), "socket:%s", path);
	ck_assert_int_eq(create(target), 0);
	ck_assert_int_eq(console_start(console), 0);
	for (unsigned i = 0; i < 100000; i++) /* nobody there: the guest does not wait */
		ck_assert(console_put(console, i < 100000 - 65536 ? 'o' : 'n'));
	one = unix_connect(path);
	two = unix_connect(path);
	ck_assert_int_ge(two, 0);
	read_text(one, text, sizeof(text)); /* the latest, all of it */
	ck_assert_ptr_null(memchr(text, 'o', sizeof(text)));
	ck_assert_int_eq(write(one, "1", 1), 1);
	expect_input("1");
	ck_assert_int_eq(write(two, "2", 1), 1);
	run_ms(20);
	ck_assert_uint_eq(port.got_bytes, 0); /* one at a time */
	close(one);
	expect_input("2");
	put_text("to two");
	expect_text(two, "to two");
	while (console_put(console, 'x')) /* it reads nothing more */
		run_ms(0);
	port.tx_ready = 0;
	close(two);
	run_ms(20);
	ck_assert_uint_eq(port.tx_ready, 1); /* the guest goes on */
	one = unix_connect(path);
	read_text(one, text, sizeof(text));
	put_text("to three");
	expect_text(one, "to three");
	close(one);
}
END_TEST

/* --- a terminal --- */

static int master;

static struct termios modes(void)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(master, &t), 0); /* of the pair */
	return t;
}

static bool is_raw(void)
{
	return !(modes().c_lflag & (ICANON | ECHO | ISIG));
}

/* fork_child - one that does not outlive us, even if a test hangs and Check ends it. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* setup_session - a test of a terminal is a child of what Check starts: that leads a process group,
 * and so cannot begin a session. */
static void setup_session(void)
{
	int status;
	pid_t pid = fork_child();

	if (pid) {
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	setsid();
	setup();
}

/* take_terminal - make a new one ours, as a shell's child has it. */
static int take_terminal(void)
{
	int slave;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	ck_assert_int_eq(ioctl(slave, TIOCSCTTY, 0), 0);
	dup2(slave, STDIN_FILENO);
	dup2(slave, STDOUT_FILENO);
	return slave;
}

static void start_on_terminal(void)
{
	close(take_terminal());
	ck_assert(!is_raw());
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert(!is_raw());
	ck_assert_int_eq(console_start(console), 0);
	ck_assert(is_raw());
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

START_TEST(terminal_is_raw)
{
	struct termios before, after;

	close(take_terminal());
	before = modes();
	ck_assert_int_eq(create("stdio"), 0);
	ck_assert_int_eq(console_start(console), 0);
	ck_assert(is_raw());
	ck_assert(modes().c_oflag & OPOST); /* the log's lines begin at the left */
	type("a\r\3\4\32\21\23\177"); /* whatever a terminal would act on */
	expect_input("a\r\3\4\32\21\23\177");
	put_text("out\r\n");
	expect_text(master, "out\r\r\n");
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	console_destroy(console);
	console = NULL;
	after = modes();
	ck_assert_uint_eq(before.c_iflag, after.c_iflag);
	ck_assert_uint_eq(before.c_oflag, after.c_oflag);
	ck_assert_uint_eq(before.c_cflag, after.c_cflag);
	ck_assert_uint_eq(before.c_lflag, after.c_lflag);
	ck_assert_mem_eq(before.c_cc, after.c_cc, sizeof(before.c_cc));
}
END_TEST

START_TEST(keys)
{
	start_on_terminal();
	type("a\1xb");
	expect_input("ab");
	ck_assert_uint_eq(quits, 1);
	type("\1");
	run_ms(10);
	type("p"); /* not in one read */
	run_ms(20);
	ck_assert_uint_eq(pauses, 1);
	type("\1\1\1zc");
	expect_input("\1c");
	expect_text(master, "\r\r\n");
	type("\1h");
	expect_text(master, "\r\r\nCtrl-A x  end the virtual machine\r\r\n");
}
END_TEST

/* A guest that hangs is when the escape key is wanted. */
START_TEST(keys_while_the_guest_takes_nothing)
{
	char text[257];

	start_on_terminal();
	port.room = 0;
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (unsigned i = 0; i < 20; i++) {
		type(text);
		run_ms(2);
	}
	type("\1x");
	for (unsigned i = 0; i < 3000 && !quits; i++)
		run_ms(1);
	ck_assert_uint_eq(quits, 1);
}
END_TEST

/* ended_by - a program with a raw terminal that ends by @signal (0: by exit()). */
static void ended_by(int signal_number)
{
	struct termios before;
	int status, ready[2];
	char byte;
	pid_t pid;

	close(take_terminal());
	before = modes();
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork_child();
	if (!pid) {
		create("stdio");
		console_start(console);
		ck_assert_int_eq(write(ready[1], "r", 1), 1);
		if (signal_number) {
			signal(signal_number, SIG_DFL);
			raise(signal_number);
		}
		exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	if (signal_number == SIGKILL)
		kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* exit() does it itself; after a signal it may take a moment. */
	for (unsigned i = 0; signal_number && i < 1000 && is_raw(); i++)
		usleep(1000);
	ck_assert_int_eq(modes().c_lflag, before.c_lflag);
	ck_assert_int_eq(modes().c_iflag, before.c_iflag);
	close(ready[0]);
	close(ready[1]);
}

static const int endings[] = {0, SIGKILL, SIGTERM, SIGQUIT, SIGABRT, SIGSEGV, SIGHUP};

START_TEST(restored_after)
{
	ended_by(endings[_i]);
}
END_TEST

/* Modes that somebody else has set since are left alone. */
START_TEST(a_shell_that_was_faster)
{
	struct termios other;

	start_on_terminal();
	other = modes();
	other.c_lflag |= ECHO;
	ck_assert_int_eq(tcsetattr(STDIN_FILENO, TCSANOW, &other), 0);
	console_destroy(console);
	console = NULL;
	ck_assert(modes().c_lflag & ECHO);
	ck_assert(!(modes().c_lflag & ICANON));
}
END_TEST

/* In the background: no raw mode, nothing read; in the foreground later: both. */
START_TEST(background)
{
	int status;
	pid_t pid;

	close(take_terminal());
	pid = fork_child();
	if (!pid) {
		setpgid(0, 0); /* and the terminal stays our parent's */
		create("stdio");
		ck_assert_int_eq(console_start(console), 0);
		type("shell\n");
		run_ms(50);
		ck_assert(!is_raw());
		ck_assert_uint_eq(port.got_bytes, 0);
		put_text("out");
		run_ms(20);
		ck_assert_int_eq(tcsetpgrp(STDIN_FILENO, getpgrp()), 0); /* fg */
		tcflush(STDIN_FILENO, TCIFLUSH);
		run_ms(700);
		ck_assert(is_raw());
		type("guest");
		expect_input("guest");
		console_destroy(console);
		ck_assert(!is_raw());
		_exit(0);
	}
	for (unsigned i = 0; i < 3000; i++) {
		char text[64];
		struct pollfd pfd = {.fd = master, .events = POLLIN};

		if (poll(&pfd, 1, 1) > 0)
			ck_assert_int_ge(read(master, text, sizeof(text)), 0);
		if (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid)
			break;
	}
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* stopped_by - as a shell sees it: stopped with the terminal as it was, continued raw again. */
static void stopped_by(int signal_number)
{
	int status;
	pid_t pid;

	close(take_terminal());
	signal(SIGTTOU, SIG_IGN);
	pid = fork_child();
	if (!pid) {
		setpgid(0, 0);
		tcsetpgrp(STDIN_FILENO, getpgrp());
		create("stdio");
		console_start(console);
		run_ms(5000);
		_exit(0);
	}
	for (unsigned i = 0; i < 2000 && !is_raw(); i++)
		usleep(1000);
	kill(pid, signal_number);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	if (signal_number == SIGTSTP)
		ck_assert(!is_raw());
	kill(pid, SIGCONT);
	usleep(100000);
	ck_assert(is_raw());
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (unsigned i = 0; i < 1000 && is_raw(); i++)
		usleep(1000);
	ck_assert(!is_raw());
}

static const int stops[] = {SIGTSTP, SIGSTOP};

START_TEST(stopped_and_continued)
{
	stopped_by(stops[_i]);
}
END_TEST

START_TEST(hung_up)
{
	start_on_terminal();
	signal(SIGHUP, SIG_IGN);
	close(master);
	run_ms(20);
	put_text("nobody sees this");
	run_ms(20);
	ck_assert(console_put(console, 'x'));
}
END_TEST

START_TEST(terminal_that_stands_still)
{
	size_t taken = 0;

	start_on_terminal();
	ck_assert_int_eq(ioctl(STDIN_FILENO, TCXONC, TCOOFF), 0);
	for (unsigned i = 0; i < 50; i++) {
		while (taken < 10000000 && console_put(console, 'x'))
			taken++;
		run_ms(2);
	}
	ck_assert_uint_lt(taken, 10000000);
	type("\1x");
	run_ms(20);
	ck_assert_uint_eq(quits, 1); /* we are still there */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_console");
	TCase *plain = tcase_create("plain"), *terminal = tcase_create("terminal");

	clock_init();
	tcase_add_checked_fixture(plain, setup, teardown);
	tcase_set_timeout(plain, 30);
	tcase_add_test(plain, nowhere);
	tcase_add_test(plain, into_a_file);
	tcase_add_test(plain, a_full_disk);
	tcase_add_test(plain, what_cannot_be_opened);
	tcase_add_test(plain, pipes);
	tcase_add_test(plain, a_socket_for_standard_output);
	tcase_add_test(plain, input_from_a_file);
	tcase_add_test(plain, a_reader_that_stands_still);
	tcase_add_test(plain, a_guest_without_room);
	tcase_add_test(plain, clients_of_a_socket);
	suite_add_tcase(suite, plain);
	tcase_add_checked_fixture(terminal, setup_session, teardown);
	tcase_set_timeout(terminal, 30);
	tcase_add_test(terminal, terminal_is_raw);
	tcase_add_test(terminal, keys);
	tcase_add_test(terminal, keys_while_the_guest_takes_nothing);
	tcase_add_loop_test(terminal, restored_after, 0, (int)ARRAY_SIZE(endings));
	tcase_add_test(terminal, a_shell_that_was_faster);
	tcase_add_test(terminal, background);
	tcase_add_loop_test(terminal, stopped_and_continued, 0, (int)ARRAY_SIZE(stops));
	tcase_add_test(terminal, hung_up);
	tcase_add_test(terminal, terminal_that_stands_still);
	suite_add_tcase(suite, terminal);
	return run_suite(suite);
}
