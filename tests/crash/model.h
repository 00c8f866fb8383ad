/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.h - what each sector of a disk may read as, given which writes were submitted and which
 * were acknowledged. Tests only, one thread.
 *
 * Every change of a sector is a version with the times at which it was submitted and acknowledged.
 * A version dies when a later one, submitted after it had been acknowledged, is acknowledged: from
 * then on no read may show it again. Versions that were in flight together live together, until a
 * read that nothing overlaps has shown which of them came last.
 *
 * The content of a sector names its disk, its place and its version, so that one that is wrong
 * says where it came from.
 */
#ifndef RINGSIDE_TESTS_CRASH_MODEL_H
#define RINGSIDE_TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u

enum change {
	CHANGE_WRITE,
	CHANGE_ZERO, /* reads as zeroes afterwards */
	CHANGE_DISCARD, /* as zeroes, or as if nothing had happened */
};

struct version {
	uint32_t id; /* 0: the disk as it was at first */
	enum change change;
	uint64_t submitted; /* times of the model */
	uint64_t acked; /* UINT64_MAX: not yet */
	uint64_t died; /* UINT64_MAX: not yet */
};

#define CELL_VERSIONS 32

struct cell {
	unsigned num;
	struct version versions[CELL_VERSIONS];
};

struct model {
	uint32_t num_sectors;
	uint32_t seed;
	uint64_t now; /* goes up at every submission and every completion */
	struct cell *cells;
};

/* model_init - a disk of @num_sectors that reads as zeroes. Return: 0 or -ENOMEM. */
int model_init(struct model *model, uint32_t num_sectors, uint32_t seed);

void model_free(struct model *model);

/* model_fill - the content of version @id of @num sectors from @sector. */
void model_fill(const struct model *model, uint32_t sector, uint32_t num, uint32_t id, void *out);

/* model_writing - is a change of any of these sectors in flight? */
bool model_writing(const struct model *model, uint32_t sector, uint32_t num);

/*
 * model_submit - version @id of these sectors is about to be submitted. @oldest_read: when the
 * oldest read in flight was; what died before is forgotten.
 * Return: false when a sector has too many versions alive already: submit something else.
 */
bool model_submit(struct model *model, uint32_t sector, uint32_t num, uint32_t id,
		  enum change change, uint64_t oldest_read);

/* model_ack - it was completed. */
void model_ack(struct model *model, uint32_t sector, uint32_t num, uint32_t id);

/*
 * model_check - may these sectors read as @data, in a read that was submitted at @since and is
 * complete now? Return: whether; if not, @why says what is wrong with the first bad sector.
 */
bool model_check(struct model *model, uint32_t sector, uint32_t num, const void *data,
		 uint64_t since, char *why, size_t why_bytes);

#endif
