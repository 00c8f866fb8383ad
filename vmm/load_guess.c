/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_guess.c - what somebody gave as a kernel that is none, to be told in one word.
 * VMM, main thread.
 */
#include <string.h>

#include "vmm/load_part.h"

static const struct {
	unsigned offset;
	unsigned bytes;
	const char *magic;
	const char *name;
} guesses[] = {
	/* The first that matches tells: what is found behind the start comes before "MZ". */
	{0x38, 4, "ARM\x64", "a kernel for arm64"},
	{0x38, 4, "RSC\x05", "a kernel for RISC-V"},
	{0, 2, "\x1f\x8b", "a gzip file (gunzip it first)"},
	{0, 6,
	 "\xfd"
	 "7zXZ\0",
	 "an xz file (unxz it first)"},
	{0, 4, "\x28\xb5\x2f\xfd", "a zstd file (unzstd it first)"},
	{0, 3, "BZh", "a bzip2 file (bunzip2 it first)"},
	{0, 4, "\x02\x21\x4c\x18", "an lz4 file (unlz4 it first)"},
	{0, 4, "\x04\x22\x4d\x18", "an lz4 file (unlz4 it first)"},
	{0, 4, "\x89LZO", "an lzo file (lzop -d it first)"},
	{0, 3, "\x5d\0\0", "an lzma file (unlzma it first)"},
	{0, 2, "#!", "a script"},
	{0, 6, "070701", "a cpio archive, such as an initrd"},
	{0, 4, "QFI\xfb", "a qcow2 disk image"},
	{0, 4, "\x27\x05\x19\x56", "a U-Boot image"},
	{0, 4, "\xd0\x0d\xfe\xed", "a device tree or a U-Boot image"},
	{0, 7, "!<arch>", "an archive, such as a Debian package"},
	{0, 4, "PK\x03\x04", "a zip file"},
	{257, 5, "ustar", "a tar file"},
	{0, 2, "MZ", "an EFI or Windows program"},
	{510, 2, "\x55\xaa", "a disk image or a boot sector"},
};

const char *load_guess(const uint8_t *head)
{
	for (size_t i = 0; i < ARRAY_SIZE(guesses); i++)
		if (!memcmp(head + guesses[i].offset, guesses[i].magic, guesses[i].bytes))
			return guesses[i].name;
	return NULL;
}
