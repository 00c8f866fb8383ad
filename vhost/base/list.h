/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list.h - intrusive doubly linked list with a head node.
 * Layer L0. The caller provides whatever exclusion the list needs.
 */
#ifndef RINGSIDE_BASE_LIST_H
#define RINGSIDE_BASE_LIST_H

#include <stdbool.h>

#include "vhost/base/util.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Right behind the head: what is taken first. */
static inline void list_add(struct list *head, struct list *node)
{
	node->prev = head;
	node->next = head->next;
	head->next->prev = node;
	head->next = node;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Unlinks node and leaves it an empty list, so that removing it twice is harmless. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)

/* As list_for_each, but pos may be removed from the list (not next). */
#define list_for_each_safe(pos, tmp, head) \
	for (pos = (head)->next, tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

#endif
