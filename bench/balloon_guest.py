#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compare how fast a stock guest gives memory back and gets it again: ringside-vmm with
ringside-balloon, and QEMU with its own virtio-balloon.

Both guests run in one emulated machine with AMD-V (see tests/guest/nested), same kernel, entered
by PVH, same image, same shared memory, and are inflated and deflated in turn; a ratio is taken
within a round, and the table shows the median of the rounds with its 95 % interval (bootstrap).
Inflating ends when the guest has its target and the host has stopped getting memory. It is
measured twice: by a clock that counts instructions, which repeats, and by the machine's own, with
two CPUs, so that VMM and daemon can work side by side.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "guest" / "nested"))

import l1
import blk_backend
import guest
import kit
import stock_kernel
from common import Failed, interval, say

MEMORY_MIB = 384
BALLOON_MIB = 128
ROUNDS = 7
ROUND_SECONDS = 60  # by the clock of L1, and as much again to start
MAX_HANGS = 3  # of the emulated machine, in one run
CLOCKS = ("instructions", "wall")
SUBJECTS = ("ringside", "qemu")
RATIO_LIMIT = 1.0  # to reach


def breaths(rounds, clock, subjects):
    """{subject: [what balloon_vmm.py printed of each round]}"""
    results = {subject: [] for subject in subjects}
    parts = kit.prepare()

    def show(text):
        for line in text.splitlines():
            if line.startswith("{"):
                one = json.loads(line)
                results[one.pop("subject")].append(one)
                say(line)

    for hangs in range(MAX_HANGS + 1):
        whole = min(map(len, results.values()))
        results = {subject: runs[:whole] for subject, runs in results.items()}
        plan = {"rounds": rounds - whole, "subjects": subjects, "memory_mib": MEMORY_MIB,
                "balloon_mib": BALLOON_MIB}
        command = (f"{parts.variable()} RINGSIDE_BUILD={blk_backend.build_directory()} "
                   f"python3 {HERE}/balloon_vmm.py '{json.dumps(plan)}'")
        icount = clock == "instructions"
        try:
            with guest.scratch_directory() as directory, l1.booted(directory, icount), \
                    l1.L1(directory, icount) as channel:
                done = channel.run(command, (plan["rounds"] + 2) * len(subjects) * ROUND_SECONDS,
                                   show)
            break
        except l1.Hung as hung:
            # An emulated machine hangs now and then. Whole rounds count, the rest is repeated.
            if hangs == MAX_HANGS:
                raise
            say(f"{hung}; what is left is done in another L1")
    if done.status != 0:
        raise Failed(f"in L1: {done.output[-2000:]}")
    return results


def report(results, clock):
    """Prints a table. Return: its rows, for JSON."""
    rows = []
    print(f"{BALLOON_MIB} of {MEMORY_MIB} MiB, clock: {clock}; seconds, MiB; "
          "ratio: ringside / qemu [95 %]")
    for what in ("inflate", "deflate", "freed_mib"):
        row = {"case": f"guest {what}", "clock": clock,
               "runs": {subject: [run[what] for run in runs]
                        for subject, runs in results.items()}}
        row["medians"] = {subject: statistics.median(values)
                          for subject, values in row["runs"].items()}
        ending = ""
        if len(results) == 2:
            ratios = [ours / its for ours, its in zip(*(row["runs"][s] for s in SUBJECTS))]
            row["ratio"], row["interval"] = statistics.median(ratios), interval(ratios)
            ending = "  {:.2f} [{:.2f}, {:.2f}]".format(row["ratio"], *row["interval"])
            if what != "freed_mib":
                row["target"], row["reached"] = RATIO_LIMIT, row["ratio"] <= RATIO_LIMIT
                ending += f"  to reach {RATIO_LIMIT:.2f}  {'pass' if row['reached'] else 'MISS'}"
        medians = "".join(f"  {subject} {value:8.3f}" for subject, value in row["medians"].items())
        print(f"{what:<10}{medians}{ending}", flush=True)
        rows.append(row)
    return rows


def measure(rounds=ROUNDS, clocks=CLOCKS, subjects=SUBJECTS):
    """All of it. Return: rows for JSON. Raises Failed, l1.Hung, Unavailable."""
    rows = []
    for clock in clocks:
        rows += report(breaths(rounds, clock, subjects), clock)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--clock", choices=CLOCKS, help="only by this one")
    parser.add_argument("--peers", action="store_true", help="measure QEMU alone")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("at least one round")
    guest.exit_on_signals()
    try:
        rows = measure(args.rounds, (args.clock,) if args.clock else CLOCKS,
                       SUBJECTS[1:] if args.peers else SUBJECTS)
    except (Failed, l1.Hung, stock_kernel.Unavailable) as failed:
        sys.exit(f"balloon_guest: {failed}")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
