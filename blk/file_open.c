/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file_open.c - open, lock and measure a regular file or block device.
 * Layer L5, control thread. Nothing is created or changed.
 *
 * The lock (OFD, on the file description that does the I/O) keeps a second writer out, and
 * makes a restarted daemon wait until the kernel has finished the I/O of a killed one
 * (contract 12).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blk/file.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

#define LOCK_RETRY_US 20000
#define LOCK_QUIET_NS 200000000ull /* a daemon that just ended needs that long to let go */

struct opening {
	struct blk_image *image;
	const struct blk_image_options *opt;
	char *error;
	size_t error_bytes;
	struct stat st;
	uint64_t start_ns;
	bool told; /* the operator, that another process is waited for */
};

/* refuse - the operator's line: the file, what is wrong, what to do. Return: -1. */
static int printf_like(2, 3) refuse(struct opening *o, const char *fmt, ...)
{
	int used = snprintf(o->error, o->error_bytes, "%.300s: ", o->opt->file);
	va_list args;

	if (used >= 0 && (size_t)used < o->error_bytes) {
		va_start(args, fmt);
		vsnprintf(o->error + used, o->error_bytes - (size_t)used, fmt, args);
		va_end(args);
	}
	close_fd(&o->image->fd);
	return -1;
}

static const char *open_advice(int err)
{
	switch (err) {
	case ENOENT:
		return "; create it first, for example with: truncate -s 10G FILE";
	case EACCES:
	case EPERM:
		return "; give this user access, or use --read-only";
	case EROFS:
		return "; use --read-only";
	case EBUSY:
		return "; it is in use (mounted, part of another device, or open in a program)";
	case EISDIR:
		return "; name an image file or a block device";
	default:
		return "";
	}
}

/* wait_for_holder - rest a moment before the next look; the operator hears of a long wait.
 * Return: false when it was long enough. */
static bool wait_for_holder(struct opening *o)
{
	uint64_t waited_ns = clock_ns() - o->start_ns;

	if (waited_ns >= o->opt->lock_wait_s * 1000000000ull)
		return false;
	if (!o->told && waited_ns >= LOCK_QUIET_NS) {
		log_info(o->opt->file,
			 "another process has it open for writing; waiting up to %u s",
			 o->opt->lock_wait_s);
		o->told = true;
	}
	usleep(LOCK_RETRY_US);
	return true;
}

