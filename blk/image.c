/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.c - choose a disk's backend by the form of its name.
 * Layer L5, control thread.
 */
#include "blk/image.h"

#include <stdio.h>
#include <string.h>

#include "blk/memory_image.h"
#include "vhost/base/parse.h"
#include "vhost/base/util.h"

int blk_image_open(struct blk_image *image, const struct blk_image_options *opt, char *error,
		   size_t error_bytes)
{
	static const struct blk_backend *const by_prefix[] = {
		&blk_backend_null,
		&blk_backend_ram,
	};
	unsigned i;

	memset(image, 0, sizeof(*image));
	image->fd = -1;
	image->read_only = opt->read_only;
	image->backend = &blk_backend_file;
	for (i = 0; i < ARRAY_SIZE(by_prefix); i++) {
		size_t kind_len = strlen(by_prefix[i]->kind);

		if (!strncmp(opt->file, by_prefix[i]->kind, kind_len) && opt->file[kind_len] == ':')
			image->backend = by_prefix[i];
	}
	return image->backend->open(image, opt, error, error_bytes);
}

void blk_image_close(struct blk_image *image)
{
	if (image->backend)
		image->backend->close(image);
	image->backend = NULL;
}

int blk_memory_image_size(struct blk_image *image, const char *file, char *error,
			  size_t error_bytes)
{
	const char *text = strchr(file, ':') + 1;
	uint64_t bytes;

	if (parse_size(text, &bytes) < 0 || !bytes || bytes % BLK_SECTOR_BYTES) {
		snprintf(error, error_bytes,
			 "%s: the size must be a multiple of 512 bytes, such as %.*s1G", file,
			 (int)(text - file), file);
		return -1;
	}
	image->capacity_bytes = bytes;
	image->block_bytes = BLK_SECTOR_BYTES;
	image->physical_bytes = 4096;
	image->min_io_bytes = 4096;
	image->discard_align_bytes = 4096;
	image->can_discard = !image->read_only;
	image->can_write_zeroes = !image->read_only;
	return 0;
}
