# SPDX-License-Identifier: BSD-3-Clause
"""The second half of ./demo: one guest, one scratch disk, a line per step, a table at the end."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import blk_backend
import guest
import stock_kernel
from blk_backend import Daemon, Image

MIB = 1024 * 1024
QUEUES = 4
STEPS = {
    "mkfs": "guest: make an ext4 file system",
    "write": "guest: write a file and hash it",
    "verify": "guest: random I/O, each block checked (fio crc32c)",
    "measure": "guest: measure",
    "fsck": "guest: check the file system (e2fsck)",
}


class Progress:
    """One line per step with the time it took; the next step ends the one before."""

    def __init__(self):
        self.begin = None

    def step(self, text):
        self.end()
        self.begin = time.monotonic()
        print(f"  {text:<58}", end="", flush=True)

    def end(self):
        if self.begin is not None:
            print(f"{time.monotonic() - self.begin:.1f} s", flush=True)
        self.begin = None

    def guest_line(self, line):
        word, _, name = line.partition(" ")
        if word == "STEP" and name in STEPS:
            self.step(STEPS[name])


def host_checks(image, outcome):
    """The image as the host sees it: (file system is clean, the file is what the guest wrote)."""
    fsck = subprocess.run([stock_kernel.find_tool("e2fsck"), "-fn", str(image.path)],
                          capture_output=True)
    content = subprocess.run([stock_kernel.find_tool("debugfs"), "-R", "cat /pattern",
                              str(image.path)], capture_output=True).stdout
    digest = hashlib.sha256(content).hexdigest()
    return fsck.returncode == 0, digest == outcome.values.get("pattern-sha256")


def table(rows):
    width = max(len(name) for name, _ in rows)
    print()
    for name, text in rows:
        print(f"  {name:<{width}}  {text}")
    print()


def yes(passed):
    return "ok" if passed else "FAILED"


def show(progress, directory):
    progress.step("fetch a stock Debian kernel, make an initramfs (kept)")
    rig = guest.Rig()
    image = Image(directory / "disk.img", queues=QUEUES, serial="ringside-demo")
    with open(image.path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 512 * MIB)
    progress.step(f"start {blk_backend.chosen_name()} on a scratch image of 512 MiB")
    with Daemon([image], directory) as daemon:
        progress.step("boot Debian's kernel with KVM" if rig.accelerator == "kvm" else
                      "boot Debian's kernel in emulation (no KVM here for it)")
        script = stock_kernel.guest_script("demo")
        outcome = rig.boot(script, daemon.disks(), cpus=QUEUES, timeout=240,
                           progress=progress.guest_line)
        counters = daemon.counters()
        progress.step("host: compare the image with what the guest said")
    clean, same = host_checks(image, outcome)
    progress.end()

    passed = {name: result[0] for name, result in outcome.results.items()}
    guest_ok = outcome.reason is None and all(map(passed.get, guest.promised(script)))
    value = outcome.values.get
    rows = [
        ("guest", f"Linux {value('kernel')}, {QUEUES} CPUs, "
                  f"{'KVM' if rig.accelerator == 'kvm' else 'emulated by QEMU (TCG)'}"),
        ("disk", f"vhost-user-blk, {value('queues')} queues, {blk_backend.chosen_name()}"),
        ("random read, 4 KiB, 8 deep", measured(value, "read-random")),
        ("random write, 4 KiB, 8 deep", measured(value, "write-random")),
        ("sequential write, 1 MiB", f"{int(value('write-sequential-rate') or 0) / 1024:.0f} MiB/s"),
        ("random I/O verified", yes(passed.get("verify"))),
        ("file system clean", f"guest {yes(passed.get('fsck'))}, host {yes(clean)}"),
        ("file read back on the host", yes(same)),
    ]
    if counters:
        rows += [("the daemon counted", ", ".join(
            f"{counters[name]:,} {name.replace('_', ' ')}" for name in sorted(counters)
            if name not in ("queues", "errors")) + f"; {counters['errors']} errors"),
                 ("requests by queue", " / ".join(f"{n:,}" for n in counters["queues"]))]
    table(rows)
    if rig.accelerator != "kvm":
        print("  An emulated guest is slow: these figures show that it works, not how fast the\n"
              "  daemon is. bench/ measures that.\n")
    if outcome.reason:
        print(f"  The guest failed: {outcome.reason}\n")
        print("\n".join(f"  | {line}" for line in outcome.console[-15:]))
    return guest_ok and clean and same


def measured(value, name):
    return f"{int(value(name + '-iops') or 0):,} IOPS, mean latency {value(name + '-latency')} µs"


def main():
    guest.exit_on_signals()
    progress = Progress()
    try:
        with guest.scratch_directory() as directory:
            return 0 if show(progress, Path(directory)) else 1
    except (stock_kernel.Unavailable, blk_backend.DaemonFailed, OSError) as reason:
        print(f"\n\n  demo: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\n\n  stopped", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
