# SPDX-License-Identifier: BSD-3-Clause
"""Starts VMMs and measures each: the time until its guest says a word, and its memory beside the
guest's. bench/boot uses it here and, as a program, in L1."""

import json
import os
import re
import select
import signal
import sys
import time

GUEST_RAM = re.compile(r"/memfd:|/dev/hugepages/|/anon_hugepage")


class Silent(Exception):
    """The guest did not say its word; the text has what was said instead."""


def smaps_kib(pid, wanted):
    """Sum of the fields `wanted` over all mappings but the guest's memory, in KiB."""
    total = 0
    counts = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as smaps:
        for line in smaps:
            name, _, rest = line.partition(" ")
            if not name.endswith(":"):
                counts = not GUEST_RAM.search(rest)
            elif counts and name[:-1] in wanted:
                total += int(rest.split()[0])
    return total


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as names:
            found += map(int, names.read().split())
    return found


def beside_guest_kib(pid):
    """What a VMM has resident, program and libraries included, and what its helper processes have
    for themselves."""
    helpers = sum(smaps_kib(child, ("Private_Clean", "Private_Dirty")) for child in children(pid))
    return smaps_kib(pid, ("Rss",)) + helpers


def await_word(output, word, seconds):
    """Reads until the word was said. Return: the clock then, in ns."""
    said = b""
    deadline = time.monotonic() + seconds
    while word not in said:
        ready, _, _ = select.select([output], [], [], max(0, deadline - time.monotonic()))
        data = os.read(output, 65536) if ready else b""
        if not data:
            raise Silent(said.decode(errors="replace")[-1000:])
        said += data
    return time.monotonic_ns()


def measure(command, word, seconds, log):
    """One start. Return: {"seconds": from exec to the word, "kib": memory beside the guest's}."""
    console_in, stdin = os.pipe()
    stdout, console_out = os.pipe()
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    actions = [(os.POSIX_SPAWN_DUP2, fd, number)
               for number, fd in enumerate((console_in, console_out, errors))]
    begin = time.monotonic_ns()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    for fd in (console_in, console_out, errors):
        os.close(fd)
    try:
        end = await_word(stdout, word, seconds)
        return {"seconds": (end - begin) / 1e9, "kib": beside_guest_kib(pid)}
    except Silent as reason:
        with open(log, encoding="utf-8", errors="replace") as file:
            raise Silent(f"{' '.join(command)}: {reason}{file.read()[-1000:]}") from None
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(stdin)
        os.close(stdout)


def main():
    """Rounds of all subjects, a line of JSON for each start."""
    plan = json.loads(sys.argv[1])
    for _ in range(plan["rounds"]):
        for subject, command in plan["subjects"].items():
            result = measure(command, plan["word"].encode(), plan["seconds"], "/run/vmm.log")
            print(json.dumps({"subject": subject, **result}), flush=True)


if __name__ == "__main__":
    main()
