/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c - the SIGBUS handler and the mappings it covers.
 * Layer L2. Changes under a lock, from any thread; the handler takes none.
 *
 * A handler is given nothing but an address, so the list of mappings has to be global. Slots are
 * reused and their blocks never freed, so that the handler may walk them at any time. Each has a
 * sequence number, odd while it changes. The slot of the mapping that faulted does not change: its
 * queue is running, or the control thread itself is at fault. Others may, and are passed over.
 */
#include "vhost/memory/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS_PER_BLOCK 64

struct slot {
	unsigned sequence;
	int event_fd;
	uintptr_t base; /* 0: free */
	size_t bytes;
};

struct block {
	struct slot slots[SLOTS_PER_BLOCK];
	struct block *next;
};

static struct block first_block;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct block *next_block(const struct block *block)
{
	return __atomic_load_n(&block->next, __ATOMIC_ACQUIRE);
}

static void set_slot(struct slot *slot, uintptr_t base, size_t bytes, int event_fd)
{
	unsigned sequence = slot->sequence;

	__atomic_store_n(&slot->sequence, sequence + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->base, base, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->bytes, bytes, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->event_fd, event_fd, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->sequence, sequence + 2, __ATOMIC_SEQ_CST);
}

/* read_slot - a consistent copy. Return: false while it changes. */
static bool read_slot(const struct slot *slot, struct slot *copy)
{
	copy->sequence = __atomic_load_n(&slot->sequence, __ATOMIC_SEQ_CST);
	copy->base = __atomic_load_n(&slot->base, __ATOMIC_SEQ_CST);
	copy->bytes = __atomic_load_n(&slot->bytes, __ATOMIC_SEQ_CST);
	copy->event_fd = __atomic_load_n(&slot->event_fd, __ATOMIC_SEQ_CST);
	return !(copy->sequence & 1) &&
	       __atomic_load_n(&slot->sequence, __ATOMIC_SEQ_CST) == copy->sequence;
}

static bool find_address(uintptr_t address, struct slot *found)
{
	for (struct block *block = &first_block; block; block = next_block(block)) {
		for (unsigned i = 0; i < SLOTS_PER_BLOCK; i++) {
			if (read_slot(&block->slots[i], found) && found->base &&
			    address - found->base < found->bytes)
				return true;
		}
	}
	return false;
}

/* Syscalls: mmap(prot!PROT_EXEC), write, rt_sigaction(signum=SIGBUS) */
static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
	const uint64_t one = 1;
	int saved_errno = errno;
	struct slot slot;
	ssize_t told;

	(void)context;
	if (!find_address((uintptr_t)info->si_addr, &slot) ||
	    mmap((void *)slot.base, slot.bytes, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
		signal(signal_number, SIG_DFL); /* not guest memory: our own bug, so die of it */
		errno = saved_errno;
		return;
	}
	/* A full counter says the same, and there is nobody here to tell of another failure. */
	told = write(slot.event_fd, &one, sizeof(one));
	(void)told;
	errno = saved_errno;
}

void mem_fault_init(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

/* find_slot - the slot whose base is @base; 0: a free one, made if need be. */
static struct slot *find_slot(uintptr_t base)
{
	struct block *block = &first_block;

	for (;;) {
		for (unsigned i = 0; i < SLOTS_PER_BLOCK; i++) {
			if (block->slots[i].base == base)
				return &block->slots[i];
		}
		if (!block->next) {
			struct block *more = base ? NULL : calloc(1, sizeof(*more));

			if (!more)
				return NULL;
			__atomic_store_n(&block->next, more, __ATOMIC_RELEASE);
		}
		block = block->next;
	}
}

int mem_fault_add(void *base, size_t bytes, int event_fd)
{
	struct slot *slot;

	pthread_mutex_lock(&lock);
	slot = find_slot(0);
	if (slot)
		set_slot(slot, (uintptr_t)base, bytes, event_fd);
	pthread_mutex_unlock(&lock);
	return slot ? 0 : -ENOMEM;
}

void mem_fault_remove(void *base)
{
	struct slot *slot;

	pthread_mutex_lock(&lock);
	slot = find_slot((uintptr_t)base);
	if (slot)
		set_slot(slot, 0, 0, -1);
	pthread_mutex_unlock(&lock);
}
