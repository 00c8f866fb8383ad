/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.c - see map.h. Layer L2, control thread.
 */
#include "vhost/memory/map.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhost/base/util.h"
#include "vhost/memory/fault.h"

/* page_size_of - the unit in which @fd can be mapped, or 0 with errno set. A page of a FUSE file
 * may never come, and whoever touches it would wait for ever.
 * Syscalls: fstatfs */
static uint64_t page_size_of(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return 0;
	if (fs.f_type == FUSE_SUPER_MAGIC) {
		errno = EREMOTE;
		return 0;
	}
	if (fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * check_file - is @fd something that has [0, @end) to map? Memory comes as a regular file (memfd,
 * tmpfs and hugetlbfs included) or as a device such as /dev/dax0.0, which has no size to compare.
 */
static int check_file(int fd, uint64_t end)
{
	struct stat st;

	if (stat_fd(fd, &st) < 0)
		return -errno;
	if (S_ISCHR(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < end)
		return -EINVAL;
	return 0;
}

/* Syscalls: mmap(prot!PROT_EXEC) */
int mem_map(struct mem_map *map, int fd, uint64_t offset, uint64_t bytes, int fault_fd)
{
	uint64_t end, page_bytes, begin, map_bytes;
	void *base;
	int ret;

	if (bytes == 0 || add_overflows(offset, bytes, &end))
		return -EINVAL;
	ret = check_file(fd, end);
	if (ret < 0)
		return ret;
	page_bytes = page_size_of(fd);
	if (page_bytes == 0)
		return -errno;

	/* Offset and length must be whole pages of the file; rounding up may wrap to 0. */
	begin = align_down(offset, page_bytes);
	map_bytes = align_up(end - begin, page_bytes);
	if (map_bytes < end - begin || map_bytes > SIZE_MAX || begin > INT64_MAX - map_bytes)
		return -EINVAL;
	base = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)begin);
	if (base == MAP_FAILED)
		return -errno;
	madvise(base, map_bytes, MADV_DONTDUMP); /* a core file is no place for a guest's secrets */
	if (fault_fd >= 0) {
		ret = mem_fault_add(base, map_bytes, fault_fd);
		if (ret < 0) {
			munmap(base, map_bytes);
			return ret;
		}
	}
	*map = (struct mem_map){
		.host = (uint8_t *)base + (offset - begin),
		.base = base,
		.bytes = map_bytes,
		.page_bytes = page_bytes,
	};
	return 0;
}

const char *mem_map_why(int ret)
{
	if (ret == -EREMOTE)
		return "its file is a process's (FUSE), which could keep pages back";
	return strerror(-ret);
}

void mem_unmap(struct mem_map *map)
{
	if (map->base) {
		mem_fault_remove(map->base);
		munmap(map->base, map->bytes);
	}
	*map = (struct mem_map){0};
}
