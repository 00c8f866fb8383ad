/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_check.c - writes to memory what only that place can hold, and reads it again later.
 * Runs in a guest whose balloon breathes, so that a page that the host took away by mistake shows.
 * Tests only, one thread.
 *
 * memory_check MIB FILE: until FILE is there, and one pass more. In each pass all memory is read
 * and compared, a third of it is written anew where it is, and another third goes back to the
 * kernel and is written to the pages that come for it: other ones, so that the checker and the
 * balloon hand pages to each other all the time. It rests between passes, for others to get on.
 * Prints "PASSES KIB", KIB being what was compared.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES  4096u
#define PAGE_WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define CHUNK_BYTES (256u << 10) /* written or given back together */
#define REST_US     50000

struct chunk {
	uint64_t *words;
	uint64_t pass; /* that wrote it */
};

/* What word @index of a chunk that @pass wrote holds. */
static uint64_t content(const struct chunk *chunk, uint64_t index)
{
	uint64_t place = (uint64_t)(uintptr_t)&chunk->words[index];

	return (place ^ chunk->pass << 48) * 0x9e3779b97f4a7c15;
}

static void write_chunk(struct chunk *chunk, uint64_t pass)
{
	chunk->pass = pass;
	for (uint64_t i = 0; i < CHUNK_BYTES / sizeof(uint64_t); i++)
		chunk->words[i] = content(chunk, i);
}

static void check_chunk(const struct chunk *chunk, uint64_t pass)
{
	for (uint64_t i = 0; i < CHUNK_BYTES / sizeof(uint64_t); i++) {
		uint64_t got = chunk->words[i], expected = content(chunk, i);

		if (got == expected)
			continue;
		printf("pass %lu: page %p, word %lu, of pass %lu: got %lx, expected %lx\n", pass,
		       (void *)&chunk->words[i / PAGE_WORDS * PAGE_WORDS], i % PAGE_WORDS,
		       chunk->pass, got, expected);
		exit(1);
	}
}

static void give_back(struct chunk *chunk)
{
	if (madvise(chunk->words, CHUNK_BYTES, MADV_DONTNEED)) {
		perror("madvise");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) << 20 : 0;
	uint64_t num = bytes / CHUNK_BYTES, pass = 0;
	struct chunk *chunks = calloc(num ? num : 1, sizeof(*chunks));
	uint8_t *memory;

	if (!num || !chunks) {
		fprintf(stderr, "usage: memory_check MIB FILE\n");
		return 2;
	}
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	madvise(memory, bytes, MADV_NOHUGEPAGE); /* small pages go round more */
	for (uint64_t i = 0; i < num; i++) {
		chunks[i].words = (uint64_t *)(memory + i * CHUNK_BYTES);
		write_chunk(&chunks[i], 1);
	}
	for (bool last = false; !last;) {
		last = access(argv[2], F_OK) == 0;
		pass++;
		for (uint64_t i = 0; i < num; i++) {
			check_chunk(&chunks[i], pass);
			if ((i + pass) % 3 == 0)
				give_back(&chunks[i]);
			if ((i + pass) % 3 != 2)
				write_chunk(&chunks[i], pass);
		}
		usleep(last ? 0 : REST_US);
	}
	printf("%lu %lu\n", pass, pass * bytes >> 10);
	return 0;
}
