/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_image.h - what null.c and ram.c share. Layer L5, control thread.
 */
#ifndef RINGSIDE_BLK_MEMORY_IMAGE_H
#define RINGSIDE_BLK_MEMORY_IMAGE_H

#include "blk/image.h"

/* blk_memory_image_size - geometry of "kind:SIZE". Return: as blk_backend.open. */
int blk_memory_image_size(struct blk_image *image, const char *file, char *error,
			  size_t error_bytes);

#endif
