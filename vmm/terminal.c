/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * terminal.c - see terminal.h. VMM, main thread, and the keeper's own process.
 */
#include "vmm/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhost/base/log.h"
#include "vhost/base/sandbox.h"
#include "vhost/base/util.h"

/* Made from the comments in the code. */
extern const struct sandbox_filter terminal_syscalls;

/* The one that is raw, for exit(3). */
static struct terminal *raw_terminal;

/* raw_of - every byte comes at once and as it was typed. */
static struct termios raw_of(const struct termios *saved)
{
	struct termios raw = *saved;

	raw.c_iflag &=
		~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

/*
 * put_back - @saved, unless somebody has set something else since we made it raw.
 * Syscalls: ioctl(request=TCGETS|TCSETS)
 * Syscalls (terminal): ioctl(request=TCGETS|TCSETS)
 */
static void put_back(int fd, const struct termios *saved)
{
	struct termios now, raw = raw_of(saved);

	if (tcgetattr(fd, &now) == 0 && same_modes(&now, &raw))
		tcsetattr(fd, TCSANOW, saved);
}

/* --- the keeper --- */

/*
 * keep - the keeper's whole life. A session of its own has no controlling terminal, so that neither
 * a hang-up nor what is typed reaches it, and it may set modes from the background.
 * Syscalls (terminal): read, exit_group, brk, munmap, getpid, gettid, rt_sigreturn,
 *	tgkill(tgid=self), write: the line of a forbidden call
 */
static _Noreturn void keep(int terminal_fd, int pipe_fd)
{
	struct termios saved, latest;
	bool any = false;

	setsid();
	prctl(PR_SET_NAME, "terminal-keeper");
	/* The first three are open since the start (startup.h), so the pipe is none of them. */
	if (dup2(terminal_fd, STDIN_FILENO) < 0 || dup2(pipe_fd, STDOUT_FILENO) < 0)
		_exit(1);
	close_range(STDERR_FILENO + 1, UINT_MAX, 0);
	/* Without a filter it keeps the terminal all the same. */
	if (sandbox_drop_privileges(0) == 0)
		sandbox_enter_thread(&terminal_syscalls);
	while (read(STDOUT_FILENO, &latest, sizeof(latest)) == sizeof(latest)) {
		saved = latest;
		any = true;
	}
	if (any)
		put_back(STDIN_FILENO, &saved);
	_exit(0);
}

/* fork_keeper - with every signal blocked: those that end the program come to its whole group. */
static pid_t fork_keeper(const struct terminal *terminal, int pipe_fd)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* the line of a forbidden call */
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0) {
		close(terminal->keeper_fd); /* or the end of the pipe would never come */
		keep(terminal->fd, pipe_fd);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* --- the program's half --- */

static void leave_at_exit(void)
{
	if (raw_terminal)
		terminal_leave(raw_terminal);
}

int terminal_open(struct terminal *terminal, int fd)
{
	static bool registered;
	int ends[2], ret = 0;

	*terminal = (struct terminal){.fd = fd, .keeper_fd = -1};
	if (!registered && atexit(leave_at_exit))
		return -ENOMEM;
	registered = true;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	terminal->keeper_fd = ends[1];
	terminal->keeper = fork_keeper(terminal, ends[0]);
	if (terminal->keeper < 0) {
		ret = -errno;
		close_fd(&terminal->keeper_fd);
	}
	close_fd(&ends[0]);
	/* Put back from the background, too, and do not stop for it; nor for the guest's output. */
	signal(SIGTTOU, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	return ret;
}

/* Syscalls: ioctl(request=TIOCGPGRP), getpgrp */
bool terminal_ours(const struct terminal *terminal)
{
	pid_t group = tcgetpgrp(terminal->fd);

	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

/* remember - the modes to go back to; they may have changed while we were away.
 * Syscalls: write: to the keeper */
static int remember(struct terminal *terminal)
{
	ssize_t n;

	if (tcgetattr(terminal->fd, &terminal->saved) < 0)
		return -errno;
	n = write(terminal->keeper_fd, &terminal->saved, sizeof(terminal->saved));
	if (n != sizeof(terminal->saved))
		log_warn("console", "who would put the terminal back after a sudden end is gone");
	return 0;
}

int terminal_enter(struct terminal *terminal)
{
	struct termios raw;
	int ret;

	if (!terminal_ours(terminal))
		return -EAGAIN;
	if (terminal->raw)
		return 0;
	ret = remember(terminal);
	if (ret < 0)
		return ret;
	raw = raw_of(&terminal->saved);
	if (tcsetattr(terminal->fd, TCSANOW, &raw) < 0)
		return -errno;
	terminal->raw = true;
	raw_terminal = terminal;
	return 0;
}

void terminal_leave(struct terminal *terminal)
{
	if (!terminal->raw)
		return;
	terminal->raw = false;
	raw_terminal = NULL;
	put_back(terminal->fd, &terminal->saved);
}

/* Syscalls: wait4 */
void terminal_close(struct terminal *terminal)
{
	if (terminal->keeper_fd < 0)
		return;
	terminal_leave(terminal);
	close_fd(&terminal->keeper_fd);
	close_fd(&terminal->fd);
	if (waitpid(terminal->keeper, NULL, 0) < 0)
		log_debug("console", "the terminal's keeper: %s", strerror(errno));
}
