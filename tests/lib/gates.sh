# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# gates.sh - run gates one after another, keep their logs, add up their results.
#
# A gate NAME is a function gate_NAME. It runs in a subshell from the root of the tree, with its
# output in $log_dir/NAME.log. It reports by passed, failed and skipped; one that reports nothing
# counts as a single result, which is its exit status.

log_dir=build/test-logs
failing_lines=40 # of a failed gate's log that are shown

# passed [N] - N checks passed.
passed()
{
    echo "passed ${1:-1}" >>"$tally"
}

# failed N WHAT... - N checks failed; WHAT names them.
failed()
{
    echo "failed $*" >>"$tally"
}

# skipped WHAT... - one check could not be done here; WHAT says which and why.
skipped()
{
    echo "skipped 1 $*" >>"$tally"
}

# count RESULT - add up what the gate (or all gates) reported as RESULT.
count()
{
    awk -v what="$1" '$1 == what { n += $2 } END { print n + 0 }' "${@:2}" /dev/null
}

# run_logged FUNCTION LOG - run it so that the first command that fails ends it.
run_logged()
{
    (
        set -euo pipefail
        "$1"
    ) >"$2" 2>&1 </dev/null
}

# run_gate NAME - run it and print its line; the log's end too when it failed.
run_gate()
{
    local name=$1 started=$SECONDS status=0 log=$log_dir/$1.log
    local tally=$log_dir/$1.tally

    : >"$tally"
    printf '[%d/%d] %-10s ' "$gate_number" "$gate_count" "$name"
    set +e
    run_logged "gate_$name" "$log"
    status=$?
    set -e
    if ((status == 0)) && [[ ! -s $tally ]]; then
        passed
    elif ((status != 0)) && (($(count failed "$tally") == 0)); then
        failed 1 "$name ended with status $status"
    fi
    printf '%d passed, %d failed, %d skipped (%d s)\n' "$(count passed "$tally")" \
        "$(count failed "$tally")" "$(count skipped "$tally")" $((SECONDS - started))
    (($(count failed "$tally"))) || return 0
    echo "--- the end of $log:"
    tail -n "$failing_lines" "$log"
    echo "---"
    sed -n 's/^failed [0-9]* /    FAILED: /p' "$tally"
}

# run_gates NAME... - run them all. Return: whether everything passed. The last line printed is
# the sum, "N passed, N failed, N skipped".
run_gates()
{
    local name tallies=()

    gate_count=$#
    gate_number=0
    mkdir -p "$log_dir"
    for name; do
        ((++gate_number))
        run_gate "$name"
        tallies+=("$log_dir/$name.tally")
        # Without its packages and its build nothing else would say anything new.
        if [[ $name == setup ]] && (($(count failed "${tallies[@]}"))); then
            echo "setup failed, so nothing else was run"
            break
        fi
    done
    sed -n "s/^skipped [0-9]* /skipped: /p" "${tallies[@]}"
    printf '%d passed, %d failed, %d skipped\n' "$(count passed "${tallies[@]}")" \
        "$(count failed "${tallies[@]}")" "$(count skipped "${tallies[@]}")"
    (($(count failed "${tallies[@]}") == 0))
}

# configure DIR COMPILER [MESON-OPTION]... - once.
configure()
{
    local dir=$1 compiler=$2

    if [[ ! -f $dir/build.ninja ]]; then
        CC=$compiler meson setup "$dir" "${@:3}"
    fi
}

# build DIR COMPILER [MESON-OPTION]... - configure it once, then bring it up to date.
build()
{
    configure "$@"
    ninja -C "$1"
}

