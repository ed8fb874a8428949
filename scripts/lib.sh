# Shared by the scripts beside it, which set `root` (absolute, no symbolic links in it) before they read this file.
# shellcheck shell=sh disable=SC2154

program=$root/.build/release/sdlab
# What the program was built from: a checksum of `sources` as they were when the build began.
stamp=$root/.build/sdlab-built-from
build_log=$root/.build/build.log

say() { printf 'sdlab: %s\n' "$*" >&2; }

# Name, size and time of every source file. The times are compared for being the same, not for being older than the
# program: a checkout or an unpacked archive can set any. A changed one only means that the compiler looks.
sources() { (cd "$root" && find Package.swift Sources -type f -printf '%p %s %T@\n' | sort | cksum); }

# SDLAB_ASSUME_BUILT is for tests that are run by hand: they must not build while `swift test` holds the build's lock.
is_built() {
    [ -x "$program" ] || return 1
    [ -n "${SDLAB_ASSUME_BUILT-}" ] || { [ -r "$stamp" ] && [ "$(cat "$stamp")" = "$(sources)" ]; }
}

# Runs a command while no other script builds or installs in this directory. The lock ends with this process.
with_lock() {
    exec 9<"$root"
    if ! flock -n 9; then
        say "another build is under way here; waiting for it…"
        flock 9
    fi
    "$@"
    exec 9<&-
}

# Builds what the arguments of `swift build` say; its output is shown only when it fails.
compile() {
    # Absolute paths stand all over a build; one that was copied or moved from elsewhere is of no use.
    if [ -e "$root/.build/release.yaml" ] && ! grep -qF "\"$root/" "$root/.build/release.yaml"; then forget_build; fi
    if ! mkdir -p "$root/.build" 2>/dev/null || [ ! -w "$root/.build" ]; then
        say "a build is needed, and this user may not write to $root/.build"
        return 1
    fi
    found=$(sources)
    if ! run_swift_build "$@"; then
        if grep -q 'module cache path\|PCH was compiled' "$build_log"; then
            forget_build
            if run_swift_build "$@"; then echo "$found" >"$stamp"; return; fi
        fi
        cat "$build_log" >&2
        say "the build failed; what the compiler says is above, and in $build_log"
        return 1
    fi
    echo "$found" >"$stamp"
}

# Everything that the compiler made; the tests' Python environment looks after itself.
forget_build() { find "$root/.build" -mindepth 1 -maxdepth 1 ! -name venv-test -exec rm -rf {} +; }

run_swift_build() { (cd "$root" && swift build -c release "$@") >"$build_log" 2>&1 </dev/null 9<&-; }

# Sets up and builds the program unless all is well already.
build_program() {
    is_built && return
    "$root/scripts/setup" run 9<&-
    if [ -x "$program" ]; then say "building (sources have changed)…"; else say "building (about 2 minutes the first time)…"; fi
    compile --product sdlab
}

ensure_program() { is_built || with_lock build_program; }
