# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the end-to-end tests share. Sourced by scripts that run where KVM can
# run a kernel: on the host, or in the lab (test/e2e/run sees to that).
#
# In: VIREO (the program), KERNEL, INITRD, and TMP (a directory of the test's).

count=0 failed=0
status=0

# ok NAME COMMAND…
ok() {
	local name=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $name"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $count - $name"
	{
		echo "status $status; the end of what was printed:"
		tail -n 30 "$TMP/out"
		echo "errors:"
		tail -n 30 "$TMP/err"
	} | sed 's/^/# /'
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

finish() {
	echo "1..$count"
	[ $failed = 0 ]
}

# Seconds that end a hang: no test waits that long on any machine that works.
hang=900

# The options of a guest that runs test NAME: what issue 2's command has.
guest_options() {
	local name=$1
	options=(-M microvm -accel kvm -cpu host -m 256 -nodefaults
		-no-user-config -nographic -kernel "$KERNEL" -initrd "$INITRD"
		-append "console=ttyS0 quiet reboot=t panic=-1 e2e=$name"
		-serial stdio)
}

# What the guest has printed so far, in $TMP/out.
read_console() {
	tr -d '\r' <"$TMP/raw" >"$TMP/out"
}

# boot NAME OPTION…: runs the guest to its end; $TMP/out has the console,
# $status the exit status. Later options override earlier ones.
boot() {
	local name=$1
	shift
	guest_options "$name"
	status=0
	timeout -k 5 $hang "$VIREO" "${options[@]}" "$@" \
		>"$TMP/raw" 2>"$TMP/err" </dev/null || status=$?
	read_console
}

# start NAME OPTION…: runs the guest in the background, as process $pid.
start() {
	local name=$1
	shift
	guest_options "$name"
	status=running
	: >"$TMP/raw"
	"$VIREO" "${options[@]}" "$@" >"$TMP/raw" 2>"$TMP/err" </dev/null &
	pid=$!
}

# await REGEX: the guest prints it; not so if it ends first.
await() {
	local end=$((SECONDS + hang))
	while ! grep -q -- "$1" "$TMP/raw" && [ $SECONDS -lt $end ] &&
		kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
	done
	read_console
	grep -q -- "$1" "$TMP/out"
}

# stop SIGNAL: ends what start began.
stop() {
	kill -s "$1" "$pid"
	wait "$pid" 2>/dev/null
	status=$?
	read_console
}

# said KEY: the value that the guest printed.
said() {
	sed -n "s/^$1=//p" "$TMP/out" | tail -n 1
}

# is KEY VALUE
is() {
	[ "$(said "$1")" = "$2" ]
}

# ended STATUS: the guest ran to its end and vireo exited so.
ended() {
	[ "$status" = "$1" ] && is "done" yes
}

# fails TEXT OPTION…: vireo ends with status 1 and one line that has TEXT.
fails() {
	local text=$1
	shift
	status=0
	timeout -k 5 $hang "$VIREO" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null ||
		status=$?
	[ $status = 1 ] && [ "$(wc -l <"$TMP/err")" = 1 ] &&
		grep -qF -- "$text" "$TMP/err"
}

disk() {
	disk_options=(
		-blockdev "driver=file,node-name=f0,filename=$1,discard=unmap"
		-blockdev driver=raw,node-name=d0,file=f0,discard=unmap
		-device "virtio-blk-device,drive=d0${2:+,$2}")
}

# new_disk: $TMP/disk, an ext4 file system with a file from-host.
new_disk() {
	mkdir -p "$TMP/root"
	echo "written by the host" >"$TMP/root/from-host"
	rm -f "$TMP/disk"
	"$(dirname "$0")/../lab/mkrootfs" -s 64 "$TMP/root" "$TMP/disk"
}

# host_has FILE [DISK]: prints a file of the disk.
host_has() {
	debugfs -R "cat /$1" "${2:-$TMP/disk}" 2>/dev/null
}

# without_uring: from here on vireo finds io_uring forbidden.
without_uring() {
	printf '#!/bin/sh\nexec %q %q "$@"\n' "$WITHOUT_URING" "$VIREO" \
		>"$TMP/without-uring"
	chmod +x "$TMP/without-uring"
	VIREO=$TMP/without-uring
}
