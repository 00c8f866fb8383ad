# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of a guest on a vhost-user-blk daemon have in common: its disks, and what of a
boot, a daemon and an image is reported as TAP results."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import blk_backend
import guest
import stock_kernel
from tap import Tap

MIB = 1024 * 1024
tap = Tap()


def make_image(path, size, content=None):
    """A sparse image, or one whose every byte is `content`."""
    with open(path, "wb") as file:
        if content:
            file.write(content)
            os.fsync(file.fileno())
        file.truncate(size)
    return path


def report_boot(name, script, outcome, without=()):
    """One TAP line for each result the script promised, but for those named in `without`, and
    one for the boot as a whole."""
    for result in guest.promised(script):
        if result in without:
            tap.skip(f"{name}: {result}", "qemu-storage-daemon is not asked to do it")
            continue
        passed, detail = outcome.results.get(result, (False, "the guest never reported it"))
        tap.result(f"{name}: {result}", passed, detail)
    tap.result(f"{name}: guest ran to its end", outcome.reason is None, outcome.reason)
    tap.note(f"{name}: {outcome.seconds:.0f} s, user space after {outcome.boot_seconds:.1f} s, "
             f"{outcome.hangs} hangs repeated")
    if outcome.hangs:
        tap.note("the last words of the one that hung:\n" + "\n".join(outcome.hung_console[-10:]))
    if outcome.reason:
        tap.note("\n".join(outcome.console[-20:]))


def report_daemon(name, daemon):
    """After the guest: still alive, then SIGTERM ends it cleanly."""
    tap.result(f"{name}: daemon still runs", daemon.alive(), daemon.log_tail())
    daemon.__exit__()
    tap.result(f"{name}: daemon ends cleanly on SIGTERM", daemon.exit_status == 0,
               f"status {daemon.exit_status}: {daemon.log_tail()}")


def report_counters(name, counters, busy_queues, operations):
    """By the daemon's own counters: these queues and kinds of request were used, none failed.
    A kernel that quietly did a request by other means would show here."""
    if counters is None:
        tap.skip(f"{name}: counters", "qemu-storage-daemon counts nothing for us")
        return
    tap.result(f"{name}: daemon served {', '.join(operations)}",
               all(counters.get(operation, 0) > 0 for operation in operations), counters)
    tap.result(f"{name}: {busy_queues} queues served requests",
               sum(count > 0 for count in counters["queues"]) == busy_queues, counters)
    tap.result(f"{name}: daemon counts no error", counters["errors"] == 0, counters)


def report_serial(name, image, outcome):
    if blk_backend.chosen() == "qsd":
        tap.skip(f"{name}: serial", "qemu-storage-daemon has no serial for its exports")
        return
    tap.result(f"{name}: serial", outcome.values.get("serial") == image.serial,
               f"got {outcome.values.get('serial')!r}, expected {image.serial!r}")


def report_file_system(name, image, outcome):
    """The image without the guest: clean, and its pattern file is what the guest hashed."""
    check = subprocess.run([stock_kernel.find_tool("e2fsck"), "-fn", str(image.path)],
                           capture_output=True, text=True)
    tap.result(f"{name}: image is clean on the host", check.returncode == 0, check.stdout[-500:])
    content = subprocess.run([stock_kernel.find_tool("debugfs"), "-R", "cat /pattern",
                              str(image.path)], capture_output=True)
    digest = hashlib.sha256(content.stdout).hexdigest()
    tap.result(f"{name}: pattern on the host is the guest's",
               digest == outcome.values.get("pattern-sha256"), f"host has {digest}")


def run_tests(*tests):
    """Runs each test(rig, directory), and ends the program with the verdict on all of them."""
    guest.exit_on_signals()
    try:
        rig = guest.Rig()
        tap.note(f"Debian {rig.kernel.version} on {rig.accelerator}, {blk_backend.chosen()}")
        for test in tests:
            with guest.scratch_directory() as directory:
                try:
                    test(rig, Path(directory))
                except blk_backend.DaemonFailed as reason:
                    tap.result(f"{test.__name__}: daemon starts", False, reason)
    except stock_kernel.Unavailable as reason:
        tap.skip("guest on a vhost-user disk", reason)
    sys.exit(tap.end())
