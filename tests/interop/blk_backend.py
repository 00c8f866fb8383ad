# SPDX-License-Identifier: BSD-3-Clause
"""Daemons as tests run them; one serves any number of images: ringside-blk, or its peer.

BLK_BACKEND=ringside (the default) or qsd, QEMU's storage daemon, which shows whether a failure
is the rig's or ours. RINGSIDE_BUILD names the build directory, else build/.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import guest
import stock_kernel

START_SECONDS = 30


class DaemonFailed(Exception):
    """The daemon is not built or does not start; the text says why."""


@dataclass
class Image:
    """A disk image to serve. queues: what the guest may use; offered: what the daemon offers, 0
    for its own default. socket is filled in when the daemon runs."""
    path: Path
    queues: int = 1
    offered: int = 0
    serial: str = ""
    read_only: bool = False
    socket: str = ""


def build_directory():
    return Path(os.environ.get("RINGSIDE_BUILD") or stock_kernel.SOURCE_ROOT / "build").resolve()


def chosen():
    return os.environ.get("BLK_BACKEND", "ringside")


def chosen_name():
    return {"ringside": "ringside-blk", "qsd": "qemu-storage-daemon"}[chosen()]


def ask(control_socket, *words):
    """The answer of a program's control socket to ringsidectl's METHOD [KEY=VALUE]..."""
    program = build_directory() / "vhost" / "ringsidectl"
    try:
        return json.loads(stock_kernel.run(str(program), "--json", str(control_socket), *words,
                                           timeout=15))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise DaemonFailed(f"ringsidectl {' '.join(words)}: "
                           f"{getattr(error, 'stderr', None) or error}") from error


class Program:
    """A running daemon; use it in a `with`. Everything it makes is inside `directory`.
    control_socket: where ringsidectl reaches it, or None."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = Path(directory)
        self.control_socket = None
        self.exit_status = None

    def command(self):
        """Its command line."""
        raise NotImplementedError

    def sockets(self):
        """What is there when it has started."""
        raise NotImplementedError

    def __enter__(self):
        self.log = open(self.directory / f"{self.name}.log", "a+b")
        self.start()
        return self

    def start(self):
        """Starts it, for the first time or again on the same sockets."""
        self.process = guest.spawn(self.command(), stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        while not all(Path(path).exists() for path in self.sockets()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise DaemonFailed(f"{self.name} does not start: {self.log_tail()}")
            time.sleep(0.02)

    def __exit__(self, *_):
        self.exit_status = guest.stop(self.process)

    def kill(self):
        """SIGKILL, as a crash: nothing is drained, the sockets stay behind."""
        self.process.kill()
        self.process.wait()

    def await_broker(self):
        """After kill(): the daemon's broker outlives it by a moment, to remove the sockets; the
        next one makes them anew."""
        while any(Path(path).exists() for path in self.sockets()):
            time.sleep(0.02)

    def alive(self):
        return self.process.poll() is None

    def log_tail(self):
        self.log.seek(0)
        return " / ".join(self.log.read().decode(errors="replace").strip().splitlines()[-5:])

    def control(self, *words):
        """The answer of the daemon's control socket to ringsidectl's METHOD [KEY=VALUE]..."""
        return ask(self.control_socket, *words)


class Daemon(Program):
    """A block daemon that serves images."""

    def __init__(self, images, directory):
        super().__init__(chosen_name(), directory)
        self.images = images
        for number, image in enumerate(images):
            image.socket = str(self.directory / f"disk{number}.sock")

    def command(self):
        return self._ringside() if chosen() == "ringside" else self._storage_daemon()

    def sockets(self):
        return [image.socket for image in self.images]

    def disks(self, options="", reconnect=False):
        """The guest's disks; options: more QEMU device properties, for every one of them."""
        return [guest.Disk(image.socket, image.queues, options, reconnect)
                for image in self.images]

    def counters(self, number=0):
        """What the daemon counted for one disk, or None for a peer that does not tell.
        Return: {"read": requests, ...} and "errors", all summed over the queues, and "queues",
        the requests of each."""
        if not self.control_socket:
            return None
        sums = {"errors": 0, "queues": []}
        for queue in self.control("stats")["disks"][number]["queues"]:
            requests = {name: one["requests"] for name, one in queue.get("requests", {}).items()}
            for name, count in requests.items():
                sums[name] = sums.get(name, 0) + count
            sums["errors"] += sum(queue.get("errors", {}).values())
            sums["queues"].append(sum(requests.values()))
        return sums

    def _ringside(self):
        program = build_directory() / "blk" / "ringside-blk"
        if not program.exists():
            raise DaemonFailed(f"{program} is not built")
        self.control_socket = str(self.directory / "control.sock")
        command = [str(program), f"--control-path={self.control_socket}"]
        if len(self.images) == 1:
            image = self.images[0]
            command += [f"--socket-path={image.socket}", f"--blk-file={image.path}"]
            command += [f"--num-queues={image.offered}"] if image.offered else []
            command += [f"--serial={image.serial}"] if image.serial else []
            command += ["--read-only"] if image.read_only else []
            return command
        for image in self.images:
            option = f"--disk=socket={image.socket},file={image.path}"
            option += f",num-queues={image.offered}" if image.offered else ""
            option += f",serial={image.serial}" if image.serial else ""
            option += ",read-only=on" if image.read_only else ""
            command.append(option)
        return command

    def _storage_daemon(self):
        command = [stock_kernel.find_tool("qemu-storage-daemon")]
        for number, image in enumerate(self.images):
            command += [
                "--blockdev", f"driver=file,filename={image.path},cache.direct=on,aio=io_uring,"
                f"node-name=n{number},discard=unmap,"
                f"read-only={'on' if image.read_only else 'off'}",
                "--export", f"type=vhost-user-blk,id=e{number},node-name=n{number},"
                f"addr.type=unix,addr.path={image.socket},"
                f"writable={'off' if image.read_only else 'on'},num-queues={image.queues}"]
        return command
