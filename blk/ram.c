/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram.c - "ram:SIZE", a disk in the daemon's own memory, gone when it ends. Pages are taken when
 * first written and go back to the host when discarded.
 * Layer L5.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/memory_image.h"
#include "blk/request.h"

#define PAGE_BYTES 4096ull

static int ram_open(struct blk_image *image, const struct blk_image_options *opt, char *error,
		    size_t error_bytes)
{
	void *ram;

	if (blk_memory_image_size(image, opt->file, error, error_bytes) < 0)
		return -1;
	ram = mmap(NULL, image->capacity_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED) {
		snprintf(error, error_bytes, "%s: %s; ask for less", opt->file, strerror(errno));
		return -1;
	}
	image->ram = ram;
	return 0;
}

static void ram_close(struct blk_image *image)
{
	munmap(image->ram, image->capacity_bytes);
}

/* zero - make [offset, offset + bytes) read as zeroes, giving whole pages back.
 * Syscalls: madvise */
static void zero(uint8_t *ram, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	uint64_t first_page = align_up(offset, PAGE_BYTES);
	uint64_t last_page = align_down(end, PAGE_BYTES);

	if (first_page >= last_page ||
	    madvise(ram + first_page, last_page - first_page, MADV_DONTNEED) < 0) {
		memset(ram + offset, 0, bytes);
		return;
	}
	memset(ram + offset, 0, first_page - offset);
	memset(ram + last_page, 0, end - last_page);
}

static bool ram_start(struct blk_thread *thread, struct blk_request *req)
{
	uint8_t *ram = req->image->ram;
	unsigned i;

	(void)thread;
	switch (req->op) {
	case BLK_READ:
		blk_data_to_guest(req, ram + req->offset_bytes, req->data_bytes);
		req->written_bytes = (uint32_t)req->data_bytes;
		break;
	case BLK_WRITE:
		blk_data_from_guest(req, ram + req->offset_bytes, req->data_bytes);
		break;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		for (i = 0; i < req->num_ranges; i++)
			zero(ram, req->ranges[i].sector * BLK_SECTOR_BYTES,
			     (uint64_t)req->ranges[i].num_sectors * BLK_SECTOR_BYTES);
		break;
	default:
		break;
	}
	return true;
}

const struct blk_backend blk_backend_ram = {
	.kind = "ram",
	.open = ram_open,
	.close = ram_close,
	.start = ram_start,
};
