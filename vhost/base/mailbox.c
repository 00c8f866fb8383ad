/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mailbox.c - a locked list of mail and an eventfd that is readable while there is some.
 * Layer L0. Posted to from any thread, run by its owner.
 */
#include "vhost/base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>

int mailbox_init(struct mailbox *box)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	pthread_mutex_init(&box->lock, NULL);
	list_init(&box->mails);
	box->event_fd = fd;
	return 0;
}

void mailbox_destroy(struct mailbox *box)
{
	assert(list_empty(&box->mails));
	close_fd(&box->event_fd);
	pthread_mutex_destroy(&box->lock);
}

/* Syscalls: write */
void mailbox_post(struct mailbox *box, struct mail *mail, void (*fn)(struct mail *mail))
{
	uint64_t one = 1;
	ssize_t n;

	pthread_mutex_lock(&box->lock);
	mail->fn = fn;
	list_add_tail(&box->mails, &mail->node);
	/* Under the lock, so that the owner cannot run this mail, find it was the last, and destroy
	 * the box while we still write to its fd. Only a counter at its maximum (2^64 - 2 posts)
	 * could refuse the write, and then the fd is readable already. */
	n = write(box->event_fd, &one, sizeof(one));
	(void)n;
	pthread_mutex_unlock(&box->lock);
}

void mailbox_cancel(struct mailbox *box, struct mail *mail)
{
	pthread_mutex_lock(&box->lock);
	/* It may be on mailbox_run()'s own list: that is of this thread. */
	if (mail->node.next)
		list_del(&mail->node);
	pthread_mutex_unlock(&box->lock);
}

/* Syscalls: read */
unsigned mailbox_run(struct mailbox *box)
{
	struct list batch, *node;
	uint64_t posts;
	unsigned ran = 0;
	ssize_t n;

	list_init(&batch);
	pthread_mutex_lock(&box->lock);
	/* Cleared together with the list: mail posted from here on makes the fd readable again. */
	n = read(box->event_fd, &posts, sizeof(posts));
	(void)n;
	while (!list_empty(&box->mails)) {
		node = box->mails.next;
		list_del(node);
		list_add_tail(&batch, node);
	}
	pthread_mutex_unlock(&box->lock);

	while (!list_empty(&batch)) {
		struct mail *mail = list_entry(batch.next, struct mail, node);

		/* Off the list first: fn may post the mail again or free what it is part of. */
		list_del(&mail->node);
		mail->fn(mail);
		ran++;
	}
	return ran;
}
