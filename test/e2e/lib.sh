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

# The options of a guest that runs test NAME: what issue 2's command has.
guest_options() {
	local name=$1
	options=(-M microvm -accel kvm -cpu host -m 256 -nodefaults
		-no-user-config -nographic -kernel "$KERNEL" -initrd "$INITRD"
		-append "console=ttyS0 quiet reboot=t panic=-1 e2e=$name"
		-serial stdio)
}

# boot NAME OPTION…: runs the guest to its end, at most 120 s; $TMP/out has the
# console, $status the exit status. Later options override earlier ones.
boot() {
	local name=$1
	shift
	guest_options "$name"
	status=0
	timeout -k 5 "${LIMIT:-120}" "$VIREO" "${options[@]}" "$@" \
		>"$TMP/raw" 2>"$TMP/err" </dev/null || status=$?
	tr -d '\r' <"$TMP/raw" >"$TMP/out"
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
	[ "$status" = "$1" ] && is done yes
}

# fails TEXT OPTION…: vireo ends with status 1 and one line that has TEXT.
fails() {
	local text=$1
	shift
	status=0
	timeout -k 5 60 "$VIREO" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null ||
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
