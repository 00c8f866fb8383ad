# SPDX-License-Identifier: BSD-3-Clause
# While fio verifies what it writes to /mnt, the host pauses the machine after "STEP pause" and
# kills and restarts the daemon after "STEP restarts"; each time it types a line when it is done.

trouble() {
    fio_passes /mnt 1 2M >/tmp/passes.out 2>&1 &
    fio=$!
    step "pause"
    read -r _
    step "restarts"
    read -r _
    touch /tmp/enough
    check trouble-fio-verified wait $fio
    value verified "$(cat /tmp/verified)"
    value complaint "$(tail -c 300 /tmp/passes.out | tr '\n' ' ')"
}
