# SPDX-License-Identifier: BSD-3-Clause
# The smallest machine: one CPU, one queue, one disk. The host sets expect_*.

is one-queue-size "$(cat /sys/block/vda/size)" "$expect_sectors"
is one-queue-queues "$(ls /sys/block/vda/mq | wc -l)" 1
value serial "$(cat /sys/block/vda/serial)"
check one-queue-mkfs mkfs.ext4 -q -F /dev/vda
check one-queue-mount mount -t ext4 /dev/vda /mnt
check one-queue-fio-verified verified_fio /mnt 1 16M
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check one-queue-fsck-clean e2fsck -fn /dev/vda
