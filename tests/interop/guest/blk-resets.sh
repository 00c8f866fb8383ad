# SPDX-License-Identifier: BSD-3-Clause
# A machine that is reset under load, again and again: what was synced before is there after it.
# After "STEP load" the host resets the machine, expect_resets times.

if ! mount -t ext4 /dev/vda /mnt 2>/dev/null; then
    check resets-mkfs mkfs.ext4 -q -F /dev/vda
    check resets-first-mount mount -t ext4 /dev/vda /mnt
    echo 0 >/mnt/resets
else
    # That mount replayed the journal; after it nothing is wrong.
    check resets-synced-intact sha256sum -c /mnt/synced.sha256
    umount /mnt
    check resets-fsck-clean e2fsck -fn /dev/vda
    check resets-mount mount -t ext4 /dev/vda /mnt
    echo $(($(cat /mnt/resets) + 1)) >/mnt/resets
fi

if [ "$(cat /mnt/resets)" -lt "$expect_resets" ]; then
    dd if=/dev/urandom of=/mnt/synced bs=64k count=16 2>/dev/null
    sha256sum /mnt/synced >/mnt/synced.sha256
    sync
    fio --name=load --directory=/mnt --size=16M --numjobs=2 --ioengine=libaio --iodepth=32 \
        --direct=1 --thread --rw=randrw --bsrange=4k-64k --time_based --runtime=90 \
        --fallocate=posix >/dev/null 2>&1 &
    while dd if=/dev/zero of=/mnt/dd bs=64k count=64 conv=fsync 2>/dev/null; do :; done &
    sleep 1
    check resets-load-runs pidof fio
    step "load"
    sleep 100
    # Only a machine that is not reset comes here.
fi

is resets-all-done "$(cat /mnt/resets)" "$expect_resets"
check resets-fio-verified verified_fio /mnt 2 8M
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check resets-last-fsck-clean e2fsck -fn /dev/vda
check resets-no-disk-errors disk_errors
