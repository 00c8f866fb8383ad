/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - the control methods of ringside-blk. Layer L5, control thread; the counters are the
 * I/O threads' and are read while they run.
 */
#include "blk/report.h"

#include <string.h>

#include "vhost/daemon/report.h"

static json_t *latency_json(const struct blk_stats *stats, enum blk_op op)
{
	struct histogram copy = {0};

	hist_merge(&copy, &stats->latency[op]);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests",
			 (json_int_t)vq_count(&stats->ops[op]), "bytes",
			 (json_int_t)vq_count(&stats->bytes[op]), "mean_ns",
			 (json_int_t)(copy.count ? copy.sum_ns / copy.count : 0), "p50_ns",
			 (json_int_t)hist_percentile_ns(&copy, 50), "p99_ns",
			 (json_int_t)hist_percentile_ns(&copy, 99), "p999_ns",
			 (json_int_t)hist_percentile_ns(&copy, 99.9), "max_ns",
			 (json_int_t)copy.max_ns);
}

static json_t *requests_json(const struct blk_stats *stats)
{
	json_t *requests = json_object();
	unsigned op, cause;
	json_t *errors = json_object();

	for (op = 0; op < BLK_OPS; op++)
		if (vq_count(&stats->ops[op]))
			json_object_set_new(requests, blk_op_name(op), latency_json(stats, op));
	for (cause = BLK_CAUSE_NONE + 1; cause < BLK_CAUSES; cause++)
		json_object_set_new(errors, blk_cause_name(cause),
				    json_integer((json_int_t)vq_count(&stats->errors[cause])));
	return json_pack("{s:o, s:o, s:I}", "requests", requests, "errors", errors, "bounced",
			 (json_int_t)vq_count(&stats->bounced));
}

static json_t *queues_json(struct blk_disk *disk)
{
	json_t *rings[VU_MAX_RINGS];
	json_t *list = json_array();
	unsigned i;

	daemon_rings_json(&disk->dev, rings);
	for (i = 0; i < disk->opt->num_queues; i++) {
		json_t *queue;

		if (!disk->stats[i] && !rings[i])
			continue;
		queue = json_pack("{s:i, s:i}", "queue", i, "thread",
				  (disk->first_thread + i) % disk->num_threads);
		if (rings[i])
			json_object_set_new(queue, "ring", rings[i]);
		if (disk->stats[i]) {
			json_t *requests = requests_json(disk->stats[i]);

			json_object_update_new(queue, requests);
		}
		json_array_append_new(list, queue);
	}
	return list;
}

static json_t *disk_json(struct blk_disk *disk)
{
	const struct blk_image *image = &disk->image;

	return json_pack("{s:s, s:o, s:s, s:o, s:I, s:b, s:b, s:s, s:b, s:i, s:o}", "name",
			 disk->name, "file", rpc_text(disk->opt->image.file), "backend",
			 image->backend->kind, "socket", rpc_text(disk->opt->socket.path),
			 "capacity_bytes", (json_int_t)image->capacity_bytes, "read_only",
			 image->read_only, "direct", image->direct, "cache",
			 disk->writeback ? "writeback" : "writethrough", "connected",
			 vu_device_connected(&disk->dev), "block_bytes", (int)image->block_bytes,
			 "queues", queues_json(disk));
}

static int report_stats(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct blk_report *report = ctx;
	json_t *list;
	unsigned i;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	list = json_array();
	for (i = 0; i < report->num_disks; i++)
		json_array_append_new(list, disk_json(&report->disks[i]));
	*result = json_pack("{s:o}", "disks", list);
	return *result ? 0 : rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}

static int report_resize(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct blk_report *report = ctx;
	const char *name = report->disks[0].name;
	struct blk_disk *disk = NULL;
	unsigned i;
	int ret;

	if (rpc_unpack(params, error, "{s?s}", "disk", &name))
		return RPC_INVALID_PARAMS;
	for (i = 0; i < report->num_disks; i++)
		if (!strcmp(report->disks[i].name, name))
			disk = &report->disks[i];
	if (!disk)
		return rpc_fail(error, RPC_INVALID_PARAMS, "no disk '%s'; see: stats", name);
	ret = blk_disk_resize(disk);
	if (ret == -ENOTSUP)
		return rpc_fail(error, RPC_FAILED, "%s has a fixed size", disk->opt->image.file);
	if (ret == -EINVAL)
		return rpc_fail(error, RPC_FAILED,
				"%s is smaller than before, or not a multiple of %u bytes; only "
				"growing is possible",
				disk->opt->image.file, disk->image.block_bytes);
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "%s: %s", disk->opt->image.file, strerror(-ret));
	*result = json_pack("{s:s, s:I}", "disk", disk->name, "capacity_bytes",
			    (json_int_t)disk->image.capacity_bytes);
	return 0;
}

const struct rpc_method blk_report_methods[] = {
	{"stats", "", "disks, queues, errors by cause and latencies by request type", report_stats},
	{"resize", "[disk=NAME]", "take over a grown image and tell the guest", report_resize},
};
const size_t blk_report_num_methods = ARRAY_SIZE(blk_report_methods);