# What sanitizers map their shadow memory into is not always free where the kernel randomises
# addresses over 32 bits.
no_aslr()
{
    if setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

# reserve_huge_pages N - have N pages of 2 MiB free until the gate ends, where that is allowed;
# tests that need them skip themselves otherwise.
reserve_huge_pages()
{
    local pool=/sys/kernel/mm/hugepages/hugepages-2048kB before free

    [[ -z ${pages_reserved:-} && -w $pool/nr_hugepages ]] || return 0
    pages_reserved=yes
    before=$(<$pool/nr_hugepages)
    free=$(<$pool/free_hugepages)
    ((free < $1)) || return 0
    # shellcheck disable=SC2064 # as many as there are now
    trap "echo $before >$pool/nr_hugepages" EXIT
    echo $((before + $1 - free)) >$pool/nr_hugepages
}

# meson_tests DIR LOG [MESON-TEST-OPTION]... - run tests of a build, count each Check and TAP test.
# Most of them wait most of the time: more run at a time than there are processors.
meson_tests()
{
    local dir=$1 logbase=$2 status=0

    reserve_huge_pages 64
    no_aslr meson test -C "$dir" --no-rebuild --print-errorlogs --logbase "$logbase" \
        --num-processes $((3 * $(nproc))) "${@:3}" || status=$?
    tests/lib/count-results meson "$dir/meson-logs/$logbase.json" "$dir" >>"$tally"
    return "$status"
}

# tap_test PROGRAM SECONDS - run a program that prints TAP, count its tests.
tap_test()
{
    local name=${1##*/} out status=0
    out=$log_dir/$name.tap

    timeout --kill-after=10 "$2" "$1" > >(tee "$out") || status=$?
    tests/lib/count-results tap "$out" "$name" "$status" >>"$tally"
    return "$status"
}

# tap_tests SECONDS PROGRAM... - the same for several, as many at a time as there are processors.
tap_tests()
{
    local seconds=$1 program status=0

    for program in "${@:2}"; do
        [[ -x $program ]] || continue
        while (($(jobs -rp | wc -l) >= $(nproc))); do
            wait -n || status=1
        done
        tap_test "$program" "$seconds" &
    done
    while [[ -n $(jobs -p) ]]; do
        wait -n || status=1
    done
    return "$status"
}

build_fuzzers()
{
    configure build-fuzz clang --buildtype=debugoptimized -Db_lundef=false \
        -Db_sanitize=address,undefined -Dc_args=-fno-sanitize-recover=all -Dfuzzers=true
    ninja -C build-fuzz fuzzers
}

# run_fuzzers OPTION... - run every fuzzer of build-fuzz/ from its seeds with libFuzzer's options.
# What it finds is kept in $log_dir.
run_fuzzers()
{
    local fuzzer name corpus seeds status=0

    for fuzzer in build-fuzz/tests/fuzz/fuzz_*; do
        [[ -f $fuzzer && -x $fuzzer ]] || continue
        name=${fuzzer##*/}
        corpus=build-fuzz/corpus/$name
        seeds=tests/fuzz/corpus/${name#fuzz_}
        mkdir -p "$corpus"
        echo "== $name"
        if no_aslr "$fuzzer" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$log_dir/$name-" \
            "$@" "$corpus" $([[ ! -d $seeds ]] || echo "$seeds"); then
            passed
        else
            failed 1 "$name: see $log_dir/$name-*"
            status=1
        fi
    done
    return "$status"
}

# main ARGUMENT... - of a program whose gates are listed in "${gates[@]}", "NAME what for".
main()
{
    local program=tests/${0##*/} names=("$@") name

    case ${1:-} in
    --list)
        printf '%s\n' "${gates[@]}"
        return
        ;;
    -*)
        echo "$program: unknown option '$1'; there is --list, and names of gates" >&2
        exit 2
        ;;
    esac
    if ((${#names[@]} == 0)); then
        mapfile -t names < <(printf '%s\n' "${gates[@]}" | cut -d' ' -f1)
    fi
    for name in "${names[@]}"; do
        if ! declare -F "gate_$name" >/dev/null; then
            echo "$program: there is no gate '$name'; $program --list names them" >&2
            exit 2
        fi
    done
    run_gates "${names[@]}"
}
