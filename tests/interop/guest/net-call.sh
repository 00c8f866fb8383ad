# SPDX-License-Identifier: BSD-3-Clause
# The other one of two guests at a switch. The host sets host, echo_bytes.

peer=192.0.2.3

sizes() { step "$1"; read -r _; }

send_data() { timeout 15 nc "$peer" 5000 </tmp/data; }

head -c "$echo_bytes" /dev/urandom >/tmp/data
value sha256 "$(sha256sum /tmp/data | cut -d' ' -f1)"
ip address add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip link add link eth0 name vlan type vlan id 7
ip address add 192.0.7.2/24 dev vlan
ip link set vlan up
sizes "both are up"
check host-ping ping -c 3 -i 0.1 -W 20 "$host"
check ping ping -c 5 -i 0.1 -W 20 "$peer"
sizes "calling"
check out carries "$peer" -t 2
sizes "called"
check in carries "$peer" -t 2 -R
check vlan-ping ping -c 3 -i 0.1 -W 20 192.0.7.3
sizes "calling in a VLAN"
check vlan-out carries 192.0.7.3
sizes "called in a VLAN"
check vlan-in carries 192.0.7.3 -R
ethtool -K eth0 tx off
check checksum-off-out carries "$peer"
check checksum-off-in carries "$peer" -R
check data send_data
