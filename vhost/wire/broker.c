/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker.c - see broker.h. Layer L1. The daemon's half is the control thread's; the broker's is a
 * process of its own with one thread.
 *
 * They talk over a socket pair, a question and an answer at a time; the answer is 0 or an errno,
 * and a connected socket may come along. An answer that was waited for too long is thrown away when
 * it comes. The end of the stream is the end of the daemon.
 */
#include "vhost/wire/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "vhost/base/log.h"
#include "vhost/base/sandbox.h"
#include "vhost/wire/unix.h"

#define ANSWER_TIMEOUT_S 5
#define MAX_PATHS        128
#define PATH_BYTES       sizeof(((struct sockaddr_un *)0)->sun_path)

/* Made from the lines of group "broker". */
extern const struct sandbox_filter broker_syscalls;

enum action { BROKER_REMOVE, BROKER_PEER, BROKER_SEAL, BROKER_CONNECT };

struct question {
	uint32_t sequence; /* to tell an answer that came late */
	enum action action;
	uint32_t number; /* CONNECT */
	dev_t dev; /* REMOVE */
	ino_t ino;
	char path[PATH_BYTES]; /* REMOVE, PEER */
};

struct answer {
	uint32_t sequence;
	int32_t error;
};

struct broker {
	int sock; /* -1: it is gone */
	pid_t pid;
	uint32_t sequence;
	unsigned num_paths;
};

/* What the broker itself has. */
struct office {
	int sock;
	bool sealed;
	unsigned num_paths;
	struct question paths[MAX_PATHS];
	int pins[MAX_PATHS]; /* keeps the inode of a REMOVE, so that its number names no other */
};

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* --- the broker's half --- */

/* add_path - Return: 0, -EPERM (too late) or -errno. */
static int add_path(struct office *office, const struct question *q)
{
	unsigned n = office->num_paths;

	if (office->sealed)
		return -EPERM;
	if (n == MAX_PATHS)
		return -ENOSPC;
	office->paths[n] = *q;
	if (q->action == BROKER_REMOVE) {
		office->pins[n] = open(q->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (office->pins[n] < 0)
			return -errno;
	}
	office->num_paths++;
	return 0;
}

/* seal - privileges go but the one that lets root connect to and remove what is another user's. */
static int seal(struct office *office)
{
	int ret;

	if (office->sealed)
		return -EPERM;
	ret = sandbox_drop_privileges(1ull << CAP_DAC_OVERRIDE);
	if (ret == 0)
		ret = sandbox_enter(&broker_syscalls);
	office->sealed = true;
	return ret;
}

/* connect_peer - Return: a socket or -errno, for a number that names no peer too.
 * Syscalls (broker): socket(domain=AF_UNIX), connect, close */
static int connect_peer(const struct office *office, uint32_t number)
{
	if (number >= office->num_paths || office->paths[number].action != BROKER_PEER)
		return -EINVAL;
	return unix_connect_nonblock(office->paths[number].path);
}

/* reply - @error, 0 or -errno; and @fd unless -1. Syscalls (broker): sendmsg */
static void reply(const struct office *office, uint32_t sequence, int error, int fd)
{
	struct answer answer = {.sequence = sequence, .error = -error};
	struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union fd_control control;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	/* Where it cannot be sent, the daemon is gone, which the next read shows. */
	if (sendmsg(office->sock, &mh, MSG_NOSIGNAL) < 0)
		return;
}

static void serve(struct office *office, struct question *q)
{
	int sock = -1, ret = -EINVAL;

	q->path[sizeof(q->path) - 1] = '\0';
	switch (q->action) {
	case BROKER_REMOVE:
	case BROKER_PEER:
		ret = add_path(office, q);
		break;
	case BROKER_SEAL:
		ret = seal(office);
		break;
	case BROKER_CONNECT:
		ret = sock = connect_peer(office, q->number);
		break;
	}
	reply(office, q->sequence, min_of(ret, 0), sock);
	close_fd(&sock);
}

/* remove_files - the daemon's sockets; whoever listens at the same paths by now is left alone. */
static void remove_files(const struct office *office)
{
	for (unsigned i = 0; i < office->num_paths; i++) {
		const struct question *q = &office->paths[i];
		struct stat file = {.st_dev = q->dev, .st_ino = q->ino};

		if (q->action == BROKER_REMOVE)
			unix_remove(q->path, &file);
	}
}

/* close_others - what the daemon was started with, such as the socket of --fd, is not for us. */
static void close_others(int sock)
{
	if (sock > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)sock - 1, 0);
	close_range((unsigned)sock + 1, UINT_MAX, 0);
}

/*
 * run - the broker's life.
 * Syscalls (broker): recvfrom, exit_group, rt_sigreturn, restart_syscall; write: the line of a
 * forbidden call
 */
