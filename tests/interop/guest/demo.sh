# SPDX-License-Identifier: BSD-3-Clause
# What ./demo does inside the guest.

# measure NAME OPTION...: a few seconds of direct I/O on one file; reports operations a second,
# mean latency in microseconds and KiB a second (fields of fio's terse format 3).
measure() {
    local name=$1 line
    shift
    line=$(fio --name=measure --filename=/mnt/measure --size=96M --ioengine=libaio --direct=1 \
        --thread --group_reporting --minimal --terse-version=3 "$@" | tail -n 1)
    value "$name-iops" "$(echo "$line" | awk -F';' '{ print int($8 + $49) }')"
    value "$name-latency" "$(echo "$line" | awk -F';' '{ print int($16 + $57) }')"
    value "$name-rate" "$(echo "$line" | awk -F';' '{ print int($7 + $48) }')"
}

value kernel "$(uname -r)"
value queues "$(ls /sys/block/vda/mq | wc -l)"

step "mkfs"
check mkfs mkfs.ext4 -q -F /dev/vda
check mount mount -t ext4 /dev/vda /mnt

step "write"
dd if=/dev/urandom of=/mnt/pattern bs=64k count=128 2>/dev/null
value pattern-sha256 "$(sha256sum /mnt/pattern | cut -d' ' -f1)"

step "verify"
check verify verified_fio /mnt 2 16M

step "measure"
measure write-sequential --rw=write --bs=1M --iodepth=4
measure read-random --rw=randread --bs=4k --iodepth=8 --time_based --runtime=5
measure write-random --rw=randwrite --bs=4k --iodepth=8 --time_based --runtime=5

step "fsck"
umount /mnt
check fsck e2fsck -fn /dev/vda
