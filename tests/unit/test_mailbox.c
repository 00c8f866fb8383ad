/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_mailbox.c - mail from any thread arrives once, in order per sender, and wakes the owner.
 * Tests base/mailbox.
 */
#include <poll.h>
#include <stdbool.h>

#include "tests/unit/support.h"
#include "vhost/base/mailbox.h"
#include "vhost/base/util.h"

#define SENDERS    4
#define PER_SENDER 5000

struct letter {
	struct mail mail;
	unsigned sender;
	unsigned number;
};

static struct mailbox box;
static struct letter letters[SENDERS][PER_SENDER];
static unsigned next_number[SENDERS];
static unsigned runs;

static void setup(void)
{
	ck_assert_int_eq(mailbox_init(&box), 0);
	runs = 0;
}

static void teardown(void)
{
	mailbox_destroy(&box);
}

static bool readable(void)
{
	struct pollfd pfd = {.fd = box.event_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static void count_run(struct mail *mail)
{
	(void)mail;
	runs++;
}

static void free_itself(struct mail *mail)
{
	runs++;
	free(container_of(mail, struct letter, mail));
}

static void post_once_more(struct mail *mail)
{
	mailbox_post(&box, mail, count_run);
}

static void check_order(struct mail *mail)
{
	struct letter *letter = container_of(mail, struct letter, mail);

	ck_assert_uint_eq(letter->number, next_number[letter->sender]);
	next_number[letter->sender]++;
}

static void *send_all(void *arg)
{
	struct letter *mine = arg;

	for (unsigned i = 0; i < PER_SENDER; i++) {
		mine[i].number = i;
		mailbox_post(&box, &mine[i].mail, check_order);
	}
	return NULL;
}

START_TEST(readable_while_mail_waits)
{
	struct mail a, b;

	ck_assert(!readable());
	ck_assert_uint_eq(mailbox_run(&box), 0); /* an empty box does not block */
	mailbox_post(&box, &a, count_run);
	mailbox_post(&box, &b, count_run);
	ck_assert(readable());
	ck_assert_uint_eq(mailbox_run(&box), 2);
	ck_assert_uint_eq(runs, 2);
	ck_assert(!readable());
	mailbox_post(&box, &a, count_run);
	ck_assert_uint_eq(mailbox_run(&box), 1);
}
END_TEST

START_TEST(mail_may_free_what_it_is_part_of)
{
	for (unsigned i = 0; i < 3; i++) {
		struct letter *letter = calloc(1, sizeof(*letter));

		mailbox_post(&box, &letter->mail, free_itself);
	}
	ck_assert_uint_eq(mailbox_run(&box), 3);
	ck_assert_uint_eq(runs, 3);
}
END_TEST

START_TEST(mail_may_be_posted_again_from_its_own_function)
{
	struct mail mail;

	mailbox_post(&box, &mail, post_once_more);
	ck_assert_uint_eq(mailbox_run(&box), 1);
	ck_assert_uint_eq(runs, 0);
	ck_assert(readable());
	ck_assert_uint_eq(mailbox_run(&box), 1);
	ck_assert_uint_eq(runs, 1);
}
END_TEST

static struct mail *cancelled;

static void cancel_other(struct mail *mail)
{
	count_run(mail);
	mailbox_cancel(&box, cancelled);
}

START_TEST(cancelled_mail_does_not_run)
{
	struct mail one = {0}, two = {0}, never = {0};

	mailbox_cancel(&box, &never);
	mailbox_post(&box, &one, count_run);
	mailbox_post(&box, &two, count_run);
	mailbox_cancel(&box, &one);
	mailbox_cancel(&box, &one);
	ck_assert_uint_eq(mailbox_run(&box), 1);
	/* One that was taken out of the box in the same turn. */
	cancelled = &two;
	mailbox_post(&box, &one, cancel_other);
	mailbox_post(&box, &two, count_run);
	ck_assert_uint_eq(mailbox_run(&box), 1);
	mailbox_cancel(&box, &two); /* has run, or will not */
	ck_assert_uint_eq(runs, 2);
}
END_TEST

START_TEST(several_senders_each_in_order)
{
	pthread_t threads[SENDERS];
	unsigned total = 0;

	for (unsigned s = 0; s < SENDERS; s++) {
		for (unsigned i = 0; i < PER_SENDER; i++)
			letters[s][i].sender = s;
		ck_assert_int_eq(pthread_create(&threads[s], NULL, send_all, letters[s]), 0);
	}
	while (total < SENDERS * PER_SENDER) {
		struct pollfd pfd = {.fd = box.event_fd, .events = POLLIN};

		ck_assert_int_eq(poll(&pfd, 1, 5000), 1); /* a lost wake-up would hang here */
		total += mailbox_run(&box);
	}
	for (unsigned s = 0; s < SENDERS; s++) {
		pthread_join(threads[s], NULL);
		ck_assert_uint_eq(next_number[s], PER_SENDER);
	}
	ck_assert(!readable());
}
END_TEST

START_TEST(nothing_stays_open)
{
	unsigned before = open_fds();
	struct mailbox other;

	ck_assert_int_eq(mailbox_init(&other), 0);
	ck_assert_uint_eq(open_fds(), before + 1);
	mailbox_destroy(&other);
	ck_assert_uint_eq(open_fds(), before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mailbox");
	TCase *tc = tcase_create("mailbox");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, readable_while_mail_waits);
	tcase_add_test(tc, mail_may_free_what_it_is_part_of);
	tcase_add_test(tc, mail_may_be_posted_again_from_its_own_function);
	tcase_add_test(tc, cancelled_mail_does_not_run);
	tcase_add_test(tc, several_senders_each_in_order);
	tcase_add_test(tc, nothing_stays_open);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
