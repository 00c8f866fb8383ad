/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - see report.h. Layer L4, beside the back-end. Control thread.
 */
#include "vhost/daemon/report.h"

static json_t *bad_chains_json(const struct virtqueue *vq)
{
	json_t *bad = json_object();
	unsigned i;

	for (i = VQ_CHAIN_OK + 1; i < VQ_CHAIN_ERRORS; i++)
		if (vq_count(&vq->count.bad_chains[i]))
			json_object_set_new(
				bad, vq_chain_error_name(i),
				json_integer((json_int_t)vq_count(&vq->count.bad_chains[i])));
	return bad;
}

static void add_ring(struct virtqueue *vq, const char *state, bool enabled, void *arg)
{
	json_t **rings = arg;

	rings[vq->index] = json_pack("{s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:o}", "state", state,
				     "enabled", enabled, "size", vq->size, "chains",
				     (json_int_t)vq_count(&vq->count.chains), "kicks",
				     (json_int_t)vq_count(&vq->count.kicks), "calls",
				     (json_int_t)vq_count(&vq->count.calls), "ring_errors",
				     (json_int_t)vq_count(&vq->count.ring_errors), "bad_chains",
				     bad_chains_json(vq));
}

void daemon_rings_json(struct vu_device *dev, json_t *rings[VU_MAX_RINGS])
{
	unsigned i;

	for (i = 0; i < VU_MAX_RINGS; i++)
		rings[i] = NULL;
	vu_device_each_queue(dev, add_ring, rings);
}
