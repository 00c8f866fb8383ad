# SPDX-License-Identifier: BSD-3-Clause
# A balloon at work, beside a disk in use. After each STEP the host does its part and types a line.
# It sets expect_features, used_mib, check_mib and cache_mib; it may put balloon-trouble.sh before
# this script.

host() {
    step "$1"
    read -r _
}

# corruption: fails with what the kernel found wrong with its memory.
corruption() {
    ! dmesg | grep -iE 'corruption|bad page|BUG:|general protection|virtio_balloon.*fail'
}

oom_kills() { awk '$1 == "oom_kill" { print $2 }' /proc/vmstat; }

# memory_checked MIB: that much memory, written and read again.
memory_checked() {
    touch /tmp/now
    /memory_check "$1" /tmp/now
}

if type after_reboot >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt 2>/dev/null; then
    after_reboot
    return
fi

device=$(echo /sys/bus/virtio/drivers/virtio_balloon/virtio*)
is features "$(head -c 6 "$device/features")" "$expect_features"
value kernel "$(uname -r)"

# Memory that was used and is free again; the kernel reports it by itself.
dd if=/dev/zero of=/tmp/used bs=1M count="$used_mib" 2>/dev/null
host "used"
rm /tmp/used
host "freed"

# Memory full of what could be read again: the balloon's for the asking.
dd if=/dev/vda of=/dev/null bs=1M count="$cache_mib" 2>/dev/null
host "cached"
dd if=/dev/vda of=/dev/null bs=1M count="$cache_mib" 2>/dev/null
host "cached again"

check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/pattern bs=64k count=8 2>/dev/null
sha256sum /mnt/pattern >/mnt/pattern.sha256
value pattern-sha256 "$(cut -d' ' -f1 /mnt/pattern.sha256)"

/memory_check "$check_mib" /tmp/enough >/tmp/memory.out 2>&1 &
memory=$!
fio_passes /mnt 1 1M >/tmp/passes.out 2>&1 &
fio=$!
host "breathe"
touch /tmp/enough
check memory-checked wait $memory
value memory "$(tail -c 300 /tmp/memory.out | tr '\n' ' ')"
check fio-verified wait $fio
value verified "$(cat /tmp/verified)"
value complaint "$(tail -c 300 /tmp/passes.out | tr '\n' ' ')"
rm -f /mnt/pass.*

if type trouble >/dev/null 2>&1; then trouble; fi
check no-corruption corruption
umount /mnt
check fsck-clean e2fsck -fn /dev/vda
check no-disk-errors disk_errors
