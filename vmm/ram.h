/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram.h - guest RAM: sealed memfds, split around the PCI hole, placed and populated as asked.
 * VMM, start-up; afterwards read by any thread.
 */
#ifndef RINGSIDE_VMM_RAM_H
#define RINGSIDE_VMM_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost/frontend/memory.h"

/* The first MiB is for tables, and the kernel lies behind it. A memory slot of KVM's has fewer than
 * 2^31 pages, and what lies above 4 GiB is one slot. */
#define RAM_MIN_BYTES (2ull << 20)
#define RAM_MAX_BYTES (4ull << 40)

struct ram_options {
	uint64_t size; /* bytes; whole pages of the size chosen */
	bool hugepages; /* of 2 MiB */
	int numa_node; /* -1: as the kernel likes */
	bool prealloc;
};

struct ram {
	struct fe_memory mem; /* low region first; this is what back-ends are told */
	uint64_t size;
};

/*
 * ram_create - reserve, place and, if asked, populate it: as many threads as there are CPUs, gone
 * when it returns; progress on stderr where it takes longer than two seconds and stderr is a
 * terminal. On failure @error has the one line for the operator, and nothing stays.
 * Return: 0 or -errno.
 */
int ram_create(struct ram *ram, const struct ram_options *opt, char *error, size_t error_bytes);
void ram_free(struct ram *ram);

/* ram_host - host address of [@gpa, @gpa + @bytes), or NULL where that is not RAM of one region. */
static inline void *ram_host(const struct ram *ram, uint64_t gpa, uint64_t bytes)
{
	return fe_memory_host(&ram->mem, gpa, bytes);
}

#endif
