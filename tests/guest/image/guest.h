/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.h - what a test of the guest may ask about its run: the words of the command line.
 * Test guest, the first CPU.
 */
#ifndef RINGSIDE_GUEST_GUEST_H
#define RINGSIDE_GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/guest/image/print.h"

/* A test, as test=NAME,NAME... on the command line calls it. */
struct guest_test {
	const char *name;
	void (*run)(void);
};

/* Each ends with one that has no name. */
extern const struct guest_test board_tests[], cpu_tests[], pci_tests[], blk_tests[],
	interrupt_tests[], virtio_tests[], life_tests[], poke_tests[], port_tests[],
	hostile_tests[], balloon_tests[];

/* option - the text behind NAME= on the command line, which ends at a space or comma.
 * Return: NULL when it is not there. */
const char *option(const char *name);

/* option_is - is NAME=VALUE on the command line? */
bool option_is(const char *name, const char *value);

/* option_number - NAME's number, or @otherwise. */
uint64_t option_number(const char *name, uint64_t otherwise);

/* option_number_at - the @index-th of NAME=A,B,C; @otherwise when there are not so many. */
uint64_t option_number_at(const char *name, unsigned index, uint64_t otherwise);

/* next_word - what follows the next comma of an option's text. Return: NULL when nothing does. */
const char *next_word(const char *text);

/* What the PVH start info said. */
unsigned start_info_version(void);
unsigned start_info_map_entries(void);
bool start_info_map_entry(unsigned index, uint64_t *begin, uint64_t *bytes, uint32_t *type);

/* guest_end - the plan, and power off. */
__attribute__((noreturn)) void guest_end(void);

/* guest_stand_still - for good. */
__attribute__((noreturn)) void guest_stand_still(void);

#endif
