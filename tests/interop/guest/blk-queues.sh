# SPDX-License-Identifier: BSD-3-Clause
# A file system over several queues. The host sets expect_queues.

is queues "$(ls /sys/block/vda/mq | wc -l)" "$expect_queues"
check queues-mkfs mkfs.ext4 -q -F /dev/vda
check queues-mount mount -t ext4 /dev/vda /mnt
check queues-fio-verified verified_fio /mnt "$expect_queues" 16M
# Each CPU has a queue of its own, so each queue is used.
for cpu in $(seq 0 $((expect_queues - 1))); do
    check queues-each-used taskset "$((1 << cpu))" \
        dd if=/dev/zero of="/mnt/cpu.$cpu" bs=64k count=16 oflag=direct
done
check queues-discard fstrim /mnt
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check queues-fsck-clean e2fsck -fn /dev/vda
check queues-no-disk-errors disk_errors
