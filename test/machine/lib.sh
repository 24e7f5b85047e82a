# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the machine tests share: they run the whole program, on this host's own
# KVM or in the lab, with payloads of test/guest. Sourced; prints TAP.
#
# In: VIREO (the program; ./vireo if not set), the payloads beside it.

here=$(cd "$(dirname "$0")" && pwd)
VIREO=$(realpath "${VIREO:-./vireo}")
payloads=$(dirname "$VIREO")/test/guest
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

# Kernel images are kept for the other machines of this test only.
export VIREO_CACHE=${VIREO_CACHE:-${XDG_CACHE_HOME:-${HOME-}/.cache}/vireo}
export XDG_CACHE_HOME=$TMP/cache
mkdir "$XDG_CACHE_HOME"

# shellcheck source=test/e2e/lib.sh
. "$here/../e2e/lib.sh"

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "1..0 # SKIP no usable /dev/kvm"
	exit 77
fi

# A sanitizer has system calls of its own.
sandbox=on
grep -qaE '__(asan|tsan|ubsan)_' "$VIREO" && sandbox=off

# A machine of 64 MiB that runs a payload: ${options[@]}.
payload_options() {
	local payload=$1
	shift
	# shellcheck disable=SC2054 # options have commas
	options=(-M microvm -m 64 -nodefaults -no-user-config -nographic
		-no-reboot -sandbox "$sandbox"
		-kernel "$payloads/$payload" -append "mib=64 $*"
		-device isa-debug-exit,iobase=0xf4,iosize=0x4 -serial stdio)
}

# start PAYLOAD WORDS OPTION…: runs it to its end, at most 60 s. $status,
# $TMP/out and $TMP/err have what came of it; INPUT is its standard input.
start() {
	local payload=$1 words=$2
	shift 2
	payload_options "$payload" "$words"
	status=0
	timeout -k 5 60 "$VIREO" "${options[@]}" "$@" <"${INPUT:-/dev/null}" \
		>"$TMP/out" 2>"$TMP/err" || status=$?
}

# The points that the payload reported, as points of this test.
take_points() {
	local label=$1 line
	while IFS= read -r line; do
		case $line in
		'ok - '*) ok "$label: ${line#ok - }" true ;;
		'not ok - '*) ok "$label: ${line#not ok - }" false ;;
		esac
	done <"$TMP/out"
}

# run LABEL PAYLOAD WORDS OPTION…: a payload that has to pass: its points, and
# that it came to its end (isa-debug-exit, 16) without a word from vireo.
run() {
	local label=$1
	shift
	start "$@"
	take_points "$label"
	ok "$label: runs to its end" passed
}

passed() {
	[ "$status" = 33 ] && ! [ -s "$TMP/err" ]
}

# ended STATUS [TEXT]: it exited so, and said so (nothing, without TEXT).
ended() {
	[ "$status" = "$1" ] || return
	if [ $# -gt 1 ]; then
		grep -qF -- "$2" "$TMP/err"
	else
		! [ -s "$TMP/err" ]
	fi
}

# lines N: N numbered lines.
lines() {
	seq -f %08.0f 1 "$1"
}

# fifos NAME: the two of `-chardev pipe`, both held open: 3 is for writing what
# the guest receives, 4 for reading what it sends. The latter holds a page.
fifos() {
	mkfifo "$TMP/$1.in" "$TMP/$1.out"
	exec 3<>"$TMP/$1.in" 4<>"$TMP/$1.out"
	python3 -c 'import fcntl; fcntl.fcntl(4, 1031, 4096)' # F_SETPIPE_SZ
}

# sends FILE: writes it to the guest, in the background.
sends() {
	cat "$1" >&3 &
}

# takes BYTES FILE [TEXT]: reads them, in the background; not before the next
# machine's console has TEXT. $taker is to be waited for.
takes() {
	rm -f "$TMP/out"
	{
		for _ in $(seq 600); do
			[ $# -lt 3 ] || grep -qs "$3" "$TMP/out" && break
			sleep 0.1
		done
		timeout 60 head -c "$1"
	} <&4 >"$2" &
	# shellcheck disable=SC2034 # it is the caller's
	taker=$!
}
