/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_report.c - a vhost-user device as device.list shows it.
 * VMM, main thread with the board lock held.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vhost/base/clock.h"
#include "vhost/control/rpc.h"
#include "vmm/feature_names.h"
#include "vmm/vhost_user_part.h"

static json_t *hex(uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%#" PRIx64, value);
	return json_string(text);
}

/* describe_features - as a number, and by name. */
static json_t *describe_features(const struct vhost_user *vu, uint64_t features)
{
	json_t *names = json_array();

	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = feature_name(vu->dev.device_id, bit);

		if (!(features >> bit & 1))
			continue;
		if (name)
			json_array_append_new(names, json_string(name));
		else
			json_array_append_new(names, json_sprintf("bit %u", bit));
	}
	return json_pack("{s:o, s:o}", "bits", hex(features), "names", names);
}

static const char *served_by(const struct vhost_user *vu, unsigned index)
{
	if (vu->kind->is_backend_ring && !vu->kind->is_backend_ring(vu, index))
		return "vmm";
	return vu->rings[index].state == RING_OFF ? "nobody" : "back-end";
}

static json_t *describe_queues(const struct vhost_user *vu)
{
	json_t *queues = json_array();

	for (unsigned i = 0; i < vu->dev.num_queues; i++) {
		const struct virtio_queue *q = &vu->dev.queues[i];

		json_array_append_new(queues, json_pack("{s:i, s:i, s:b, s:s, s:I}", "index",
							(int)i, "size", (int)q->size, "enabled",
							q->enabled, "served-by", served_by(vu, i),
							"kicks", (json_int_t)q->kicks));
	}
	return queues;
}

json_t *vhost_user_report(const struct vhost_user *vu)
{
	bool connected = vhost_user_connected(vu);
	uint64_t connected_s = connected ? (clock_ns() - vu->connected_ns) / 1000000000 : 0;
	json_t *report =
		json_pack("{s:s, s:i, s:o, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:I}",
			  "name", vu->name, "device-id", (int)vu->dev.device_id, "socket",
			  rpc_text(vu->opt->socket_path), "state", vhost_user_state_name(vu->state),
			  "reason", rpc_text(vu->reason), "needs-reset", vu->broken, "offered",
			  describe_features(vu, vu->dev.features), "accepted",
			  describe_features(vu, vu->dev.driver_features), "protocol",
			  hex(vu->backend.protocol), "queues", describe_queues(vu), "connections",
			  (json_int_t)vu->connections, "connected-s", (json_int_t)connected_s,
			  "in-flight-bytes", (json_int_t)vu->inflight.mmap_size);

	return report;
}
