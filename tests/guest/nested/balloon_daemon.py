# SPDX-License-Identifier: BSD-3-Clause
"""In L1: ringside-balloon for one guest, and how much of the host's memory that guest has."""

import contextlib
import os
import time
from pathlib import Path

import blk_backend

WAIT_SECONDS = 50


class Balloon(blk_backend.Program):
    """ringside-balloon, with more options of its own; use it in a `with`."""

    def __init__(self, directory, *options):
        super().__init__("ringside-balloon", directory)
        self.socket = str(self.directory / "balloon.sock")
        self.control_socket = str(self.directory / "balloon-control.sock")
        self.options = options

    def command(self):
        program = blk_backend.build_directory() / "balloon" / self.name
        if not program.exists():
            raise blk_backend.DaemonFailed(f"{program} is not built")
        return [str(program), f"--socket-path={self.socket}",
                f"--control-path={self.control_socket}", *self.options]

    def sockets(self):
        return [self.socket, self.control_socket]

    def restart(self):
        """Killed as by a crash, and started again; the guest's VMM finds it by itself."""
        self.kill()
        self.await_broker()
        self.start()

    def guest(self):
        """What balloon.get says of the guest."""
        return self.control("balloon.get")["vms"][0]

    def set(self, target_bytes):
        self.control("balloon.set", f"target={target_bytes}")

    def wait(self, what, condition, seconds=WAIT_SECONDS):
        """Until condition(guest()). Return: the guest() then. Raises DaemonFailed."""
        deadline = time.monotonic() + seconds
        while not condition(seen := self.guest()):
            if time.monotonic() > deadline:
                raise blk_backend.DaemonFailed(f"not within {seconds} s: {what}; {seen}; "
                                               f"{self.log_tail()}")
            time.sleep(0.1)
        return seen

    def wait_present(self):
        """Until the guest's driver is there."""
        return self.wait("the guest's driver", lambda seen: seen["present"])

    def wait_actual(self, target_bytes, seconds=WAIT_SECONDS):
        """Until the guest has exactly this much memory."""
        return self.wait(f"the guest has {target_bytes >> 20} MiB",
                         lambda seen: seen["actual_bytes"] == target_bytes, seconds)


def guest_memory(pid):
    """The file in /proc that is the guest's memory of a VMM."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(path).startswith("/memfd:"):
                found.append((os.stat(path).st_size, path))
    return max(found)[1]


def resident_bytes(memory):
    """What the host has of a guest's memory: the blocks of its file."""
    return os.stat(memory).st_blocks * 512
