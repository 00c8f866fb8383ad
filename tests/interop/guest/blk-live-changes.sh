# SPDX-License-Identifier: BSD-3-Clause
# The machine changes while the disk is busy. On "STEP pause" the host stops and continues the
# guest, on "STEP plug-memory" it plugs a memory module, on "STEP grow" it makes the disk
# expect_grown_sectors large, where the daemon can ("" if not).

# memory_blocks: how many pieces of memory the kernel knows.
memory_blocks() { ls -d /sys/devices/system/memory/memory* | wc -l; }

check live-mkfs mkfs.ext4 -q -F /dev/vda
check live-mount mount -t ext4 /dev/vda /mnt

step "pause"
check pause-fio-verified verified_fio /mnt 2 24M

blocks=$(memory_blocks)
verified_fio /mnt 2 16M >/tmp/plug.out 2>&1 &
fio=$!
step "plug-memory"
for _ in $(seq 50); do
    [ "$(memory_blocks)" -gt "$blocks" ] && break
    sleep 0.2
done
# Movable memory is taken first for buffers and cached pages, so the disk must reach it.
for state in /sys/devices/system/memory/memory*/state; do
    [ "$(cat "$state")" = online ] || echo online_movable >"$state"
done
[ "$(memory_blocks)" -gt "$blocks" ] && plugged=yes
is memory-plugged "$plugged" yes
check plug-fio-verified wait $fio

check new-memory-fio-verified verified_fio /mnt 2 16M
movable=$(awk '/^Node/ { zone = $4 } /nr_free_pages/ { free[zone] = $2 }
    /present/ && zone == "Movable" { present = $2 } END { print present - free["Movable"] }' \
    /proc/zoneinfo)
[ "${movable:-0}" -gt 256 ] && used=yes
is new-memory-used "$used" yes
if [ -n "$expect_grown_sectors" ]; then
    step "grow"
    for _ in $(seq 50); do
        [ "$(cat /sys/block/vda/size)" = "$expect_grown_sectors" ] && break
        sleep 0.2
    done
    is disk-grown "$(cat /sys/block/vda/size)" "$expect_grown_sectors"
    check grown-part-works dd if=/dev/vda of=/dev/null bs=1M skip=190 count=10 iflag=direct
fi

dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check live-fsck-clean e2fsck -fn /dev/vda
