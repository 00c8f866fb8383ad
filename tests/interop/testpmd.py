# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd as the driver of two virtio_user devices, with what ringside-net puts in between.

One process carries frames from a pcap file to the first device, and what that receives to a FIFO,
the same with the second. One lcore does both, so no more frames are under way than rings hold.
"""

import re
import subprocess
import time
from dataclasses import dataclass

import blk_backend
import guest
import pcap_stream
import stock_kernel

TESTPMD = "dpdk-testpmd"
FRONTENDS = ("one", "two")
MACS = {"one": bytes.fromhex("020000000001"), "two": bytes.fromhex("020000000002")}
RING_SIZE = 1024
# In flight are never more frames than this and two bursts: so a receive ring with all its buffers
# does not overflow, and a frame that is lost is somebody's fault.
TX_RING_SIZE = 256
TIMEOUT_SECONDS = 30
LINK_STEP_SECONDS = 0.02


@dataclass
class Driver:
    """How virtio_user drives its rings. path: words of the driver's log that say it does so."""
    name: str
    packed: int = 0
    mergeable: int = 1
    in_order: int = 0
    vectorized: int = 0
    path: tuple = ()

    def options(self):
        return (f"packed_vq={self.packed},mrg_rxbuf={self.mergeable},in_order={self.in_order},"
                f"vectorized={self.vectorized}")


DRIVERS = (
    Driver("split mergeable", path=("standard Tx", "mergeable buffer Rx")),
    Driver("split", mergeable=0, path=("standard Tx", "standard Rx")),
    Driver("split vectorised", mergeable=0, vectorized=1, path=("standard Tx", "vectorized Rx")),
    Driver("split in-order mergeable", in_order=1, path=("inorder Tx", "inorder Rx")),
    Driver("split in-order", mergeable=0, in_order=1, path=("inorder Tx", "inorder Rx")),
    Driver("packed mergeable", packed=1, path=("packed ring standard Tx",
                                               "packed ring mergeable buffer Rx")),
    Driver("packed", packed=1, mergeable=0, path=("packed ring standard Tx",
                                                  "packed ring standard Rx")),
    Driver("packed in-order mergeable", packed=1, in_order=1,
           path=("packed ring standard Tx", "packed ring mergeable buffer Rx")),
    Driver("packed vectorised", packed=1, mergeable=0, in_order=1, vectorized=1,
           path=("packed ring vectorized Tx", "packed ring vectorized Rx")),
)


def driver(name):
    return next(one for one in DRIVERS if one.name == name)


def until(condition, seconds=TIMEOUT_SECONDS):
    """Return: what the condition last said."""
    deadline = time.monotonic() + seconds
    while not (said := condition()) and time.monotonic() < deadline:
        time.sleep(LINK_STEP_SECONDS)
    return said


class Net(blk_backend.Program):
    """ringside-net; use it in a `with`. ports: what follows --port=."""

    def __init__(self, directory, ports, options=()):
        super().__init__("ringside-net", directory)
        self.ports = ports
        self.options = options
        self.control_socket = str(self.directory / "control.sock")

    def command(self):
        return [str(blk_backend.build_directory() / "net" / self.name),
                f"--control-path={self.control_socket}",
                *(f"--port={port}" for port in self.ports), *self.options]

    def sockets(self):
        return [self.control_socket]

    def start(self):
        """After a SIGKILL there are sockets that nobody listens on."""
        super().start()
        if not until(lambda: not self.alive() or self.port_list()):
            raise blk_backend.DaemonFailed(f"{self.name} does not answer: {self.log_tail()}")

    def port_list(self):
        """{name: port}, empty where it does not answer."""
        try:
            return {port["name"]: port for port in self.control("stats")["ports"]}
        except blk_backend.DaemonFailed:
            return {}

    def all_up(self):
        ports = self.port_list()
        return bool(ports) and all(port["link"]["up"] for port in ports.values())


