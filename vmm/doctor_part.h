/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_part.h - the rows of ringside-vmm doctor. VMM; internal to doctor*.c, main thread.
 */
#ifndef RINGSIDE_VMM_DOCTOR_PART_H
#define RINGSIDE_VMM_DOCTOR_PART_H

#include <stdbool.h>
#include <stddef.h>

#include "vhost/base/util.h"

/* A failure keeps every VM from running; a warning costs something, or some guests. */
enum doctor_status { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILURE, DOCTOR_NUM_STATUSES };

struct doctor_row {
	enum doctor_status status;
	char detail[512]; /* what is found */
	char hint[512]; /* what to type about it; "": nothing */
};

/* What later rows need of earlier ones. */
struct doctor {
	bool virtualised; /* the host is a guest itself */
	const char *kvm_module; /* the one that fits this CPU */
	const char *provider; /* the one that is loaded, or NULL */
	char provider_name[64];
	int kvm_fd; /* -1: /dev/kvm is not open */
	bool guest_runs;
	bool has_vfio;
};

/* doctor_found - the row's status and detail; doctor_hint - what to type. */
void doctor_found(struct doctor_row *row, enum doctor_status status, const char *fmt, ...)
	printf_like(3, 4);
void doctor_hint(struct doctor_row *row, const char *fmt, ...) printf_like(2, 3);

/* doctor_read_line - the first line of the file @path, without its end. Return: was there one? */
bool doctor_read_line(const char *path, char *line, size_t bytes);

/* Each fills in its row, in the order in which a person would look. doctor_kvm.c: */
void doctor_cpu(struct doctor *doctor, struct doctor_row *row);
void doctor_module(struct doctor *doctor, struct doctor_row *row);
void doctor_device(struct doctor *doctor, struct doctor_row *row);
void doctor_access(struct doctor *doctor, struct doctor_row *row);
void doctor_version(struct doctor *doctor, struct doctor_row *row);
void doctor_capabilities(struct doctor *doctor, struct doctor_row *row);
void doctor_guest(struct doctor *doctor, struct doctor_row *row);
void doctor_stock_kernels(struct doctor *doctor, struct doctor_row *row);
void doctor_nested(struct doctor *doctor, struct doctor_row *row);

/* doctor_host.c: */
void doctor_memfd(struct doctor *doctor, struct doctor_row *row);
void doctor_memory(struct doctor *doctor, struct doctor_row *row);
void doctor_hugepages(struct doctor *doctor, struct doctor_row *row);
void doctor_memlock(struct doctor *doctor, struct doctor_row *row);
void doctor_numa(struct doctor *doctor, struct doctor_row *row);
void doctor_seccomp(struct doctor *doctor, struct doctor_row *row);
void doctor_io_uring(struct doctor *doctor, struct doctor_row *row);

/* doctor_net.c: */
void doctor_tun(struct doctor *doctor, struct doctor_row *row);
void doctor_vfio(struct doctor *doctor, struct doctor_row *row);
void doctor_nics(struct doctor *doctor, struct doctor_row *row);

#endif
