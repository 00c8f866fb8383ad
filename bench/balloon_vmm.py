# SPDX-License-Identifier: BSD-3-Clause
"""In L1: stock guests with a balloon, one on ringside-vmm and ringside-balloon, one on QEMU with
its own virtio-balloon. Inflates and deflates them in turn and prints a line of JSON for each time:
{"subject", "inflate": seconds, "deflate": seconds, "freed_mib"}. bench/balloon_guest.py runs it.
"""

import contextlib
import json
import os
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / part) for part in ("guest/nested", "interop")]

import guest
import kit
import l2
from balloon_daemon import Balloon, guest_memory, resident_bytes

MIB = 1 << 20
POLL_SECONDS = 0.01
WAIT_SECONDS = 120
# Fills what memory is free, so that the host has all of it, and frees it again.
SCRIPT = """
mount -o remount,size=95% /tmp
while step ready && read -r _; do
    free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
    dd if=/dev/zero of=/tmp/used bs=1M count=$((free * 9 / 10)) 2>/dev/null
    rm /tmp/used
done
"""


class Line:
    """A control socket that takes a request a line and answers by one; events are passed over."""

    def __init__(self, path):
        deadline = time.monotonic() + WAIT_SECONDS
        self.socket = socket.socket(socket.AF_UNIX)
        while self.socket.connect_ex(path):
            if time.monotonic() > deadline:
                sys.exit(f"nobody answers at {path}")
            time.sleep(0.1)
        self.stream = self.socket.makefile("rw")

    def ask(self, **request):
        json.dump(request, self.stream)
        self.stream.write("\n")
        self.stream.flush()
        while line := self.stream.readline():
            answer = json.loads(line)
            if "error" in answer:
                sys.exit(f"{request}: {answer['error']}")
            answer = answer.get("return", answer.get("result", self))
            if answer is not self:
                return answer
        sys.exit(f"{request}: no answer")


class Ringside:
    """How ringside-balloon is told and asked."""

    def __init__(self, path):
        self.line = Line(path)

    def set(self, target):
        self.line.ask(jsonrpc="2.0", id=1, method="balloon.set", params={"target": target})

    def actual(self):
        return self.line.ask(jsonrpc="2.0", id=1, method="balloon.get")["vms"][0]["actual_bytes"]


class Qemu:
    """How QEMU is."""

    def __init__(self, path):
        self.line = Line(path)
        self.line.stream.readline()
        self.line.ask(execute="qmp_capabilities")

    def set(self, target):
        self.line.ask(execute="balloon", arguments={"value": target})

    def actual(self):
        return self.line.ask(execute="query-balloon")["actual"]


class Guest:
    """A guest that runs SCRIPT; use it in a `with`."""

    def __init__(self, command, log):
        with open(log, "wb") as errors:
            self.process = guest.spawn(command, stdin=-1, stdout=-1, stderr=errors)
        self.log = Path(log)
        self.said = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        guest.stop(self.process)

    def await_ready(self):
        deadline = time.monotonic() + WAIT_SECONDS
        while b"STEP ready" not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                sys.exit(f"the guest says no more: {self.said[-1000:]} {self.log.read_text()}")
            self.said += data
        self.said = b""

    def fill(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.await_ready()


def await_done(control, target, memory):
    """Until the guest has `target` and the host has got what it was given. Return: when that
    was, in ns, and what the host has of the guest's memory then."""
    deadline = time.monotonic() + WAIT_SECONDS
    before, since = None, 0
    while time.monotonic() < deadline:
        reached = control.actual() == target
        now, resident = time.monotonic_ns(), resident_bytes(memory)
        if resident != before or not since:
            since = now if reached else 0
        elif reached:
            return since, resident
        before = resident
        time.sleep(POLL_SECONDS)
    sys.exit(f"no balloon of {target} after {WAIT_SECONDS} s, but {control.actual()}")


def breath(one, control, plan):
    """One inflation and deflation of a guest whose memory the host has."""
    one.fill()
    memory = guest_memory(one.process.pid)
    whole = plan["memory_mib"] * MIB
    before = resident_bytes(memory)
    begin = time.monotonic_ns()
    control.set(whole - plan["balloon_mib"] * MIB)
    inflated, after = await_done(control, whole - plan["balloon_mib"] * MIB, memory)
    middle = time.monotonic_ns()
    control.set(whole)
    deflated, _ = await_done(control, whole, memory)
    return {"inflate": (inflated - begin) / 1e9, "deflate": (deflated - middle) / 1e9,
            "freed_mib": (before - after) / MIB}


def main():
    plan = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(dir="/run") as directory, contextlib.ExitStack() as stack:
        directory = Path(directory)
        kernel = kit.received().kernels["amd64"]
        initrd = l2.with_script(kernel.initramfs, SCRIPT, directory / "initrd")
        subjects = {}

        def start(subject, make_command, options, control_path, control):
            machine = l2.Machine(kernel, pvh=True, memory_mib=plan["memory_mib"], options=options)
            command = make_command(machine, initrd, directory / l2.CONTROL)
            one = stack.enter_context(Guest(command, directory / f"{subject}.log"))
            one.await_ready()
            subjects[subject] = (one, control(str(control_path)))

        if "ringside" in plan["subjects"]:
            daemon = stack.enter_context(Balloon(directory, "--free-page-reporting=off",
                                                 "--stats-interval=0"))
            start("ringside", l2.ringside, [f"--vhost-user-balloon=socket={daemon.socket}"],
                  daemon.control_socket, Ringside)
        if "qemu" in plan["subjects"]:
            monitor = directory / "qmp.sock"
            start("qemu", l2.qemu, ["-device", "virtio-balloon-pci,free-page-reporting=off",
                                    "-qmp", f"unix:{monitor},server=on,wait=off"], monitor, Qemu)
        for number in range(plan["rounds"] + 1):
            for subject, (one, control) in subjects.items():
                result = breath(one, control, plan)
                if number:  # the first warms everything up
                    print(json.dumps({"subject": subject, **result}), flush=True)


if __name__ == "__main__":
    main()
