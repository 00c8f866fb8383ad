/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - what `stats` of every daemon tells of a device's rings.
 * Layer L4, beside the back-end. Control thread; the counters may be another's and are read while
 * it runs.
 */
#ifndef RINGSIDE_DAEMON_REPORT_H
#define RINGSIDE_DAEMON_REPORT_H

#include <jansson.h>

#include "vhost/backend/device.h"
#include "vhost/wire/proto.h"

/*
 * daemon_rings_json - an object for each ring of @dev that is started, at its index, with state,
 * enabled, size, chains, kicks, calls, ring_errors and bad_chains by reason; NULL for the others.
 * The objects become the caller's.
 */
void daemon_rings_json(struct vu_device *dev, json_t *rings[VU_MAX_RINGS]);

#endif
