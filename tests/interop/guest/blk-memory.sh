# SPDX-License-Identifier: BSD-3-Clause
# Memory comes and goes while the disk is busy. On "STEP plug N" the host plugs a module, on
# "STEP unplug N" it asks for it back and types "gone" or "kept".

# memory_blocks: how many pieces of memory the kernel uses.
memory_blocks() { cat /sys/devices/system/memory/memory*/state | grep -c online; }

# take_memory: use what is there and not used yet, first of all for buffers and cached pages.
take_memory() {
    local state
    for _ in $(seq 100); do
        for state in /sys/devices/system/memory/memory*/state; do
            [ "$(cat "$state")" = online ] || echo online_movable >"$state"
        done
        [ "$(memory_blocks)" -gt "$1" ] && return
        sleep 0.1
    done
    echo "$(memory_blocks) blocks"
    return 1
}

check memory-mkfs mkfs.ext4 -q -F /dev/vda
check memory-mount mount -t ext4 /dev/vda /mnt
fio_passes /mnt 2 12M >/tmp/passes.out 2>&1 &
fio=$!
for number in 1 2; do
    blocks=$(memory_blocks)
    step "plug $number"
    check memory-plugged take_memory "$blocks"
    sleep 2
done
movable=$(awk '/^Node/ { zone = $4 } /nr_free_pages/ { free[zone] = $2 }
    /present/ && zone == "Movable" { present = $2 } END { print present - free["Movable"] }' \
    /proc/zoneinfo)
[ "${movable:-0}" -gt 256 ] && used=yes
is memory-used "$used" yes
step "unplug 2"
read -r answer
value unplugged "$answer"
sleep 2
touch /tmp/enough
check memory-fio-verified wait $fio
value verified "$(cat /tmp/verified)"
value complaint "$(tail -c 300 /tmp/passes.out | tr '\n' ' ')"
dd if=/dev/urandom of=/mnt/pattern bs=64k count=64 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
umount /mnt
check memory-fsck-clean e2fsck -fn /dev/vda
check memory-no-disk-errors disk_errors
