/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_dirty_reuse.c - the dirty log does not depend on what a struct vq_chain held before:
 * devices use theirs again.
 */
#include "tests/unit/ring_rig.h"

#define PAGES     1024
#define DATA_PAGE (GPA_DATA >> MEM_DIRTY_PAGE_SHIFT)

static uint8_t bits[PAGES / 8];
static struct mem_dirty dirty = {.bits = bits, .pages = PAGES};

static bool marked(uint64_t page)
{
	return bits[page / 8] & 1u << page % 8;
}

/* Head 0: readable after writable, with a status byte at the end. Head 2: three pages to write. */
static void lay_out(void)
{
	struct vring_desc *desc = at(GPA_A);
	struct vring_avail *avail = at(GPA_A + 0x8000);

	desc[0] = (struct vring_desc){GPA_B, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){GPA_B + 16, 16, VRING_DESC_F_NEXT, 3};
	desc[3] = (struct vring_desc){GPA_B + 32, 1, VRING_DESC_F_WRITE, 0};
	desc[2] = (struct vring_desc){GPA_DATA, 3 * 4096, VRING_DESC_F_WRITE, 0};
	avail->ring[0] = 0;
	avail->ring[1] = 2;
	avail->idx = 2;
}

START_TEST(a_good_chain_after_a_bad_one_is_logged)
{
	lay_out();
	memset(bits, 0, sizeof(bits));
	rig_attach(false, RIG_SIZE, 0, 0);
	vq_detach(&r.vq);
	r.setup.dirty = &dirty;
	r.setup.max_iov = RIG_IOV;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);

	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(r.chain.error, VQ_CHAIN_ORDER);
	ck_assert_ptr_eq(r.chain.last_byte, at(GPA_B + 32));
	vq_push(&r.vq, r.chain.head, 1);
	ck_assert(marked(GPA_B >> MEM_DIRTY_PAGE_SHIFT));

	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(r.chain.error, VQ_CHAIN_OK);
	vq_push(&r.vq, r.chain.head, 3 * 4096);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(marked(DATA_PAGE + i));
	ck_assert(!marked(DATA_PAGE + 3));
	vq_detach(&r.vq);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("the dirty log and chains used again");
	TCase *tcase = tcase_create("reuse");

	tcase_add_checked_fixture(tcase, rig_open, rig_close);
	tcase_add_test(tcase, a_good_chain_after_a_bad_one_is_logged);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
