/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuse_file.c - see fuse_file.h: the few requests that open, map and close a file make. Tests only.
 */
#include "tests/protocol/fuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT_NODE     FUSE_ROOT_ID
#define FILE_NODE     2
#define MAX_WRITE     4096
#define REQUEST_BYTES (FUSE_MIN_READ_BUFFER + MAX_WRITE)
#define FOR_EVER_S    1000000

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t bytes)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + bytes),
				      .error = error,
				      .unique = unique};
	struct iovec iov[2] = {{&out, sizeof(out)}, {(void *)(uintptr_t)data, bytes}};

	if (writev(fuse, iov, 2) < 0 && errno != ENOENT) /* ENOENT: it was interrupted */
		_exit(1);
}

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.size = node == FILE_NODE ? FUSE_FILE_BYTES : 0,
		.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.blksize = 4096,
	};
}

static void serve(int fuse, const struct fuse_in_header *in)
{
	static const uint8_t zeroes[1 << 17];
	const struct fuse_read_in *read_in = (const void *)(in + 1);
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
				     .minor = 31,
				     .max_write = MAX_WRITE};
	struct fuse_entry_out entry = {.nodeid = FILE_NODE,
				       .entry_valid = FOR_EVER_S,
				       .attr = attr_of(FILE_NODE)};
	struct fuse_attr_out attr = {.attr = attr_of(in->nodeid)};
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .namelen = 255}};
	struct fuse_open_out open_out = {.fh = 1};

	switch (in->opcode) {
	case FUSE_INIT:
		answer(fuse, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(fuse, in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(fuse, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fuse, in->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_STATFS:
		answer(fuse, in->unique, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_READ:
		answer(fuse, in->unique, 0, zeroes, read_in->size);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(fuse, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fuse, in->unique, -ENOSYS, NULL, 0);
	}
}

static _Noreturn void run_server(int fuse, uint64_t withheld)
{
	static uint8_t buf[REQUEST_BYTES] __attribute__((aligned(8)));
	const struct fuse_in_header *in = (const void *)buf;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((n = read(fuse, buf, sizeof(buf))) > 0 || errno == EINTR || errno == ENOENT) {
		if (n < (ssize_t)sizeof(*in) || (in->opcode < 64 && withheld >> in->opcode & 1))
			continue;
		serve(fuse, in);
	}
	_exit(0); /* ENODEV: nobody refers to it any more */
}

static int open_in(const char *dir, int fuse, uint64_t withheld, struct fuse_file *file)
{
	char options[128], path[96];
	int ret = 0;

	snprintf(options, sizeof(options), "fd=%d,rootmode=40700,user_id=%u,group_id=%u", fuse,
		 getuid(), getgid());
	if (mount("ringside-test", dir, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return -errno;
	file->server = fork();
	if (!file->server)
		run_server(fuse, withheld);
	snprintf(path, sizeof(path), "%s/memory", dir);
	file->fd = file->server < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (file->fd < 0)
		ret = -errno;
	umount2(dir, MNT_DETACH);
	return ret;
}

int fuse_file_open(struct fuse_file *file, uint64_t withheld)
{
	char dir[] = "/tmp/ringside-fuse-XXXXXX";
	int fuse, ret;

	*file = (struct fuse_file){.fd = -1};
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		return -errno;
	ret = mkdtemp(dir) ? open_in(dir, fuse, withheld, file) : -errno;
	rmdir(dir);
	close(fuse);
	return ret;
}

bool fuse_file_possible(void)
{
	struct fuse_file file;
	int ret = fuse_file_open(&file, 0);

	if (ret < 0) {
		printf("skipped: no file system of a process to be had (FUSE): %s\n",
		       strerror(-ret));
		return false;
	}
	close(file.fd);
	fuse_file_end(&file);
	return true;
}

void fuse_file_end(struct fuse_file *file)
{
	if (file->server <= 0)
		return;
	kill(file->server, SIGKILL);
	while (waitpid(file->server, NULL, 0) < 0 && errno == EINTR)
		;
	file->server = 0;
}
