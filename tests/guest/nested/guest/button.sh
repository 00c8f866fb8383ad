# SPDX-License-Identifier: BSD-3-Clause
# A disk in short use; then the host presses the power button, after "STEP button". It sets
# expect_*.

is cpus "$(nproc)" "$expect_cpus"
is topology "$(lscpu -p=cpu,core,socket | grep -v '^#' | tr '\n' ' ')" "$expect_topology"
is queues "$(ls /sys/block/vda/mq | wc -l)" "$expect_queues"
check deadline-timer grep -qw tsc_deadline_timer /proc/cpuinfo
check interrupts grep -E "$expect_interrupts" /proc/interrupts
value memory "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/pattern bs=64k count=8 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"
check fio-verified verified_fio /mnt "$expect_cpus" 1M
umount /mnt
check fsck-clean e2fsck -fn /dev/vda
check no-disk-errors disk_errors

for name in /sys/class/input/event*/device/name; do
    [ "$(cat "$name")" = "Power Button" ] && button=${name%/device/name}
done
# struct input_event: the time, and behind it type (1: EV_KEY), code (116: KEY_POWER), value.
head -c 24 "/dev/input/${button##*/}" >/tmp/event &
reader=$!
sleep 1
step "button"
wait $reader
is power-button "$(tail -c 8 /tmp/event | od -An -tx1 | tr -d ' \n')" 0100740001000000
