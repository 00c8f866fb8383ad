# SPDX-License-Identifier: BSD-3-Clause
# Disks in daily use: vda holds a file system through a reboot under load, vdb is all pattern
# and has ranges discarded and zeroed, vdc is read-only. The host sets expect_*.

if mount -t ext4 /dev/vda /mnt 2>/dev/null; then
    # The second boot: the first was cut off with writes in flight.
    step "after the reboot"
    [ -e /mnt/synced ] && rebooted=yes
    is reboot-keeps-synced-file "$rebooted" yes
    check reboot-pattern-intact sha256sum -c /mnt/pattern.sha256
    check reboot-fio-verified verified_fio /mnt 2 8M
    umount /mnt
    check reboot-fsck-clean e2fsck -fn /dev/vda

    # From here on a write is durable before it completes, and then not again.
    echo "write through" >/sys/block/vda/cache_type
    is cache-set-write-through "$(limit vda write_cache)" "write through"
    mount -t ext4 /dev/vda /mnt
    check cache-write-through-fio verified_fio /mnt 1 4M
    umount /mnt
    echo "write back" >/sys/block/vda/cache_type
    is cache-set-write-back "$(limit vda write_cache)" "write back"
    return
fi

step "what the guest sees"
is size "$(cat /sys/block/vda/size)" "$expect_sectors"
is queues "$(ls /sys/block/vda/mq | wc -l)" "$expect_queues"
value serial "$(cat /sys/block/vda/serial)"
value logical "$(limit vda logical_block_size)"
value physical "$(limit vda physical_block_size)"
is cache "$(limit vda write_cache)" "$expect_cache"

step "read-only disk"
is read-only-seen "$(cat /sys/block/vdc/ro)" 1
blockdev --setrw /dev/vdc 2>/dev/null
refuses read-only-write dd if=/dev/zero of=/dev/vdc bs=4096 count=1 oflag=direct conv=notrunc
refuses read-only-discard blkdiscard -f /dev/vdc
is read-only-content "$(sha256sum </dev/vdc | cut -d' ' -f1)" "$expect_vdc_sha256"

step "discard and write zeroes"
mib=$((1024 * 1024))
block=$(limit vdb logical_block_size)
[ "$(limit vdb discard_max_bytes)" -gt 0 ] && discard=yes
is discard-offered "$discard" yes
[ "$(limit vdb write_zeroes_max_bytes)" -gt 0 ] && zeroes=yes
is write-zeroes-offered "$zeroes" yes
check discard blkdiscard -o $((8 * mib)) -l $((8 * mib)) /dev/vdb
check discard-reads-zero all_zero vdb $((8 * mib)) $((8 * mib))
check write-zeroes blkdiscard -z -o $((24 * mib)) -l $((8 * mib)) /dev/vdb
check write-zeroes-reads-zero all_zero vdb $((24 * mib)) $((8 * mib))
check write-zeroes-odd-edges blkdiscard -z -o $((40 * mib + block)) -l $((mib - 2 * block)) /dev/vdb
value odd-block "$block"

step "file system"
check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/pattern bs=64k count=128 2>/dev/null
sha256sum /mnt/pattern >/mnt/pattern.sha256
value pattern-sha256 "$(cut -d' ' -f1 /mnt/pattern.sha256)"
check fio-verified verified_fio /mnt 4 8M
umount /mnt
check fsck-clean e2fsck -fn /dev/vda

step "reboot under load"
mount -t ext4 /dev/vda /mnt
fio --name=load --directory=/mnt --size=32M --ioengine=libaio --iodepth=32 --direct=1 --thread \
    --rw=randwrite --bs=16k --time_based --runtime=60 --fallocate=posix >/dev/null 2>&1 &
sleep 3
touch /mnt/synced
sync
check load-runs pidof fio
reboot -f
