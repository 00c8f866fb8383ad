/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * feature_names.h - virtio's feature bits as the specification calls them.
 * VMM. Any thread.
 */
#ifndef RINGSIDE_VMM_FEATURE_NAMES_H
#define RINGSIDE_VMM_FEATURE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* feature_name - of @bit of a device of @device_id, such as "VIRTIO_BLK_F_FLUSH"; NULL: it has none
 * here. */
const char *feature_name(uint16_t device_id, unsigned bit);

/* feature_names - of all in @features, with commas between; what does not fit is left out. */
void feature_names(uint16_t device_id, uint64_t features, char *out, size_t out_bytes);

#endif
