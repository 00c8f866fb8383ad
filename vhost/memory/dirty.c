/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty.c - see dirty.h. Layer L2, control thread.
 */
#include "vhost/memory/dirty.h"

#include <errno.h>

#include "vhost/memory/map.h"

int mem_dirty_map(struct mem_dirty *dirty, int fd, uint64_t offset, uint64_t bytes, int fault_fd)
{
	struct mem_map map;
	uint64_t pages;
	int ret;

	if (mul_overflows(bytes, (uint64_t)8, &pages))
		return -EINVAL;
	ret = mem_map(&map, fd, offset, bytes, fault_fd);
	if (ret < 0)
		return ret;
	*dirty = (struct mem_dirty){
		.bits = map.host,
		.pages = pages,
		.map_base = map.base,
		.map_bytes = map.bytes,
	};
	return 0;
}

void mem_dirty_unmap(struct mem_dirty *dirty)
{
	struct mem_map map = {.base = dirty->map_base, .bytes = dirty->map_bytes};

	mem_unmap(&map);
	*dirty = (struct mem_dirty){0};
}
