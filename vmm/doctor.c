/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor.c - see doctor.h: the rows in their order, as a table or as JSON. VMM, main thread.
 */
#include "vmm/doctor.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vmm/doctor_part.h"

static const char *const status_names[DOCTOR_NUM_STATUSES] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_FAILURE] = "failure",
};

static const struct {
	const char *name;
	void (*check)(struct doctor *doctor, struct doctor_row *row);
} checks[] = {
	{"CPU", doctor_cpu},
	{"KVM module", doctor_module},
	{"/dev/kvm", doctor_device},
	{"permission", doctor_access},
	{"KVM version", doctor_version},
	{"KVM abilities", doctor_capabilities},
	{"a guest runs", doctor_guest},
	{"stock kernels", doctor_stock_kernels},
	{"nesting", doctor_nested},
	{"memfd", doctor_memfd},
	{"memory", doctor_memory},
	{"hugepages", doctor_hugepages},
	{"NUMA", doctor_numa},
	{"locked memory", doctor_memlock},
	{"seccomp", doctor_seccomp},
	{"io_uring", doctor_io_uring},
	{"TAP devices", doctor_tun},
	{"VFIO", doctor_vfio},
	{"network cards", doctor_nics},
};

void doctor_found(struct doctor_row *row, enum doctor_status status, const char *fmt, ...)
{
	va_list args;

	row->status = status;
	va_start(args, fmt);
	vsnprintf(row->detail, sizeof(row->detail), fmt, args);
	va_end(args);
}

void doctor_hint(struct doctor_row *row, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(row->hint, sizeof(row->hint), fmt, args);
	va_end(args);
}

bool doctor_read_line(const char *path, char *line, size_t bytes)
{
	FILE *file = fopen(path, "re");
	bool there;

	if (!file)
		return false;
	there = fgets(line, (int)bytes, file) != NULL;
	if (there)
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
	return there;
}

/* --- what is said --- */

static void print_rows(const struct doctor_row *rows, bool can_run)
{
	unsigned warnings = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		printf("%-8s %-14s %s\n", status_names[rows[i].status], checks[i].name,
		       rows[i].detail);
		if (rows[i].hint[0])
			printf("%-8s %-14s -> %s\n", "", "", rows[i].hint);
		warnings += rows[i].status == DOCTOR_WARNING;
	}
	printf("\n%s; warnings: %u\n",
	       can_run ? "Virtual machines can run here" : "No virtual machine can run here",
	       warnings);
}

static json_t *row_json(const char *name, const struct doctor_row *row)
{
	return json_pack("{s:s, s:s, s:s, s:s?}", "check", name, "status",
			 status_names[row->status], "detail", row->detail, "hint",
			 row->hint[0] ? row->hint : NULL);
}

static void print_json(const struct doctor_row *rows, bool can_run)
{
	json_t *list = json_array(), *all;

	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++)
		json_array_append_new(list, row_json(checks[i].name, &rows[i]));
	all = json_pack("{s:b, s:o}", "can_run", can_run, "checks", list);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

int doctor_run(bool json)
{
	static struct doctor_row rows[ARRAY_SIZE(checks)];
	struct doctor doctor = {.kvm_fd = -1};
	bool can_run = true;

	clock_init();
	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		checks[i].check(&doctor, &rows[i]);
		can_run &= rows[i].status != DOCTOR_FAILURE;
	}
	close_fd(&doctor.kvm_fd);
	if (json)
		print_json(rows, can_run);
	else
		print_rows(rows, can_run);
	return fflush(stdout) == 0 && can_run ? 0 : 1;
}