class Testpmd(blk_backend.Program):
    """testpmd with a virtio_user device at each of `sockets_of`, {"one": path}; use it in a `with`.

    sent: {frontend: frames that it sends}. sinks: {frontend: [Sink of each queue]}, for what it
    receives. server: it listens there. endless: what it sends starts over at the end. generation:
    a number of its own among those of one directory."""

    def __init__(self, directory, drv, sockets_of, sent, expected, queues=1, server=False,
                 endless=False, jumbo=False, generation=0):
        super().__init__(f"testpmd{generation}", directory)
        self.drv, self.sockets_of, self.sent = drv, sockets_of, sent
        self.queues, self.server, self.endless, self.jumbo = queues, server, endless, jumbo
        self.sinks = {}
        for name in sockets_of:
            self.sinks[name] = [pcap_stream.Sink(str(self._file(name, queue, "received")),
                                                 expected[name]) for queue in range(queues)]
            for queue in range(queues):
                pcap_stream.write(self._file(name, queue, "sent"), sent[name][queue::queues])

    def _file(self, name, queue, what):
        return self.directory / f"{self.name}-{name}-{queue}-{what}"

    def _devices(self, number, name):
        pcap = f"net_pcap{number}" + ",infinite_rx=1" * self.endless
        for queue in range(self.queues):
            pcap += f",rx_pcap={self._file(name, queue, 'sent')}"
            pcap += f",tx_pcap={self._file(name, queue, 'received')}"
        user = (f"net_virtio_user{number},path={self.sockets_of[name]},queues={self.queues},"
                f"queue_size={RING_SIZE},server={int(self.server)},{self.drv.options()}")
        # Ports are paired in the order in which they stand here: 0 and 1, 2 and 3.
        return [f"--vdev={pcap}", f"--vdev={user}"]

    def command(self):
        devices = [option for number, name in enumerate(self.sockets_of)
                   for option in self._devices(number, name)]
        return [stock_kernel.find_tool(TESTPMD), "--lcores=0@0,1@1", "--no-pci", "--no-huge",
                "-m", "192", "--no-shconf", "--no-telemetry", f"--file-prefix={self.name}",
                "--force-max-simd-bitwidth=512", "--log-level=pmd.net.virtio.init:info", *devices,
                "--", "-i", "--no-flush-rx", "--no-mlockall", "--total-num-mbufs=16384",
                f"--rxq={self.queues}", f"--txq={self.queues}", f"--txd={TX_RING_SIZE}",
                f"--rxd={RING_SIZE}",
                *(("--max-pkt-len=9018", "--disable-device-start") if self.jumbo else ())]

    def sockets(self):
        """It makes the second one when the first is connected."""
        return list(self.sockets_of.values())[:1] if self.server else []

    def start(self):
        for sink in self.all_sinks():
            sink.start()
        self.process = guest.spawn(self.command(), stdin=subprocess.PIPE, stdout=self.log,
                                   stderr=self.log, text=True)
        # A burst that finds the ring full is tried again for a second.
        self.say("set fwd io retry", "set burst tx delay 500 retry 2000")
        if self.jumbo:
            for number in range(len(self.sockets_of)):
                self.say(f"port config {2 * number + 1} rx_offload scatter on",
                         f"port config {2 * number + 1} tx_offload multi_segs on")
            self.say("port start all")
        if not until(lambda: not self.alive() or
                     all(blk_backend.Path(path).exists() for path in self.sockets())):
            raise blk_backend.DaemonFailed(f"testpmd does not listen: {self.log_tail()}")

    def say(self, *commands):
        try:
            self.process.stdin.write("".join(f"{command}\n" for command in commands))
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise blk_backend.DaemonFailed(f"testpmd ended: {self.log_tail()}") from error

    def begin(self, net):
        """Let frames flow as soon as they can."""
        if not until(lambda: not self.alive() or net.all_up()) or not self.alive():
            links = {name: port["link"] for name, port in net.port_list().items()}
            raise blk_backend.DaemonFailed(f"no link: {links}; testpmd: {self.log_tail()}")
        self.say("start")

    def __exit__(self, *_):
        # What it writes has to be read, or it does not end.
        super().__exit__()
        for sink in self.all_sinks():
            sink.end()

    def kill(self):
        super().kill()
        self.process.stdin.close()

    def all_sinks(self):
        return [sink for sinks in self.sinks.values() for sink in sinks]

    def received(self, name):
        return sum(len(sink.numbers) + len(sink.strangers) for sink in self.sinks[name])

    def strangers(self):
        return [one.hex() for sink in self.all_sinks() for one in sink.strangers]

    def paths(self):
        """{what the driver says of a path it takes}"""
        self.log.seek(0)
        return set(re.findall(r"virtio: using (.*) path on port", self.log.read().decode()))

    def refused(self):
        """Why the driver does not take a path."""
        self.log.seek(0)
        return "; ".join(sorted(set(re.findall(r"(disabled .*)", self.log.read().decode()))))
