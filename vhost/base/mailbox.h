/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mailbox.h - messages from any thread to the one thread that owns the mailbox.
 * Layer L0. Control path only; the data path never touches it.
 */
#ifndef RINGSIDE_BASE_MAILBOX_H
#define RINGSIDE_BASE_MAILBOX_H

#include <pthread.h>

#include "vhost/base/list.h"

/* A message is embedded in what it is about; it may be posted again once its fn has begun. */
struct mail {
	struct list node;
	void (*fn)(struct mail *mail); /* runs on the owner's thread */
};

struct mailbox {
	pthread_mutex_t lock;
	struct list mails;
	int event_fd; /* readable while mail waits: the owner watches it */
};

/* mailbox_init - Return: 0 or -errno. */
int mailbox_init(struct mailbox *box);

/* mailbox_destroy - the box must be empty and nobody may post any more. */
void mailbox_destroy(struct mailbox *box);

/* mailbox_post - hand @mail to the owner. Any thread. In order per sender. */
void mailbox_post(struct mailbox *box, struct mail *mail, void (*fn)(struct mail *mail));

/* mailbox_cancel - take back mail that has not run. Owner's thread. Harmless when none waits, if it is
 * zero-initialised or was posted before. */
void mailbox_cancel(struct mailbox *box, struct mail *mail);

/* mailbox_run - run what has arrived. Owner's thread. Return: how many ran. */
unsigned mailbox_run(struct mailbox *box);

#endif
