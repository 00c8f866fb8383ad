/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.c - see model.h. Tests only.
 */
#include "tests/crash/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/util.h"

#define NEVER UINT64_MAX
#define WORDS (SECTOR / sizeof(uint64_t))

int model_init(struct model *model, uint32_t num_sectors, uint32_t seed)
{
	uint32_t i;

	model->num_sectors = num_sectors;
	model->seed = seed;
	model->now = 1;
	model->cells = calloc(num_sectors, sizeof(*model->cells));
	if (!model->cells)
		return -ENOMEM;
	for (i = 0; i < num_sectors; i++) {
		model->cells[i].num = 1;
		model->cells[i].versions[0] =
			(struct version){.change = CHANGE_ZERO, .died = NEVER};
	}
	return 0;
}

void model_free(struct model *model)
{
	free(model->cells);
	model->cells = NULL;
}

/* Bits: 32 version, 16 sector, 6 word of the sector, 10 seed. */
static uint64_t word_of(const struct model *model, uint32_t sector, uint32_t id, unsigned i)
{
	return (uint64_t)id << 32 | (sector & 0xffff) << 16 | i << 10 | (model->seed & 0x3ff);
}

void model_fill(const struct model *model, uint32_t sector, uint32_t num, uint32_t id, void *out)
{
	uint64_t *to = out;
	unsigned i;

	for (; num--; sector++)
		for (i = 0; i < WORDS; i++)
			*to++ = word_of(model, sector, id, i);
}

static void version_fill(const struct model *model, uint32_t sector, const struct version *version,
			 uint64_t *out)
{
	if (version->change == CHANGE_WRITE)
		model_fill(model, sector, 1, version->id, out);
	else
		memset(out, 0, SECTOR);
}

bool model_writing(const struct model *model, uint32_t sector, uint32_t num)
{
	unsigned i;

	for (; num--; sector++)
		for (i = 0; i < model->cells[sector].num; i++)
			if (model->cells[sector].versions[i].acked == NEVER)
				return true;
	return false;
}

static void forget(struct cell *cell, uint64_t oldest_read)
{
	unsigned i, kept = 0;

	for (i = 0; i < cell->num; i++)
		if (cell->versions[i].died >= oldest_read)
			cell->versions[kept++] = cell->versions[i];
	cell->num = kept;
}

bool model_submit(struct model *model, uint32_t sector, uint32_t num, uint32_t id,
		  enum change change, uint64_t oldest_read)
{
	uint32_t i;

	for (i = 0; i < num; i++) {
		forget(&model->cells[sector + i], oldest_read);
		if (model->cells[sector + i].num == CELL_VERSIONS)
			return false;
	}
	model->now++;
	for (i = 0; i < num; i++) {
		struct cell *cell = &model->cells[sector + i];

		cell->versions[cell->num++] = (struct version){
			.id = id,
			.change = change,
			.submitted = model->now,
			.acked = NEVER,
			.died = NEVER,
		};
	}
	return true;
}

static void cell_ack(struct cell *cell, uint32_t id, uint64_t now)
{
	struct version *version = cell->versions, *other;

	while (version->id != id)
		version++;
	version->acked = now;
	if (version->change == CHANGE_DISCARD)
		return; /* it may have left things as they were */
	for (other = cell->versions; other < cell->versions + cell->num; other++)
		if (other->acked < version->submitted && other->died == NEVER)
			other->died = now;
}

void model_ack(struct model *model, uint32_t sector, uint32_t num, uint32_t id)
{
	model->now++;
	for (; num--; sector++)
		cell_ack(&model->cells[sector], id, model->now);
}

/* settled - was everything that lives acknowledged before @since? *@last: when the last one was. */
static bool settled(const struct cell *cell, uint64_t since, uint64_t *last)
{
	unsigned i;

	*last = 0;
	for (i = 0; i < cell->num; i++) {
		const struct version *version = &cell->versions[i];

		if (version->died != NEVER)
			continue;
		if (version->acked >= since)
			return false;
		*last = max_of(*last, version->acked);
	}
	return true;
}

