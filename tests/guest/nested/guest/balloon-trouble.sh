# SPDX-License-Identifier: BSD-3-Clause
# A guest that wants more memory than its balloon left it, and one that starts anew with a full
# balloon. Put before balloon.sh; the host sets greedy_mib and all_mib.

trouble() {
    echo 3 >/proc/sys/vm/drop_caches
    host "squeeze"
    before=$(oom_kills)
    check greedy-memory memory_checked "$greedy_mib"
    is oom-kills "$(oom_kills)" "$before"
    host "survived"
    check no-corruption corruption
    sync
    reboot -f
}

after_reboot() {
    check reboot-pattern-intact sha256sum -c /mnt/pattern.sha256
    host "rebooted"
    check reboot-memory memory_checked "$all_mib"
    check no-corruption corruption
    umount /mnt
    check fsck-clean e2fsck -fn /dev/vda
    check no-disk-errors disk_errors
}
