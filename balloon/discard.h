/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * discard.h - giving guest memory back to the host.
 * Layer L5, control thread.
 *
 * Guest memory is shared: MADV_DONTNEED only drops our own mapping of it, and frees nothing. What
 * frees it is a hole in the file behind it, fallocate(2) with FALLOC_FL_PUNCH_HOLE, which all
 * mappings see at once.
 */
#ifndef RINGSIDE_BALLOON_DISCARD_H
#define RINGSIDE_BALLOON_DISCARD_H

#include "balloon/pages.h"

/* The largest stretch given back in one call, so that other guests wait milliseconds at most. */
#define BAL_DISCARD_BYTES (32ull << 20)

/* bal_discard - punch @run, whose pages are whole, out of its file.
 * Return: 0, -EOPNOTSUPP (its file system has no holes), -EPERM (sealed), -errno. */
int bal_discard(const struct bal_run *run);

#endif
