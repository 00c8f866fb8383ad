# SPDX-License-Identifier: BSD-3-Clause
"""Frames that know who they are: made here, written to a pcap file that a net_pcap port sends, and
checked byte for byte where another net_pcap port writes what it receives to a FIFO."""

import os
import random
import select
import socket
import struct
import threading

HEADER = struct.Struct("<IHHIIII")
RECORD = struct.Struct("<IIII")
MAGIC, MAGIC_NS = 0xa1b2c3d4, 0xa1b23c4d
ETHERNET = 1
SNAP_BYTES = 65535
FLOWS, KINDS = 16, 8
IN_IPV6, IN_VLAN, NO_IP = 5, 6, 7  # kinds; the others are UDP over IPv4
SMALLEST = {IN_IPV6: 72, IN_VLAN: 64}
VLAN = 7
LOCAL_EXPERIMENT = 0x88b5  # an EtherType that nothing in between understands
IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES = 20, 40, 8


def _sum16(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def _udp(flow, payload, addresses):
    """A datagram with its checksum; addresses: source and destination as bytes."""
    length = UDP_HEADER_BYTES + len(payload)
    ports = struct.pack(">HH", 1000 + flow, 2000 + flow)
    pseudo = addresses + struct.pack(">II", length, socket.IPPROTO_UDP)
    check = _sum16(pseudo + ports + struct.pack(">HH", length, 0) + payload) or 0xffff
    return ports + struct.pack(">HH", length, check) + payload


def _ipv4(flow, size, rng):
    addresses = bytes((10, 0, 0, 1 + flow, 10, 0, 1, 1 + flow))
    payload = rng.randbytes(size - IPV4_HEADER_BYTES - UDP_HEADER_BYTES)
    head = struct.pack(">BBHHHBBH", 0x45, 0, size, rng.getrandbits(16), 0x4000, 64,
                       socket.IPPROTO_UDP, 0) + addresses
    head = head[:10] + struct.pack(">H", _sum16(head)) + head[12:]
    return head + _udp(flow, payload, addresses)


def _ipv6(flow, size, rng):
    addresses = b"\xfd" + bytes(14) + bytes((1 + flow,)) + b"\xfd" + bytes(13) + bytes((1, flow))
    payload = rng.randbytes(size - IPV6_HEADER_BYTES - UDP_HEADER_BYTES)
    head = struct.pack(">IHBB", 0x60000000, size - IPV6_HEADER_BYTES, socket.IPPROTO_UDP, 64)
    return head + addresses + _udp(flow, payload, addresses)


def frame(number, size, source, destination, rng):
    """One frame of @size bytes without its FCS: mostly UDP over IPv4, some of it in a VLAN, some
    over IPv6, and some that is no IP."""
    flow, kind = number % FLOWS, number // FLOWS % KINDS
    size = max(size, SMALLEST.get(kind, 0))
    head = destination + source
    if kind == IN_IPV6:
        return head + struct.pack(">H", 0x86dd) + _ipv6(flow, size - 14, rng)
    if kind == IN_VLAN:
        return head + struct.pack(">HHH", 0x8100, VLAN, 0x0800) + _ipv4(flow, size - 18, rng)
    if kind == NO_IP:
        return head + struct.pack(">HB", LOCAL_EXPERIMENT, flow) + rng.randbytes(size - 15)
    return head + struct.pack(">H", 0x0800) + _ipv4(flow, size - 14, rng)


def flow_of(number):
    """Frames of which this is the same are of one flow, but not the other way round."""
    return number % (FLOWS * KINDS)


def frames(count, sizes, source, destination, seed):
    """@count frames whose sizes run through @sizes; no two are alike."""
    rng = random.Random(seed)
    made = [frame(number, sizes[number % len(sizes)], source, destination, rng)
            for number in range(count)]
    assert len(set(made)) == count
    return made


def write(path, some_frames):
    with open(path, "wb") as file:
        file.write(HEADER.pack(MAGIC, 2, 4, 0, 0, SNAP_BYTES, ETHERNET))
        for one in some_frames:
            file.write(RECORD.pack(0, 0, len(one), len(one)))
            file.write(one)


class Sink(threading.Thread):
    """Reads what a net_pcap port writes to a FIFO and knows every frame again.

    numbers: of the frames of `expected` that came, in the order in which they came.
    strangers: frames that are none of them."""

    def __init__(self, path, expected):
        super().__init__(daemon=True)
        self.path = path
        self.number_of = {one: number for number, one in enumerate(expected)}
        self.numbers = []
        self.strangers = []
        self.ended = False
        os.mkfifo(path)
        # Held open for writing, too: neither side's open() waits, and nothing ends the stream.
        self.fd = os.open(path, os.O_RDWR)

    def run(self):
        data, at = bytearray(), HEADER.size
        while not self.ended:
            if not select.select([self.fd], [], [], 0.05)[0]:
                continue
            data += os.read(self.fd, 1 << 20)
            if data[:4] and int.from_bytes(data[:4], "little") not in (MAGIC, MAGIC_NS) \
                    and at == HEADER.size:
                self.strangers.append(bytes(data[:HEADER.size]))
                return
            at = self._records(data, at)
            if at > HEADER.size:
                del data[HEADER.size:at]
                at = HEADER.size

    def _records(self, data, at):
        while at + RECORD.size <= len(data):
            _, _, captured, length = RECORD.unpack_from(data, at)
            if at + RECORD.size + captured > len(data):
                break
            one = bytes(data[at + RECORD.size:at + RECORD.size + captured])
            number = self.number_of.get(one)
            if number is None or captured != length:
                self.strangers.append(one)
            else:
                self.numbers.append(number)
            at += RECORD.size + captured
        return at

    def end(self):
        self.ended = True
        self.join()
        os.close(self.fd)
        os.unlink(self.path)
