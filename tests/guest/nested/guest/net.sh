# SPDX-License-Identifier: BSD-3-Clause
# A network device whose other end answers ARP and ICMP echo. The host sets expect_*.

counter() { cat "/sys/class/net/eth0/statistics/$1"; }

is mac "$(cat /sys/class/net/eth0/address)" "$expect_mac"
is mtu "$(cat /sys/class/net/eth0/mtu)" "$expect_mtu"
is queues "$(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)" "$expect_queues"
# Nothing is sent that is not counted.
echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
ip address add 192.0.2.1/24 dev eth0
ip link set eth0 up
sleep 1
is link "$(cat /sys/class/net/eth0/carrier)" 1
check ping ping -c 20 -i 0.05 -W 20 192.0.2.2
check ping-large ping -c 20 -i 0.05 -s 1400 -W 20 192.0.2.2
grep -q '20 packets received' /tmp/check.out && all=yes
is ping-large-all "$all" yes
value sent "$(counter tx_packets)"
value received "$(counter rx_packets)"
is errors "$(($(counter rx_errors) + $(counter tx_errors) + $(counter rx_dropped)))" 0
vectors=$(grep -cE 'PCI-MSI.* virtio[0-9]+-(input|output)\.[0-9]+$' /proc/interrupts)
is msix-vectors "$vectors" "$expect_vectors"
ip link set eth0 down
