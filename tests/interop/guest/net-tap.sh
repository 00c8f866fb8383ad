# SPDX-License-Identifier: BSD-3-Clause
# A network device whose other end is a TAP device of the host's, with iperf3 and an echo there.
# The host sets host, host6, echo_bytes.

sizes() { step "$1"; read -r _; }

# Data comes back as it went.
echoed() {
    timeout 15 nc "$host" 5000 </tmp/data >/tmp/back
    cmp /tmp/data /tmp/back
}

head -c "$echo_bytes" /dev/urandom >/tmp/data
ip address add 192.0.2.2/24 dev eth0
ip address add fd00::2/64 dev eth0
ip link set eth0 up
check ping ping -c 3 -i 0.1 -W 20 "$host"

sizes "tso on"
check tso-on-out carries "$host"
check tso-on-in carries "$host" -R
check tso-on-data echoed
sizes "tso was on"
check ping6 ping -6 -c 3 -i 0.1 -W 20 "$host6"
check ipv6-out carries "$host6" -6
check ipv6-in carries "$host6" -6 -R
check udp-out carries "$host" -u -b 20M
check udp-in carries "$host" -u -b 20M -R

ethtool -K eth0 tso off gso off gro off
sizes "tso off"
check tso-off-out carries "$host"
check tso-off-in carries "$host" -R
check tso-off-data echoed
sizes "tso was off"
ethtool -K eth0 tx off
check checksum-off-out carries "$host"
check checksum-off-in carries "$host" -R
check checksum-off-data echoed
ethtool -K eth0 tx on tso on gso on gro on

ip link set eth0 mtu 9000
sent=$(cat /sys/class/net/eth0/statistics/tx_packets)
check mtu-9000-ping ping -c 5 -i 0.1 -s 8972 -W 20 "$host"
sent=$(($(cat /sys/class/net/eth0/statistics/tx_packets) - sent))
is mtu-9000-whole "$((sent < 10))" 1
check mtu-9000-out carries "$host"
check mtu-9000-in carries "$host" -R
is errors "$(cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/tx_errors |
    tr '\n' ' ')" "0 0 "
