# SPDX-License-Identifier: BSD-3-Clause
"""Files with the headers of a kernel and nothing in them, for the loader's fuzzer and its refusals."""

import struct

PT_LOAD, PT_NOTE = 1, 4
ET_REL, ET_EXEC = 1, 2
EM_386, EM_X86_64, EM_AARCH64 = 3, 62, 183
PVH_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY
NOTE_OFFSET = 0x200


def elf_kernel(bits=64, machine=EM_X86_64, kind=ET_EXEC, note=PVH_ENTRY, note_bytes=8,
               entry=0x100010, segments=((0x100000, 64, 0x20000),)):
    """segments: (address, bytes of the file's beginning, bytes in memory)"""
    notes = struct.pack("<III4sQ", 4, note_bytes, note, b"Xen", entry)
    headers = [(PT_LOAD, 0, *segment) for segment in segments]
    headers.append((PT_NOTE, NOTE_OFFSET, 0, len(notes), len(notes)))
    ident = bytes([0x7f, *b"ELF", bits // 32, 1, 1]) + bytes(9)
    if bits == 64:
        head = ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56,
                                   len(headers), 0, 0, 0)
        table = b"".join(struct.pack("<IIQQQQQQ", what, 7, at, gpa, gpa, size, memory, 4)
                         for what, at, gpa, size, memory in headers)
    else:
        head = ident + struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, 0, 52, 0, 0, 52, 32,
                                   len(headers), 0, 0, 0)
        table = b"".join(struct.pack("<IIIIIIII", what, at, gpa, gpa, size, memory, 7, 4)
                         for what, at, gpa, size, memory in headers)
    return (head + table).ljust(NOTE_OFFSET, b"\0") + notes


def bz_kernel(address=0x200000, init_size=0x100000, relocatable=1, code=2048, align=0x200000,
              initrd_max=0x7fffffff, flags=1, version=0x20f):
    """flags: xloadflags; 1 is XLF_KERNEL_64. Linux Documentation/arch/x86/boot.rst."""
    head = bytearray(1024)
    head[0x1f1:0x26c] = struct.pack(
        "<BHIHHHHHIHIHHBBHIIIIHBBIIIBBHIIQIIQQIII", 1, 0, code // 16, 0, 0, 0, 0xaa55, 0x6aeb,
        0x53726448, version, 0, 0, 0, 0, 1, 0, 0x100000, 0, 0, 0, 0, 0, 0, 0, initrd_max, align,
        relocatable, 21, flags, 2047, 0, 0, 0, 0, 0, address, init_size, 0, 0)
    return bytes(head) + bytes(range(256)) * (code // 256)
