# SPDX-License-Identifier: BSD-3-Clause
# What ./demo does inside the guest. After each STEP of the balloon's the host does its part and types
# a line. It sets used_mib, and network: the address at the other end of one, or nothing.

host() {
    step "$1"
    read -r _
}

use_memory() { dd if=/dev/zero of=/tmp/used bs=1M count="$used_mib" 2>/dev/null; }

value kernel "$(uname -r)"
value queues "$(ls /sys/block/vda/mq | wc -l)"
host "booted"

step "mkfs"
check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt
step "write"
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
step "verify"
check verify verified_fio /mnt 1 1M
step "fsck"
umount /mnt
check fsck e2fsck -fn /dev/vda

if [ -n "$network" ]; then
    step "network"
    ip address add 192.0.2.2/24 dev eth0
    ip link set eth0 up
    check network-ping ping -c 3 -i 0.1 -W 20 "$network"
    check network-out carries "$network" -t 2
    check network-in carries "$network" -t 2 -R
fi

step "use"
use_memory
rm /tmp/used
host "used"
step "use again"
use_memory
host "used again"
