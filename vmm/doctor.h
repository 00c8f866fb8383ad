/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor.h - ringside-vmm doctor: what this host has, lacks, and what to type about it.
 * VMM, a program of its own within the program; main thread only.
 */
#ifndef RINGSIDE_VMM_DOCTOR_H
#define RINGSIDE_VMM_DOCTOR_H

#include <stdbool.h>

/* doctor_run - check, print a table (or JSON) on stdout.
 * Return: the program's exit code: 0 when a VM can run, else 1. */
int doctor_run(bool json);

#endif
