# SPDX-License-Identifier: BSD-3-Clause
# A network device of ringside-net's that is forwarded its control queue, with a TAP device of the
# host's, iperf3 and a VLAN at the other end. The host sets host, vlan, vlan_host.

interrupts() { grep -cE 'PCI-MSI.* virtio[0-9]+-(input|output)\.[0-9]+$' /proc/interrupts; }

# How many of one of the queues' interrupts there were.
count_of() { awk -v what="-$1\$" '$NF ~ what { print $2 + $3 }' /proc/interrupts; }

pairs_in_use() { ethtool -l eth0 | awk '/Combined/ { pairs = $2 } END { print pairs }'; }

# The transfer moves something again; TCP may wait twice as long as the daemon was away.
goes_on() {
    local seen second
    seen=$(wc -l </tmp/iperf3.restart)
    for second in $(seq 40); do
        sleep 1
        tail -n +$((seen + 1)) /tmp/iperf3.restart | grep Kbits | grep -qv ' 0.00 Kbits/sec' &&
            return
    done
    cat /tmp/iperf3.restart
    return 1
}

is queues "$(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)" 2
ip address add 192.0.2.2/24 dev eth0
ip link set eth0 up
is msix-vectors "$(interrupts)" 4
check ping ping -c 5 -i 0.1 -W 20 "$host"
check out carries "$host" -P 2
check in carries "$host" -P 4 -R

check one-pair ethtool -L eth0 combined 1
is one-pair-used "$(pairs_in_use)" 1
before=$(count_of input.1)
check one-pair-in carries "$host" -P 4 -R
is one-pair-quiet "$(($(count_of input.1) - before))" 0
check two-pairs ethtool -L eth0 combined 2
check two-pairs-in carries "$host" -P 4 -R

check vlan ip link add link eth0 name vlan type vlan id "$vlan"
ip address add 192.0.7.2/24 dev vlan
ip link set vlan up
check vlan-ping ping -c 3 -i 0.1 -W 20 "$vlan_host"
check vlan-out carries "$vlan_host"

check mac ip link set eth0 address 52:54:00:00:00:22
check mac-ping ping -c 3 -i 0.1 -W 20 "$host"

# The daemon is killed while this runs, and started again.
iperf3 -c "$host" -t 100 -i 1 -f k --forceflush >/tmp/iperf3.restart 2>&1 &
transfer=$!
sleep 2
step "restart"
read -r _
check restart-goes-on goes_on
kill "$transfer"
wait "$transfer"
check restart-out carries "$host"
check restart-in carries "$host" -R
