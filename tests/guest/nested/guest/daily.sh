# SPDX-License-Identifier: BSD-3-Clause
# A machine and its disk in daily use, through a reboot. The host sets expect_*; it may put
# trouble.sh before this script.

if mount -t ext4 /dev/vda /mnt 2>/dev/null; then
    step "after the reboot"
    check reboot-pattern-intact sha256sum -c /mnt/pattern.sha256
    if type trouble >/dev/null 2>&1; then trouble; fi
    umount /mnt
    check fsck-clean e2fsck -fn /dev/vda
    check no-disk-errors disk_errors
    return
fi

step "what the guest sees"
is cpus "$(nproc)" "$expect_cpus"
is topology "$(lscpu -p=cpu,core,socket | grep -v '^#' | tr '\n' ' ')" "$expect_topology"
is queues "$(ls /sys/block/vda/mq | wc -l)" "$expect_queues"
device=$(readlink -f /sys/block/vda/device)
vectors=$(grep -c "PCI-MSI.* ${device##*/}-req\.[0-9]*$" /proc/interrupts)
is msix-vectors "$vectors" "$expect_vectors"
is size "$(cat /sys/block/vda/size)" "$expect_sectors"

step "file system"
check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/pattern bs=64k count=32 2>/dev/null
sha256sum /mnt/pattern >/mnt/pattern.sha256
value pattern-sha256 "$(cut -d' ' -f1 /mnt/pattern.sha256)"
check fio-verified verified_fio /mnt "$expect_cpus" 2M
sync
reboot -f
