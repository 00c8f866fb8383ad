# SPDX-License-Identifier: BSD-3-Clause
"""Processes of bench/net-compare: a back-end on its core, ringside-net or testpmd's net_vhost, and
the same testpmd with virtio_user devices, the guests, on another core."""

import contextlib
import os
import re
import subprocess
import time

from common import Failed

TESTPMD = "dpdk-testpmd"
BURST = 32
MBUFS = 16384
MEMORY_MIB = 256
START_SECONDS = 15
SETTLE_SECONDS = 0.3
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
# What virtio_user is told, and words of its log that say that it does so.
DRIVERS = {
    "split": ("packed_vq=0,mrg_rxbuf=1,in_order=0", "mergeable buffer Rx"),
    "split in-order": ("packed_vq=0,mrg_rxbuf=1,in_order=1", "inorder Rx"),
    "packed in-order": ("packed_vq=1,mrg_rxbuf=1,in_order=1", "packed ring mergeable buffer Rx"),
    "packed vectorised": ("packed_vq=1,mrg_rxbuf=0,in_order=1,vectorized=1",
                          "packed ring vectorized Rx"),
}


class Pmd:
    """A testpmd that is told what to do; use it in a `with`."""

    def __init__(self, args, cpu, prefix, devices, options=(), wrapper=()):
        # Its own output would be kept back until there is a lot of it.
        self.command = [
            "stdbuf", "-oL", "taskset", "-c", str(cpu), *wrapper, args.testpmd,
            f"--lcores=0@{cpu},1@{cpu}", "--no-pci", "--no-huge", "-m", str(MEMORY_MIB),
            "--no-shconf", "--no-telemetry", f"--file-prefix={prefix}",
            "--force-max-simd-bitwidth=512", "--log-level=pmd.net.virtio.init:debug",
            *(f"--vdev={device}" for device in devices), "--", "-i", "--no-mlockall",
            f"--total-num-mbufs={MBUFS}", *options]
        self.said = []
        self.asked = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self):
        return self.process.pid

    def say(self, *commands):
        try:
            self.process.stdin.write("".join(f"{command}\n" for command in commands))
            self.process.stdin.flush()
        except BrokenPipeError as gone:
            raise Failed("testpmd ended:\n" + "".join(self.said[-15:])) from gone

    def ask(self, command):
        """Return: what it says from the last answer that was read to this one's end."""
        self.asked += 1
        end = f"end-of-answer-{self.asked}"  # no command: it is echoed, and that is all
        self.say(command, end)
        lines = []
        while line := self.process.stdout.readline():
            self.said.append(line)
            if end in line:
                return "".join(lines)
            lines.append(line)
        raise Failed("testpmd ended:\n" + "".join(self.said[-15:]))

    def ready(self):
        """Waits until its ports are set up. Return: {"paths": ..., "features": ...}, what drivers
        in it say."""
        text = self.ask("show config fwd")
        features = re.findall(r"features after negotiate = ([0-9a-f]+)", text)
        return {"paths": sorted(set(re.findall(r"virtio: using (.*) path on", text))),
                "features": features[-1] if features else None}

    def counts(self):
        """(frames received, frames sent, when) of all its ports together."""
        text = self.ask("show port stats all")
        at = time.monotonic()
        return (sum(map(int, re.findall(r"RX-packets: (\d+)", text))),
                sum(map(int, re.findall(r"TX-packets: (\d+)", text))), at)


class Ringside:
    """ringside-net; use it in a `with`."""

    def __init__(self, args, ports, scratch, options=(), wrapper=()):
        self.log_path = os.path.join(scratch, "ringside.log")
        self.command = ["taskset", "-c", str(args.backend_cpu), *wrapper, args.ringside,
                        f"--cores={args.backend_cpu}", *(f"--port={port}" for port in ports),
                        *args.ringside_args.split(), *options]

    def __enter__(self):
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self):
        return self.process.pid

    def ready(self):
        """Nothing more to wait for than its sockets."""


class Rig:
    """What all measurements share."""

    def __init__(self, args, scratch):
        self.args = args
        self.scratch = scratch

    def socket(self, number):
        return os.path.join(self.scratch, f"guest{number}.sock")

    def _backend(self, subject, guests, device, options, wrapper):
        """subject: "ringside" with more options, or "testpmd". device: what is at the other end
        of a single guest, or None."""
        name, *more = subject.split()
        if name == "ringside":
            ports = [f"name=guest{number},socket={self.socket(number)}" for number in range(guests)]
            ports += [f"name=device,dpdk={device}"] if device else []
            return Ringside(self.args, ports, self.scratch, [*more, *options], wrapper)
        devices = [device] if device else []
        devices += [f"net_vhost{number},iface={self.socket(number)},queues=1"
                    for number in range(guests)]
        return Pmd(self.args, self.args.backend_cpu, "bench-backend", devices,
                   ["--forward-mode=io", "--auto-start", f"--burst={BURST}"], wrapper)

    @contextlib.contextmanager
    def backend(self, subject, guests=1, device=None, options=(), wrapper=()):
        """Yields a back-end that listens; wrapper: a command that runs it."""
        sockets = [self.socket(number) for number in range(guests)]
        for path in sockets:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with self._backend(subject, guests, device, options, wrapper) as backend:
            deadline = time.monotonic() + START_SECONDS * (8 if wrapper else 1)
            while not all(map(os.path.exists, sockets)):
                if backend.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{' '.join(backend.command)}: does not listen")
                time.sleep(0.02)
            yield backend

    @contextlib.contextmanager
    def guests(self, driver, mode, frame_bytes, count=1, burst=BURST):
        """Yields (testpmd, what it says of itself); its frames do not flow yet."""
        words, path = DRIVERS[driver]
        devices = [f"net_virtio_user{number},path={self.socket(number)},queues=1,queue_size=1024,"
                   f"mac={MACS[number]},{words}" for number in range(count)]
        options = [f"--forward-mode={mode}", f"--burst={burst}", f"--txpkts={frame_bytes}"]
        options += [f"--eth-peer={number},{MACS[1 - number]}" for number in range(count)]
        with Pmd(self.args, self.args.guest_cpu, "bench-guest", devices, options) as guest:
            about = guest.ready()
            if path not in about["paths"]:
                raise Failed(f"{driver}: virtio_user takes {about['paths']}, not {path!r}")
            time.sleep(SETTLE_SECONDS)
            yield guest, about
