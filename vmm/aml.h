/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aml.h - write ACPI Machine Language: as much of it as a DSDT needs that describes and hardly
 * computes. VMM, main thread. ACPI 6.3 chapter 20, resource descriptors section 6.4.
 */
#ifndef RINGSIDE_VMM_AML_H
#define RINGSIDE_VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t room;
	size_t bytes; /* written so far */
	bool full; /* there was no room: what is written is of no use */
};

void aml_init(struct aml *aml, void *data, size_t room);

/*
 * Everything written between one of these and aml_end() of what it returned lies within it. A name
 * has up to four characters; in front of it may stand a '\'.
 */
size_t aml_scope(struct aml *aml, const char *name);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_method(struct aml *aml, const char *name, unsigned num_args); /* serialized */
size_t aml_package(struct aml *aml, unsigned num_elements);
size_t aml_if(struct aml *aml); /* the condition, then what is done */
void aml_end(struct aml *aml, size_t begun);

/* aml_name - what is written next is called @name. */
void aml_name(struct aml *aml, const char *name);

/* A value. aml_uuid: @text as "33db4d5b-1ff7-401c-9657-7441c03dd766"; aml_eisa_id: as "PNP0A08". */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *text);
void aml_uuid(struct aml *aml, const char *text);
void aml_ref(struct aml *aml, const char *name); /* what @name stands for */

/* An operator; its operands are written behind it. */
enum aml_op {
	AML_ARG0 = 0x68,
	AML_ARG3 = 0x6b,
	AML_OR = 0x7d, /* a, b, where to */
	AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, offset, its name by aml_ref() */
	AML_LEQUAL = 0x93,
	AML_RETURN = 0xa4,
};
void aml_op(struct aml *aml, enum aml_op op);

/* A list of resources: any of the six between its begin and end. All that follows is about ranges
 * by their first address and their length. */
size_t aml_resources(struct aml *aml);
void aml_end_resources(struct aml *aml, size_t begun);
void aml_io(struct aml *aml, uint16_t base, uint8_t bytes);
void aml_irq(struct aml *aml, unsigned irq); /* edge, active high, not shared */
void aml_memory(struct aml *aml, uint32_t base, uint32_t bytes);
void aml_bus_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_io_window(struct aml *aml, uint16_t base, uint32_t bytes);
void aml_memory_window(struct aml *aml, uint32_t base, uint32_t bytes); /* not cached */

#endif
