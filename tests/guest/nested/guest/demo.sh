# SPDX-License-Identifier: BSD-3-Clause
# What ./demo does inside the guest. After each STEP of the balloon's the host does its part and types
# a line. It sets used_mib.

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

step "use"
use_memory
rm /tmp/used
host "used"
step "use again"
use_memory
host "used again"
