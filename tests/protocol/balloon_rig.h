/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_rig.h - a guest with a balloon at the real ringside-balloon, without a VM: every page of its
 * memory has a pattern of its own, and which of them are in the host's hands is looked at in the file.
 * Tests only. The daemon is that of blk_daemon.h; run_balloon_suite() says which.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BALLOON_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_BALLOON_RIG_H

#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>

#include "balloon/queues.h"
#include "tests/protocol/blk_daemon.h"
#include "vhost/frontend/frontend.h"

#define PAGE_BYTES    4096u
#define GUEST_GPA     0x40000000ull
#define GUEST_HOLE    (1ull << 30) /* between the end of a region and the next */
#define GUEST_PAGES   1024u /* of each region, those the device itself uses apart */
#define HUGE_PAGES    512u /* pages of 4 KiB in one of 2 MiB */
#define WORK_PAGES    512u /* the first ones of guest memory: rings and buffers */
#define MAX_PFNS      (262144u + 1024)
#define BALLOON_RING  64
#define OWN(feature)  VU_BIT(VIRTIO_BALLOON_F_##feature)
#define ALL_OWN       0x3full /* features of a balloon */
#define CONFIG_ACTUAL offsetof(struct virtio_balloon_config, actual)
#define CONFIG_POISON offsetof(struct virtio_balloon_config, poison_val)

/* Who counts the queues. */
enum numbering {
	AS_LINUX, /* those negotiated */
	AS_QEMU, /* those offered */
	AS_SPECIFIED, /* all */
	NUMBERINGS
};

struct guest_options {
	uint64_t without; /* features the driver does not have */
	enum numbering numbering;
	bool packed;
	bool huge; /* on 2 MiB pages */
	unsigned regions; /* 0: one */
	unsigned
		guard_pages; /* of its file on either side of each region, which are not the guest's */
	unsigned pages; /* of each region; 0: GUEST_PAGES */
	unsigned spare_mib; /* more of the first region, which is never touched */
};

/* A page of guest memory or of the guards around it, but not of the work area. */
struct page {
	uint8_t *host;
	uint32_t pfn;
	unsigned region;
	uint64_t offset; /* in its file */
	uint32_t version; /* of its pattern */
	bool guard; /* not the guest's: its pfn is that of no memory */
	bool gone; /* it should be with the host */
};

struct balloon {
	struct fe fe;
	struct fe_memory mem;
	struct guest_options opt;
	struct page *pages; /* those that are the guest's first */
	unsigned num_pages; /* of the guest; guards follow */
	unsigned num_all;
	uint64_t told_bytes; /* of guest memory, the work area included */
	struct fe_ring ring[BAL_MAX_QUEUES]; /* by role */
	unsigned number[BAL_MAX_QUEUES]; /* of the ring, for the wire */
	unsigned roles; /* a bit for each queue that was negotiated */
	struct fe_mem pfns; /* MAX_PFNS of 32 bits */
	struct fe_mem misc; /* 64 KiB for other buffers */
};

/* run_balloon_suite - the main() of a test. */
int run_balloon_suite(Suite *suite);

/* balloon_open - lay out, connect to @socket, negotiate, share memory and start all rings. @opt may be
 * NULL. The steps: lay_out makes memory and rings; connect negotiates; share tells of the memory. */
void balloon_open(struct balloon *b, const char *socket, const struct guest_options *opt);
void balloon_lay_out(struct balloon *b, const struct guest_options *opt);
void balloon_connect(struct balloon *b, const char *socket);
void balloon_share(struct balloon *b);
void balloon_start_rings(struct balloon *b);
void balloon_stop_rings(struct balloon *b);

/* balloon_drop - hang up; memory and rings stay, as they do when a back-end dies. balloon_close - hang
 * up and free all. */
void balloon_drop(struct balloon *b);
void balloon_close(struct balloon *b);

/* balloon_region - region @index as the back-end is told of it. */
struct vu_region balloon_region(const struct balloon *b, unsigned index);

/* balloon_submit - a chain into the ring of @role, kicked. balloon_wait - until the next is used.
 * Return: the used length. balloon_chain - both. */
void balloon_submit(struct balloon *b, enum bal_role role, const struct fe_buf *bufs,
		    unsigned num_out, unsigned num_in);
uint32_t balloon_wait(struct balloon *b, enum bal_role role);
uint32_t balloon_chain(struct balloon *b, enum bal_role role, const struct fe_buf *bufs,
		       unsigned num_out, unsigned num_in);

/* balloon_say - page frame numbers, whatever they are, in one readable buffer. */
void balloon_say(struct balloon *b, enum bal_role role, const uint32_t *pfns, unsigned num);

/* balloon_inflate, balloon_deflate - pages by their number in @b->pages. Those that go in are gone from
 * here on; those that come out are written to once the device has answered. */
void balloon_inflate(struct balloon *b, const unsigned *pages, unsigned num);
void balloon_deflate(struct balloon *b, const unsigned *pages, unsigned num);

/* balloon_report - [first, first + num) of @b->pages as one buffer of a report; nothing is expected. */
void balloon_report(struct balloon *b, unsigned first, unsigned num);

/* balloon_gone - [first, first + num) are expected to be, or not to be, with the host. */
void balloon_gone(struct balloon *b, unsigned first, unsigned num, bool gone);

/*
 * balloon_settles - within 5 s the files have as many blocks as there should be pages in them, and each
 * page has its pattern, or is a hole. balloon_stays - the same, after what is gathered was given back.
 */
void balloon_settles(struct balloon *b);
void balloon_stays(struct balloon *b);

/* balloon_write - a new pattern into the page. balloon_blocks - bytes that the files hold. */
void balloon_write(struct balloon *b, unsigned page);
uint64_t balloon_blocks(const struct balloon *b);

/* balloon_set_word, balloon_word - 4 bytes of the configuration space at @offset. */
int balloon_set_word(struct balloon *b, uint32_t offset, uint32_t value);
uint32_t balloon_word(struct balloon *b, uint32_t offset);

/* balloon_get - of balloon.get's guest @vm, a value by keys such as "counters/inflated_pages"; the
 * caller's to drop. balloon_number - an integer there, or -1. balloon_ask - of a method: was it done? */
json_t *balloon_get(unsigned vm, const char *keys);
int64_t balloon_number(unsigned vm, const char *keys);
bool balloon_ask(const char *arguments);

/* shuffle - 0 to @num - 1 in any order. The caller frees. */
unsigned *shuffle(unsigned num, unsigned seed);

#endif
