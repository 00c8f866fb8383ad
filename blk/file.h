/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file.h - the two halves of the file backend: file_open.c (control thread) and file.c (I/O
 * thread). Layer L5.
 */
#ifndef RINGSIDE_BLK_FILE_H
#define RINGSIDE_BLK_FILE_H

#include "blk/image.h"

/* blk_file_start, blk_file_complete - as struct blk_backend says. */
bool blk_file_start(struct blk_thread *thread, struct blk_request *req);
bool blk_file_complete(struct blk_thread *thread, struct blk_request *req, int result);

#endif
