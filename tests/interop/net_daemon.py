# SPDX-License-Identifier: BSD-3-Clause
"""ringside-net as tests of guests run it: in a network namespace of the test's, with a TAP device
there as one of its ports; and the programs at the other end of that device."""

import contextlib
import subprocess
import sys
import time

import blk_backend
import guest
import stock_kernel
from netns import Namespace

TAP_DEVICE = "tap0"
VLAN = 7
VLAN_HOST = "192.0.7.1"  # the host end of TAP_DEVICE in this VLAN
HOST = "192.0.2.1"
HOST6 = "fd00::1"
ECHO_BYTES = 4 << 20
READY_SECONDS = 20
# Of these a frame is lost in an orderly way: nobody is there yet, or TCP is faster than a guest, or
# the guest does not want it.
EXPECTED_DROPS = {"link down", "no descriptors", "filtered"}
# Sends back what a connection brings, when all of it is there.
ECHO = """
import socket, sys
listener = socket.create_server((sys.argv[1], 5000))
print(flush=True)
while True:
    peer, data = listener.accept()[0], bytearray()
    while len(data) < int(sys.argv[2]) and (piece := peer.recv(65536)):
        data += piece
    peer.sendall(data)
    peer.close()
"""


def program():
    """Where ringside-net is, if it was built."""
    return blk_backend.build_directory() / "net" / "ringside-net"


class Net(blk_backend.Program):
    """ringside-net in a namespace; use it in a `with`. guests: names of ports, each of which gets
    the socket `socket(name)`; guest_keys: more of each one's keys; mtu: of the TAP device, the port
    "host"."""

    def __init__(self, directory, namespace, guests=("guest",), guest_keys="", mtu=1500,
                 options=()):
        super().__init__("ringside-net", directory)
        self.namespace = namespace
        self.guests = guests
        self.guest_keys = guest_keys
        self.mtu = mtu
        self.options = options
        self.control_socket = str(self.directory / "net-control.sock")

    def socket(self, name="guest"):
        return str(self.directory / f"net-{name}.sock")

    def command(self):
        ports = [f"--port=name={name},socket={self.socket(name)}{self.guest_keys}"
                 for name in self.guests]
        # Without "fixed" DPDK gives the interface another address with every start.
        device = f"--port=name=host,mtu={self.mtu},dpdk=net_tap0,iface={TAP_DEVICE},mac=fixed"
        return self.namespace.command(str(program()), f"--control-path={self.control_socket}",
                                      *ports, device, *self.options)

    def sockets(self):
        return [self.control_socket, *map(self.socket, self.guests)]

    def restart(self):
        """Killed as by a crash, and started again on what is left of it."""
        self.kill()
        self.await_broker()
        self.start()

    def port(self, name):
        """What `stats` says of a port."""
        return next(port for port in self.control("stats")["ports"] if port["name"] == name)

    def sizes(self, name, way):
        """(frames, bytes) in from a port, or out to it."""
        counters = self.port(name)[way]
        return counters["frames"], counters["bytes"]

    def unexpected_drops(self):
        """{"port way reason": frames} for those that no test here should cause."""
        return {f"{port['name']} {way} {reason}": count for port in self.control("stats")["ports"]
                for way in ("in", "out") for reason, count in port[way]["drops"].items()
                if reason not in EXPECTED_DROPS}


def average(before, after):
    """Bytes of a frame, between two of Net.sizes()."""
    return (after[1] - before[1]) // max(after[0] - before[0], 1)


@contextlib.contextmanager
def host_end(directory, **net_options):
    """A Net, addresses at the host's end of its TAP device, and programs there that answer a guest:
    iperf3, and one that sends back ECHO_BYTES. Yields the Net. The device outlives the daemon."""
    with contextlib.ExitStack() as stack:
        namespace = Namespace()
        stack.callback(namespace.end)
        make_device(namespace, net_options.get("mtu", 1500))
        net = stack.enter_context(Net(directory, namespace, **net_options))
        for command in ((stock_kernel.find_tool("iperf3"), "-s"),
                        (sys.executable, "-c", ECHO, HOST, str(ECHO_BYTES))):
            process = guest.spawn(namespace.command(*command),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(guest.stop, process)
        await_listeners(namespace)
        yield net


def make_device(namespace, mtu):
    namespace.ip(f"tuntap add {TAP_DEVICE} mode tap multi_queue")
    namespace.ip(f"link set {TAP_DEVICE} mtu {mtu}")
    namespace.ip(f"addr add {HOST}/24 dev {TAP_DEVICE}")
    namespace.ip(f"addr add {HOST6}/64 dev {TAP_DEVICE} nodad")
    namespace.ip(f"link set {TAP_DEVICE} up")


def add_vlan(namespace):
    """The host's end of VLAN, where its kernel has such devices."""
    namespace.ip(f"link add link {TAP_DEVICE} name vlan{VLAN} type vlan id {VLAN}")
    namespace.ip(f"addr add {VLAN_HOST}/24 dev vlan{VLAN}")
    namespace.ip(f"link set vlan{VLAN} up")


def await_listeners(namespace):
    deadline = time.monotonic() + READY_SECONDS
    while namespace.run("ss", "-Hltn").stdout.count("\n") < 2:
        if time.monotonic() > deadline:
            raise blk_backend.DaemonFailed("nothing listens at the host's end")
        time.sleep(0.05)
