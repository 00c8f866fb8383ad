/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_config.c - the configuration space: what the driver writes, and what the back-end
 * changes.
 * VMM; board lock held. vhost_user_config_written() and vhost_user_forget_config() on any thread, the
 * rest on the main thread.
 *
 * A driver reads back at once what it wrote, and believes it: so dev->config changes first, and the
 * back-end is told by the next turn of the loop. One without a connection is told when it has one.
 */
#include <string.h>

#include "vmm/vhost_user_part.h"

void vhost_user_config_written(struct virtio_device *dev, unsigned offset, unsigned bytes,
			       const uint8_t *data)
{
	struct vhost_user *vu = vhost_user_of(dev);

	if (bytes > dev->config_bytes || offset > dev->config_bytes - bytes ||
	    !vu->kind->may_write(vu, offset, bytes))
		return;
	memcpy(dev->config + offset, data, bytes);
	memset(vu->config_dirty + offset, true, bytes);
	memset(vu->config_written + offset, true, bytes);
	vhost_user_wake(vu);
}

/* --- to the back-end --- */

static void on_written(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	(void)p;
	(void)reply;
	vu->config_writes--;
	if (error) {
		log_warn_limited(&vu->limit, vu->name,
				 "the back-end refuses what the driver wrote to its configuration");
		vu->config_stale = true; /* the driver is to see what counts */
	}
	vhost_user_act(vu);
}

/* may_send - what a driver wrote counts with its features, so they are told first. What is undone
 * after it went does not wait for another. */
static bool may_send(const struct vhost_user *vu, unsigned at)
{
	return vu->config_dirty[at] && (vu->prepared != PREPARED_NOT || !vu->config_written[at]);
}

/* write_dirty - every stretch of bytes, since all are to be known before a ring starts. */
static void write_dirty(struct vhost_user *vu)
{
	unsigned begin = 0, end;
	struct vu_msg msg;

	for (; begin < vu->dev.config_bytes; begin = end + 1) {
		for (end = begin; end < vu->dev.config_bytes && may_send(vu, end); end++)
			vu->config_dirty[end] = false;
		if (end == begin || !(vu->backend.protocol & VU_BIT(VU_PF_CONFIG)))
			continue;
		fe_msg_config(&msg, begin, end - begin, 0, vu->dev.config + begin);
		vu->config_writes++;
		fe_pipeline_request(&vu->pipe, &msg, on_written, vu);
	}
}

bool vhost_user_config_told(const struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev.config_bytes; i++)
		if (vu->config_dirty[i] && vu->config_written[i])
			return false;
	return true;
}

/* --- from it --- */

bool vhost_user_apply_config(struct vhost_user *vu)
{
	uint8_t fresh[VIRTIO_CONFIG_BYTES];
	bool changed;

	memcpy(fresh, vu->backend.config, sizeof(fresh));
	vu->kind->merge_config(vu, fresh);
	/* What the driver wrote and the back-end was not told yet. */
	for (unsigned i = 0; i < vu->dev.config_bytes; i++)
		if (vu->config_dirty[i])
			fresh[i] = vu->dev.config[i];
	changed = memcmp(vu->dev.config, fresh, vu->dev.config_bytes) != 0;
	memcpy(vu->dev.config, fresh, vu->dev.config_bytes);
	return changed;
}

/* take_config - Return: false, the session is over. */
static bool take_config(struct vhost_user *vu, int error, const struct vu_msg *reply)
{
	if (error)
		return true; /* what was known counts */
	if (fe_check_config(reply, 0, vu->config_bytes)) {
		fe_pipeline_fail(&vu->pipe, "its reply to GET_CONFIG is about something else");
		return false;
	}
	memcpy(vu->backend.config, reply->payload.config.data, vu->config_bytes);
	if (vhost_user_apply_config(vu))
		virtio_config_changed(&vu->dev);
	return true;
}

static void on_config(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	(void)p;
	vu->config_asked = false;
	if (take_config(vu, error, reply))
		vhost_user_act(vu);
}

static void on_refreshed(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	vu->pending--;
	on_config(p, error, reply, arg);
}

static bool has_config(const struct vhost_user *vu)
{
	return vu->backend.protocol & VU_BIT(VU_PF_CONFIG) && vu->config_bytes;
}

static void ask_config(struct vhost_user *vu, fe_pipeline_fn fn)
{
	struct vu_msg msg;

	vu->config_stale = false;
	vu->config_asked = true;
	fe_msg_config(&msg, 0, vu->config_bytes, 0, NULL);
	fe_pipeline_query(&vu->pipe, &msg, msg.hdr.size, 0, fn, vu);
}

void vhost_user_refresh_config(struct vhost_user *vu)
{
	if (!has_config(vu))
		return;
	vu->pending++;
	ask_config(vu, on_refreshed);
}

/* One at a time, whatever the rate at which driver and back-end come with something new; and a read
 * never meets a write, or it could bring back what was before. */
void vhost_user_sync_config(struct vhost_user *vu)
{
	if (vu->config_asked || vu->config_writes)
		return;
	write_dirty(vu);
	if (vu->config_stale && !vu->config_writes && has_config(vu))
		ask_config(vu, on_config);
}

void vhost_user_lose_config(struct vhost_user *vu)
{
	vu->config_asked = vu->config_stale = false;
	vu->config_writes = 0;
	memcpy(vu->config_dirty, vu->config_written, sizeof(vu->config_dirty));
}

void vhost_user_forget_config(struct vhost_user *vu, bool tell)
{
	for (unsigned i = 0; i < vu->dev.config_bytes; i++) {
		if (!vu->config_written[i])
			continue;
		vu->dev.config[i] = vu->initial_config[i];
		vu->config_dirty[i] = tell && vhost_user_connected(vu);
		vu->config_written[i] = false;
		vhost_user_wake(vu);
	}
}
