/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_recorder.h - a hypervisor that keeps book of what the board asks of it, and may refuse.
 * Tests and fuzzers only. What KVM would not take either ends the test.
 */
#ifndef RINGSIDE_TESTS_UNIT_VMM_RECORDER_H
#define RINGSIDE_TESTS_UNIT_VMM_RECORDER_H

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "vhost/base/eventfd.h"
#include "vhost/base/util.h"
#include "vmm/hv.h"

#define RECORDER_MAX 4096

struct recorder {
	struct hv hv;
	struct recorder_ioeventfd {
		uint64_t gpa;
		unsigned bytes;
		int fd;
	} ioeventfds[RECORDER_MAX];
	unsigned num_ioeventfds;
	struct recorder_irqfd {
		unsigned gsi;
		int fd;
	} irqfds[RECORDER_MAX];
	unsigned num_irqfds;
	unsigned num_raised_by_add; /* irqfds whose counter was not 0 when they were added */
	struct recorder_route {
		bool set;
		uint64_t addr;
		uint32_t data;
	} routes[HV_MAX_GSIS];
	unsigned num_route_calls;
	bool lines[HV_ISA_GSIS];
	unsigned num_line_calls;
	unsigned line_rises[HV_ISA_GSIS]; /* from low to high */
	/* What it answers, 0: as it should. */
	int ioeventfd_error, irqfd_error, route_error;
	bool no_any_length; /* -EINVAL for an ioeventfd of any size */
};

static inline struct recorder *recorder_of(struct hv *hv)
{
	return container_of(hv, struct recorder, hv);
}

static inline int recorder_ioeventfd_add(struct hv *hv, uint64_t gpa, unsigned bytes, int fd)
{
	struct recorder *rec = recorder_of(hv);

	if (rec->ioeventfd_error)
		return rec->ioeventfd_error;
	if (rec->no_any_length && bytes == 0)
		return -EINVAL;
	for (unsigned i = 0; i < rec->num_ioeventfds; i++)
		if (rec->ioeventfds[i].gpa == gpa)
			return -EEXIST;
	assert(fd >= 0 && rec->num_ioeventfds < RECORDER_MAX);
	rec->ioeventfds[rec->num_ioeventfds++] = (struct recorder_ioeventfd){gpa, bytes, fd};
	return 0;
}

static inline void recorder_ioeventfd_del(struct hv *hv, uint64_t gpa, unsigned bytes, int fd)
{
	struct recorder *rec = recorder_of(hv);

	for (unsigned i = 0; i < rec->num_ioeventfds; i++) {
		struct recorder_ioeventfd *e = &rec->ioeventfds[i];

		if (e->gpa != gpa || e->bytes != bytes || e->fd != fd)
			continue;
		*e = rec->ioeventfds[--rec->num_ioeventfds];
		return;
	}
	assert(!"an ioeventfd that is not there is removed");
}

static inline int recorder_irqfd_add(struct hv *hv, unsigned gsi, int fd)
{
	struct recorder *rec = recorder_of(hv);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	assert(gsi >= HV_ISA_GSIS && gsi < HV_MAX_GSIS && fd >= 0);
	if (rec->irqfd_error)
		return rec->irqfd_error;
	rec->num_raised_by_add += poll(&pfd, 1, 0) == 1;
	assert(rec->routes[gsi].set);
	for (unsigned i = 0; i < rec->num_irqfds; i++)
		assert(rec->irqfds[i].fd != fd);
	assert(rec->num_irqfds < RECORDER_MAX);
	rec->irqfds[rec->num_irqfds++] = (struct recorder_irqfd){gsi, fd};
	return 0;
}

static inline void recorder_irqfd_del(struct hv *hv, unsigned gsi, int fd)
{
	struct recorder *rec = recorder_of(hv);

	for (unsigned i = 0; i < rec->num_irqfds; i++) {
		if (rec->irqfds[i].gsi != gsi || rec->irqfds[i].fd != fd)
			continue;
		rec->irqfds[i] = rec->irqfds[--rec->num_irqfds];
		eventfd_drain(fd); /* as KVM does: it has been raised */
		return;
	}
	assert(!"an irqfd that is not there is removed");
}

static inline int recorder_msi_route(struct hv *hv, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct recorder *rec = recorder_of(hv);

	assert(gsi >= HV_ISA_GSIS && gsi < HV_MAX_GSIS);
	if (rec->route_error)
		return rec->route_error;
	rec->routes[gsi] = (struct recorder_route){true, addr, data};
	rec->num_route_calls++;
	return 0;
}

static inline void recorder_irq_line(struct hv *hv, unsigned gsi, bool level)
{
	struct recorder *rec = recorder_of(hv);

	assert(gsi < HV_ISA_GSIS);
	rec->line_rises[gsi] += level && !rec->lines[gsi];
	rec->lines[gsi] = level;
	rec->num_line_calls++;
}

static inline void recorder_init(struct recorder *rec)
{
	static const struct hv_ops ops = {
		.ioeventfd_add = recorder_ioeventfd_add,
		.ioeventfd_del = recorder_ioeventfd_del,
		.irqfd_add = recorder_irqfd_add,
		.irqfd_del = recorder_irqfd_del,
		.msi_route = recorder_msi_route,
		.irq_line = recorder_irq_line,
	};

	memset(rec, 0, sizeof(*rec));
	rec->hv.ops = &ops;
}

/* recorder_gsi_of - the GSI that @fd raises; 0: none. */
static inline unsigned recorder_gsi_of(const struct recorder *rec, int fd)
{
	for (unsigned i = 0; i < rec->num_irqfds; i++)
		if (rec->irqfds[i].fd == fd)
			return rec->irqfds[i].gsi;
	return 0;
}

/* recorder_kick_fd - the fd that a write at @gpa signals; -1: none. */
static inline int recorder_kick_fd(const struct recorder *rec, uint64_t gpa)
{
	for (unsigned i = 0; i < rec->num_ioeventfds; i++)
		if (rec->ioeventfds[i].gpa == gpa)
			return rec->ioeventfds[i].fd;
	return -1;
}

#endif
