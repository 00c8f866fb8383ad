# SPDX-License-Identifier: BSD-3-Clause
# A disk whose daemon comes and goes. After "STEP restarts" the host kills and restarts it until
# it types a line. The host sets expect_queues.

is restart-queues "$(ls /sys/block/vda/mq | wc -l)" "$expect_queues"
check restart-mkfs mkfs.ext4 -q -F /dev/vda
check restart-mount mount -t ext4 /dev/vda /mnt

# Beside fio: the page cache and the journal.
buffered() {
    local number=0
    while [ ! -e /tmp/enough ]; do
        number=$((number + 1))
        dd if=/dev/urandom of=/tmp/piece bs=64k count=8 2>/dev/null
        dd if=/tmp/piece of=/mnt/piece.$((number % 8)) bs=64k conv=fsync 2>/dev/null || return
        rm -f /mnt/piece.$(((number + 4) % 8))
        cmp /tmp/piece /mnt/piece.$((number % 8)) || return
    done
}

fio_passes /mnt 2 "$fio_size" >/tmp/passes.out 2>&1 &
fio=$!
buffered &
files=$!
step "restarts"
read -r _
touch /tmp/enough
check restart-fio-verified wait $fio
check restart-files wait $files
value verified "$(cat /tmp/verified)"
value complaint "$(tail -c 300 /tmp/passes.out | tr '\n' ' ')"

cat /mnt/pass.* | sha256sum >/tmp/before
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check restart-fsck-clean e2fsck -fn /dev/vda
check restart-remount mount -t ext4 /dev/vda /mnt
cat /mnt/pass.* | sha256sum >/tmp/after
check restart-same-after-remount cmp /tmp/before /tmp/after
umount /mnt
check restart-no-disk-errors disk_errors