/* A read showed @seen, and nothing can have changed while it ran: the others are gone for good. */
static void decide(const struct model *model, uint32_t sector, const uint64_t *seen, uint64_t since)
{
	struct cell *cell = &model->cells[sector];
	uint64_t last, content[WORDS];
	unsigned i;

	if (!settled(cell, since, &last))
		return;
	for (i = 0; i < cell->num; i++) {
		version_fill(model, sector, &cell->versions[i], content);
		if (cell->versions[i].died == NEVER && memcmp(content, seen, SECTOR))
			cell->versions[i].died = last;
	}
}

/* mixed - a read beside a write may show some of each. */
static bool mixed(const struct model *model, uint32_t sector, const uint8_t *data, uint64_t since)
{
	const struct cell *cell = &model->cells[sector];
	uint64_t content[WORDS];
	bool allowed[SECTOR] = {false}, beside = false;
	unsigned i, at;

	for (i = 0; i < cell->num; i++) {
		const struct version *version = &cell->versions[i];

		if (version->died <= since)
			continue;
		beside |= version->acked >= since;
		version_fill(model, sector, version, content);
		for (at = 0; at < SECTOR; at++)
			allowed[at] |= data[at] == ((uint8_t *)content)[at];
	}
	return beside && !memchr(allowed, false, sizeof(allowed));
}

static bool check_sector(const struct model *model, uint32_t sector, const void *data,
			 uint64_t since)
{
	const struct cell *cell = &model->cells[sector];
	uint64_t content[WORDS];
	unsigned i;

	for (i = 0; i < cell->num; i++) {
		if (cell->versions[i].died <= since)
			continue;
		version_fill(model, sector, &cell->versions[i], content);
		if (!memcmp(content, data, SECTOR)) {
			decide(model, sector, content, since);
			return true;
		}
	}
	return mixed(model, sector, data, since);
}

static int describe_seen(const struct model *model, uint32_t sector, const uint64_t *data,
			 char *out, size_t bytes)
{
	uint32_t id = (uint32_t)(data[0] >> 32);
	unsigned i, other = 0;

	for (i = 1; i < WORDS; i++)
		other += (data[i] ^ data[0]) & ~0xfc00ull ? 1 : 0;
	if (!data[0] && !other)
		return snprintf(out, bytes, "sector %u is zero", sector);
	if ((data[0] ^ word_of(model, 0, 0, 0)) & 0xffff)
		return snprintf(out, bytes, "sector %u is foreign: it begins with %016llx", sector,
				(unsigned long long)data[0]);
	return snprintf(out, bytes, "sector %u shows version %u of sector %u%s", sector, id,
			(unsigned)(data[0] >> 16 & 0xffff), other ? " in part" : "");
}

static void describe(const struct model *model, uint32_t sector, const void *data, uint64_t since,
		     char *out, size_t bytes)
{
	static const char *const names[] = {"write", "zero", "discard"};
	const struct cell *cell = &model->cells[sector];
	size_t n = (size_t)describe_seen(model, sector, data, out, bytes);
	unsigned i;

	n += (size_t)snprintf(out + n, bytes - n,
			      " in a read since %llu; known:", (unsigned long long)since);
	for (i = 0; i < cell->num && n < bytes; i++) {
		const struct version *version = &cell->versions[i];

		n += (size_t)snprintf(out + n, bytes - n, " %s %u [%llu,%lld]%s",
				      names[version->change], version->id,
				      (unsigned long long)version->submitted,
				      (long long)version->acked,
				      version->died <= since ? " superseded," : ",");
	}
}

bool model_check(struct model *model, uint32_t sector, uint32_t num, const void *data,
		 uint64_t since, char *why, size_t why_bytes)
{
	const uint64_t *at = data;

	model->now++;
	for (; num--; sector++, at += WORDS) {
		if (check_sector(model, sector, at, since))
			continue;
		describe(model, sector, at, since, why, why_bytes);
		return false;
	}
	return true;
}
