/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_verify.c - knows what every block must hold, and checks what comes back.
 * Worker thread; each queue has its own part of the disk, so that nothing is shared.
 *
 * A block's content follows from its number and the count of writes to it, so the shadow of the
 * disk is one number a block. A block is in one request at a time: with two, either outcome would
 * be right. What was never written is not checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/log.h"

#define SHADOW_MAX_BLOCKS (64u << 20)
#define MAX_REPORTS       10

int shadow_init(struct load_queue *q, unsigned num_queues)
{
	struct load_shadow *shadow = &q->shadow;

	if (q->num_blocks > SHADOW_MAX_BLOCKS / num_queues)
		return -E2BIG;
	shadow->num_blocks = q->num_blocks;
	shadow->generation = calloc(q->num_blocks, sizeof(*shadow->generation));
	shadow->busy = calloc(q->num_blocks, sizeof(*shadow->busy));
	return shadow->generation && shadow->busy ? 0 : -ENOMEM;
}

void shadow_free(struct load_queue *q)
{
	free(q->shadow.generation);
	free(q->shadow.busy);
}

static uint64_t pattern_key(const struct load_queue *q, uint64_t block, uint32_t generation)
{
	uint64_t state = q->options->seed ^ (block << 24) ^ generation;

	return load_next_random(&state);
}

static uint64_t pattern_word(uint64_t key, uint32_t i)
{
	uint64_t word = (key + i) * 0x9e3779b97f4a7c15u;

	return word ^ (word >> 29);
}

static void pattern_fill(uint8_t *data, uint32_t bytes, uint64_t key)
{
	uint32_t i;

	/* Copied, since --misalign puts words anywhere. */
	for (i = 0; i < bytes / sizeof(uint64_t); i++) {
		uint64_t word = pattern_word(key, i);

		memcpy(data + i * sizeof(word), &word, sizeof(word));
	}
}

static void pattern_check(struct load_queue *q, const struct load_slot *slot, uint64_t key)
{
	uint64_t word;
	uint32_t i;

	q->shadow.checked++;
	for (i = 0; i < q->block_bytes / sizeof(word); i++) {
		memcpy(&word, slot->data + i * sizeof(word), sizeof(word));
		if (likely(word == pattern_word(key, i)))
			continue;
		if (q->shadow.mismatches++ < MAX_REPORTS)
			log_error("verify",
				  "queue %u, disk offset %llu, byte %zu of the block: got %016llx, "
				  "expected %016llx",
				  q->index, (unsigned long long)(slot->block * q->block_bytes),
				  i * sizeof(word), (unsigned long long)word,
				  (unsigned long long)pattern_word(key, i));
		return;
	}
}

static bool sweep_next(struct load_shadow *shadow, uint64_t *block)
{
	while (shadow->sweep < shadow->num_blocks) {
		*block = shadow->sweep++;
		if (shadow->generation[*block])
			return true;
	}
	return false;
}

bool shadow_pick(struct load_queue *q, struct load_slot *slot, enum load_op op)
{
	struct load_shadow *shadow = &q->shadow;
	uint64_t block;

	if (q->sweeping) {
		if (!sweep_next(shadow, &block))
			return false;
	} else {
		block = q->sequential ? q->next_block++
				      : load_below(load_next_random(&q->rng), q->num_blocks);
		/* There are more blocks than requests (checked at set-up), so this ends. */
		while (block >= q->num_blocks || shadow->busy[block])
			block = block + 1 < q->num_blocks ? block + 1 : 0;
		if (q->sequential)
			q->next_block = block + 1;
	}
	shadow->busy[block] = 1;
	slot->block = q->first_block + block;
	if (op == LOAD_WRITE)
		pattern_fill(slot->data, q->block_bytes,
			     pattern_key(q, slot->block, shadow->generation[block] + 1));
	else
		memset(slot->data, 0xa5, q->block_bytes); /* a read that delivers nothing is seen */
	return true;
}

void shadow_done(struct load_queue *q, const struct load_slot *slot, bool ok)
{
	struct load_shadow *shadow = &q->shadow;
	uint64_t block = slot->block - q->first_block;

	shadow->busy[block] = 0;
	if (slot->op == LOAD_WRITE)
		/* A write that failed may have written anything: no longer known. */
		shadow->generation[block] = ok ? shadow->generation[block] + 1 : 0;
	else if (ok && shadow->generation[block])
		pattern_check(q, slot, pattern_key(q, slot->block, shadow->generation[block]));
}
