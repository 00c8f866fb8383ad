# SPDX-License-Identifier: BSD-3-Clause
# A guest that moves to another machine with its disk in use. On "STEP migrate" the host begins to
# copy its memory; once it runs at the destination the host answers "STEP reading" with a line.

check migration-mkfs mkfs.ext4 -q -F /dev/vda
check migration-mount mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/file bs=64k count=512 2>/dev/null
sync
before=$(sha256sum </mnt/file)
fio_passes /mnt 2 12M >/tmp/passes.out 2>&1 &
fio=$!

# The disk writes into memory that may have been copied already: pages of the cache here, buffers
# of fio there. If the host is not told of it, the destination has what was there before.
step "migrate"
answer=
while [ -z "$answer" ]; do
    echo 1 >/proc/sys/vm/drop_caches
    cat /mnt/file >/dev/null
    step "reading"
    read -r -t 1 answer
done
is migration-cached-file "$(sha256sum </mnt/file)" "$before"
touch /tmp/enough
check migration-fio-verified wait $fio
value verified "$(cat /tmp/verified)"
value complaint "$(tail -c 300 /tmp/passes.out | tr '\n' ' ')"
echo 3 >/proc/sys/vm/drop_caches
is migration-file "$(sha256sum </mnt/file)" "$before"
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check migration-fsck-clean e2fsck -fn /dev/vda
check migration-no-disk-errors disk_errors
