# SPDX-License-Identifier: BSD-3-Clause
"""Runs in L1 what the host asks for, until L1 is powered off.

It talks through a virtio-serial port, one JSON object on a line each way. The host asks
{"id", "command", "timeout"} and is told {"id", "text"} for what the command prints (stdout and
stderr together) and at last {"id", "status"}: the exit status, minus a signal's number, or null
for one that was killed when its time was up. Several may run at once. {"alive"} comes now and
then, for the host to know a hang from a long silence. What still runs when the host hangs up is
killed.
"""

import glob
import json
import os
import select
import signal
import subprocess
import threading
import time

PORT = "/dev/vport*p1"
ALIVE_SECONDS = 5


class Agent:
    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.running = {}

    def say(self, **message):
        """All of a message or, where the host has hung up, not all of it."""
        data = json.dumps(message).encode() + b"\n"
        poll = select.poll()
        poll.register(self.port, select.POLLOUT)
        with self.lock:
            while data and not any(events & select.POLLHUP for _, events in poll.poll()):
                try:
                    data = data[os.write(self.port, data):]
                except OSError:
                    time.sleep(0.01)

    def run(self, order):
        process = subprocess.Popen(
            ["/bin/sh", "-c", order["command"]], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.running[order["id"]] = process
        late = threading.Event()

        def end():
            late.set()
            self.kill(process)

        timer = threading.Timer(order["timeout"], end)
        timer.start()
        while text := os.read(process.stdout.fileno(), 65536):
            self.say(id=order["id"], text=text.decode(errors="replace"))
        status = process.wait()
        timer.cancel()
        process.stdout.close()
        del self.running[order["id"]]
        self.say(id=order["id"], status=None if late.is_set() else status)

    @staticmethod
    def kill(process):
        """The command and what it started, but for what made itself a session of its own."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def obey(self):
        """Reads orders for ever. While nobody listens on the host, a read ends at once."""
        partial = b""
        poll = select.poll()
        poll.register(self.port, select.POLLIN)
        while True:
            events = poll.poll()[0][1]
            data = b""
            if events & select.POLLIN:
                try:
                    data = os.read(self.port, 65536)
                except OSError:
                    pass
            if not data:
                if events & select.POLLHUP:
                    for process in list(self.running.values()):
                        self.kill(process)
                    partial = b""
                time.sleep(0.1)
                continue
            *lines, partial = (partial + data).split(b"\n")
            for line in filter(None, lines):
                threading.Thread(target=self.run, args=(json.loads(line),), daemon=True).start()

    def live(self):
        while True:
            self.say(alive=time.monotonic())
            time.sleep(ALIVE_SECONDS)


def open_port():
    while not glob.glob(PORT):
        time.sleep(0.05)
    port = os.open(glob.glob(PORT)[0], os.O_RDWR | os.O_CLOEXEC)
    os.set_blocking(port, False)
    return port


def main():
    agent = Agent(open_port())
    threading.Thread(target=agent.live, daemon=True).start()
    agent.obey()


main()