/* locked - does somebody hold the lock that take_lock() takes? */
static bool locked(const char *file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	auto_close int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

/*
 * open_patiently - open(2), but a block device that another daemon has (O_EXCL then says EBUSY) is
 * waited for as a locked file is. What the host itself uses has no lock, and is not waited for
 * longer than a daemon takes between giving back its lock and its claim.
 */
static int open_patiently(struct opening *o, int flags)
{
	uint64_t locked_ns = o->start_ns;

	for (;;) {
		int fd = open(o->opt->file, flags);

		if (fd >= 0 || errno != EBUSY)
			return fd;
		if (locked(o->opt->file))
			locked_ns = clock_ns();
		if (clock_ns() - locked_ns >= LOCK_QUIET_NS || !wait_for_holder(o)) {
			errno = EBUSY;
			return -1;
		}
	}
}

/* open_file - with direct I/O where it may be and the file system takes it. */
static int open_file(struct opening *o)
{
	/* Non-blocking, so that a FIFO named by mistake does not hang the start. */
	int flags = O_CLOEXEC | O_NONBLOCK | (o->opt->read_only ? O_RDONLY : O_RDWR);
	struct stat st;

	/* O_EXCL on a block device asks the kernel whether the host itself uses it. */
	if (!o->opt->read_only && !stat(o->opt->file, &st) && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	if (o->opt->direct != BLK_DIRECT_OFF) {
		o->image->fd = open_patiently(o, flags | O_DIRECT);
		o->image->direct = o->image->fd >= 0;
	}
	if (o->image->fd < 0 && (errno == EINVAL || o->opt->direct == BLK_DIRECT_OFF)) {
		if (o->opt->direct == BLK_DIRECT_ON)
			return refuse(o, "its file system has no direct I/O; leave out direct=on");
		o->image->fd = open_patiently(o, flags);
	}
	if (o->image->fd < 0)
		return refuse(o, "%s%s", strerror(errno), open_advice(errno));
	return 0;
}

static int check_kind(struct opening *o)
{
	if (fstat(o->image->fd, &o->st) < 0)
		return refuse(o, "%s", strerror(errno));
	if (S_ISDIR(o->st.st_mode))
		return refuse(o, "is a directory; name an image file or a block device");
	if (!S_ISREG(o->st.st_mode) && !S_ISBLK(o->st.st_mode))
		return refuse(o, "is neither a regular file nor a block device");
	o->image->is_block_device = S_ISBLK(o->st.st_mode);
	return 0;
}

static int take_lock(struct opening *o)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (o->opt->read_only)
		return 0;
	while (fcntl(o->image->fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return refuse(o, "cannot be locked: %s", strerror(errno));
		if (!wait_for_holder(o))
			return refuse(o,
				      "another process has it open for writing and did not let go "
				      "within %u s; stop that one, or use --read-only",
				      o->opt->lock_wait_s);
	}
	return 0;
}

/* Syscalls: ioctl(request=BLKGETSIZE64): at a resize */
static int file_size(const struct blk_image *image, uint64_t *bytes)
{
	struct stat st;

	if (image->is_block_device)
		return ioctl(image->fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
	if (stat_fd(image->fd, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

/* measure_device - block sizes and limits as the real device has them. */
static void measure_device(struct blk_image *image)
{
	unsigned physical = 0, min_io = 0, opt_io = 0;
	int logical = 0, offset = 0;

	if (!ioctl(image->fd, BLKSSZGET, &logical) && logical > 0)
		image->block_bytes = (uint32_t)logical;
	image->physical_bytes = image->block_bytes;
	if (!ioctl(image->fd, BLKPBSZGET, &physical) && physical >= image->block_bytes)
		image->physical_bytes = physical;
	if (!ioctl(image->fd, BLKIOMIN, &min_io))
		image->min_io_bytes = min_io;
	if (!ioctl(image->fd, BLKIOOPT, &opt_io))
		image->opt_io_bytes = opt_io;
	if (!ioctl(image->fd, BLKALIGNOFF, &offset) && offset > 0)
		image->alignment_bytes = (uint32_t)offset;
	image->memory_align = image->block_bytes;
}

/* measure_file - the file system's block, and what direct I/O wants here. */
static void measure_file(struct blk_image *image, const struct stat *st)
{
	bool sane = st->st_blksize >= BLK_SECTOR_BYTES && st->st_blksize <= 65536 &&
		    !(st->st_blksize & (st->st_blksize - 1));

	image->physical_bytes = sane ? (uint32_t)st->st_blksize : 4096;
	image->min_io_bytes = image->physical_bytes;
	image->memory_align = BLK_SECTOR_BYTES;
}

/* measure_direct - refine by what the kernel tells of direct I/O (6.1 and later). */
static void measure_direct(struct blk_image *image)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN) || !stx.stx_dio_offset_align)
		return;
	image->memory_align = stx.stx_dio_mem_align;
	if (stx.stx_dio_offset_align > image->block_bytes)
		image->block_bytes = stx.stx_dio_offset_align;
	if (image->physical_bytes < image->block_bytes)
		image->physical_bytes = image->block_bytes;
#else
	(void)image;
#endif
}

/* probe_discard - punching behind the end changes nothing and tells whether it can be done. */
static bool probe_discard(struct blk_image *image)
{
	char path[96], text[32] = "";
	struct stat st;
	ssize_t n;
	int fd;

	if (!image->is_block_device)
		return fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)align_up(image->capacity_bytes, 1 << 20), 4096) == 0;
	if (fstat(image->fd, &st) < 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/discard_max_bytes",
		 major(st.st_rdev), minor(st.st_rdev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && text[0] != '0';
}

/* leave_direct - direct I/O would not reach the last sectors: go through the page cache. */
static void leave_direct(struct opening *o)
{
	struct blk_image *image = o->image;

	fcntl(image->fd, F_SETFL, fcntl(image->fd, F_GETFL) & ~O_DIRECT);
	image->direct = false;
	image->block_bytes = BLK_SECTOR_BYTES;
	measure_file(image, &o->st);
}

static int measure(struct opening *o)
{
	struct blk_image *image = o->image;
	int ret = file_size(image, &image->capacity_bytes);

	if (ret < 0)
		return refuse(o, "its size cannot be read: %s", strerror(-ret));
	image->block_bytes = BLK_SECTOR_BYTES;
	if (image->is_block_device)
		measure_device(image);
	else
		measure_file(image, &o->st);
	if (image->direct)
		measure_direct(image);
	if (!image->capacity_bytes)
		return refuse(o,
			      "is empty; give it a size first, for example with: truncate -s 10G "
			      "FILE");
	if (image->capacity_bytes % BLK_SECTOR_BYTES)
		return refuse(o,
			      "its size, %llu bytes, is not a multiple of 512; enlarge it with: "
			      "truncate -s %%512 FILE",
			      (unsigned long long)image->capacity_bytes);
	if (image->direct && image->capacity_bytes % image->block_bytes) {
		if (o->opt->direct == BLK_DIRECT_ON)
			return refuse(
				o,
				"its size, %llu bytes, is not a multiple of the %u bytes that "
				"direct I/O needs here; enlarge it, or leave out direct=on",
				(unsigned long long)image->capacity_bytes, image->block_bytes);
		leave_direct(o);
	}
	image->can_discard = !image->read_only && probe_discard(image);
	image->can_write_zeroes = !image->read_only;
	image->discard_align_bytes = image->physical_bytes;
	return 0;
}

static int file_open(struct blk_image *image, const struct blk_image_options *opt, char *error,
		     size_t error_bytes)
{
	struct opening o = {
		.image = image,
		.opt = opt,
		.error = error,
		.error_bytes = error_bytes,
		.start_ns = clock_ns(),
	};

	if (open_file(&o) < 0 || check_kind(&o) < 0 || take_lock(&o) < 0 || measure(&o) < 0)
		return -1;
	/* io_uring waits for a blocking file, but fails a non-blocking one with EAGAIN. */
	fcntl(image->fd, F_SETFL, fcntl(image->fd, F_GETFL) & ~O_NONBLOCK);
	if (image->direct && !image->read_only && !image->is_block_device &&
	    (uint64_t)o.st.st_blocks * 512 < image->capacity_bytes)
		log_info(opt->file,
			 "is sparse: first writes to its holes are slower; to avoid that: "
			 "fallocate -l %llu %s",
			 (unsigned long long)image->capacity_bytes, opt->file);
	if (!image->direct && opt->direct == BLK_DIRECT_AUTO)
		log_info(opt->file,
			 "its file system has no direct I/O, or none for a file of its size; the "
			 "host's page cache is used");
	return 0;
}

static void file_close(struct blk_image *image)
{
	close_fd(&image->fd);
}

static int file_resize(struct blk_image *image, uint64_t *capacity_bytes)
{
	uint64_t bytes;
	int ret = file_size(image, &bytes);

	if (ret < 0)
		return ret;
	if (!bytes || bytes % image->block_bytes)
		return -EINVAL;
	*capacity_bytes = bytes;
	return 0;
}

const struct blk_backend blk_backend_file = {
	.kind = "file",
	.open = file_open,
	.close = file_close,
	.resize = file_resize,
	.start = blk_file_start,
	.complete = blk_file_complete,
};
