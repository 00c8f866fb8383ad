# SPDX-License-Identifier: BSD-3-Clause
# One of two guests at a switch: the one that is called.

ip address add 192.0.2.3/24 dev eth0
ip link set eth0 up
ip link add link eth0 name vlan type vlan id 7
ip address add 192.0.7.3/24 dev vlan
ip link set vlan up
check serve iperf3 -s -D
# It ends with what it has to send, too, so that does not end.
mkfifo /tmp/nothing
nc -l -p 5000 <>/tmp/nothing >/tmp/data &
receiver=$!
step "serving"
read -r _
wait "$receiver"
value sha256 "$(sha256sum /tmp/data | cut -d' ' -f1)"
