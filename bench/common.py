# SPDX-License-Identifier: BSD-3-Clause
"""What the comparing benchmarks share: statistics, and facts about the machine."""

import contextlib
import datetime
import os
import platform
import random
import statistics
import subprocess
import sys


class Failed(Exception):
    """A program did not do what it was started for."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, timeout):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)}: no end after {timeout} s") from late
    if done.returncode:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def interval(values, seed=1):
    """95 % bootstrap interval of the median."""
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def first_line(command):
    with contextlib.suppress(OSError, Failed, IndexError):
        return run(command, 20).splitlines()[0]
    return "unknown"


def machine():
    """{fact: value} of what was measured on, and when."""
    cpu = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu, "cpus": os.cpu_count(), "memory_gib": round(memory, 1),
        "kernel": platform.release(), "load": os.getloadavg()[0],
    }


def cpu_ns(pid):
    """CPU time of all threads so far, in ns."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
    return total
