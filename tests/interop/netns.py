# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces for tests: everything lies in one that the test makes for itself, those of
guests and hosts beside it, and all are gone with the processes that hold them."""

import os
import subprocess
import sys

INSIDE = "RINGSIDE_TEST_NETNS"


def lacking():
    """Return: None, or why there can be no namespaces."""
    trial = subprocess.run(["unshare", "--net", "ip", "tuntap", "add", "ringside", "mode", "tap"],
                           capture_output=True, text=True, check=False)
    if trial.returncode:
        return f"no network namespace with a TAP device: {trial.stderr.strip()}"
    return None


def enter():
    """Go on in a network namespace of our own. Return: None, or why that cannot be."""
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return None
    reason = lacking()
    if reason:
        return reason
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


class Namespace:
    """Another one, held by a process."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.ip("link set lo up")

    def take(self, interface, *addresses, mtu=None):
        """Move @interface here, up, with these addresses."""
        subprocess.run(["ip", "link", "set", interface, "netns", str(self.holder.pid)], check=True)
        for address in addresses:
            self.ip(f"addr add {address} dev {interface}" + (" nodad" if ":" in address else ""))
        if mtu:
            self.ip(f"link set {interface} mtu {mtu}")
        self.ip(f"link set {interface} up")

    def ip(self, arguments):
        return self.run("ip", *arguments.split(), check=True)

    def command(self, *command):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *command]

    def run(self, *command, check=False, timeout=30):
        return subprocess.run(self.command(*command), capture_output=True, text=True, check=check,
                              timeout=timeout)

    def start(self, *command):
        return subprocess.Popen(self.command(*command), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def end(self):
        self.holder.stdin.close()
        self.holder.wait()