static _Noreturn void run(int sock)
{
	static struct office office;
	struct question q;
	ssize_t n;

	prctl(PR_SET_NAME, "ringside-broker");
	close_others(sock);
	office.sock = sock;
	while ((n = recv(sock, &q, sizeof(q), 0)) == sizeof(q) || (n < 0 && errno == EINTR))
		if (n > 0)
			serve(&office, &q);
	remove_files(&office);
	_exit(0);
}

/* --- the daemon's half --- */

/* fork_broker - Return: 0 or -errno. The signals that end a daemon come to its whole group, and
 * the broker is needed after it: it has them blocked from the first. */
static int fork_broker(struct broker *broker, int theirs)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* the line of a forbidden call */
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0) {
		close_fd(&broker->sock); /* or the end of the stream would never come */
		run(theirs);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	broker->pid = pid;
	return pid < 0 ? -errno : 0;
}

int broker_start(struct broker **out)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct broker *broker = calloc(1, sizeof(*broker));
	int pair[2], ret = 0;

	if (!broker)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		ret = -errno;
		goto err_free;
	}
	broker->sock = pair[0];
	if (setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		ret = -errno;
	else
		ret = fork_broker(broker, pair[1]);
	close_fd(&pair[1]);
	if (ret == 0) {
		*out = broker;
		return 0;
	}
	close_fd(&broker->sock);
err_free:
	free(broker);
	return ret;
}

/*
 * receive - the next answer. Return: 0, -ETIMEDOUT or -EPIPE: there is none; *@fd is what came
 * along, or -1.
 * Syscalls: recvmsg
 */
static int receive(const struct broker *broker, struct answer *answer, int *fd)
{
	struct iovec iov = {.iov_base = answer, .iov_len = sizeof(*answer)};
	union fd_control control;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(broker->sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(*answer))
		return n < 0 && errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	c = CMSG_FIRSTHDR(&mh);
	if (c && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return 0;
}

/* exchange - Return: as receive(); *@answer is to @q. Syscalls: sendto */
static int exchange(const struct broker *broker, const struct question *q, struct answer *answer,
		    int *fd)
{
	int ret;

	/* There is room, or it has not read what was asked for a long time. */
	if (send(broker->sock, q, sizeof(*q), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	while ((ret = receive(broker, answer, fd)) == 0 && answer->sequence != q->sequence)
		close_fd(fd);
	return ret;
}

/* ask - Return: as receive(), or -errno of what was asked for. */
static int ask(struct broker *broker, struct question *q, int *fd)
{
	struct answer answer;
	int ret;

	*fd = -1;
	if (broker->sock < 0)
		return -EPIPE;
	q->sequence = ++broker->sequence;
	ret = exchange(broker, q, &answer, fd);
	if (ret == -EPIPE) {
		log_error("broker", "is gone: no front-end can be connected to any more, and "
				    "socket files may stay behind");
		close_fd(&broker->sock);
	}
	return ret < 0 ? ret : -answer.error;
}

/* tell - a path. Return: its number or -errno. */
static int tell(struct broker *broker, struct question *q, const char *path)
{
	int fd, ret;

	if (strlen(path) >= sizeof(q->path))
		return -ENAMETOOLONG;
	memcpy(q->path, path, strlen(path) + 1);
	ret = ask(broker, q, &fd);
	return ret < 0 ? ret : (int)broker->num_paths++;
}

int broker_remove_at_end(struct broker *broker, const char *path, const struct stat *file)
{
	struct question q = {.action = BROKER_REMOVE, .dev = file->st_dev, .ino = file->st_ino};

	return min_of(tell(broker, &q, path), 0);
}

int broker_add_peer(struct broker *broker, const char *path)
{
	struct question q = {.action = BROKER_PEER};

	return tell(broker, &q, path);
}

int broker_seal(struct broker *broker)
{
	struct question q = {.action = BROKER_SEAL};
	int fd;

	return ask(broker, &q, &fd);
}

int broker_connect(struct broker *broker, int number)
{
	struct question q = {.action = BROKER_CONNECT, .number = (uint32_t)number};
	int sock, ret;

	ret = ask(broker, &q, &sock);
	if (ret < 0)
		return ret;
	return sock < 0 ? -EMFILE : sock; /* the kernel had no room for it here */
}

/* Syscalls: wait4 */
void broker_stop(struct broker *broker)
{
	bool told;
	int status = 0;

	if (!broker)
		return;
	told = broker->sock < 0;
	close_fd(&broker->sock);
	while (waitpid(broker->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && !told)
		log_error("broker", "was killed by signal %d: socket files stay behind",
			  WTERMSIG(status));
	free(broker);
}
