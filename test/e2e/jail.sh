#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything at once inside the jail, with io_uring and without: what a system
# call is missing for kills the VM.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

# All kinds of devices, and a log of everything.
devices=(-netdev "tap,id=n0,ifname=tap8,script=no,downscript=no"
	-device "virtio-net-device,netdev=n0" -device virtio-rng-device
	-device pvpanic -chardev "pty,id=c"
	-device "virtio-console-device,chardev=c" -d all -D "$TMP/log")

# A block device of the lab's, since its files know no O_DIRECT.
check_direct() {
	if [ -z "${VIREO_LAB-}" ] || ! modprobe brd rd_nr=1 rd_size=65536; then
		skip "$1: a block device around the host's cache" "not the lab"
		return
	fi
	new_disk
	dd if="$TMP/disk" of=/dev/ram0 bs=1M 2>"$TMP/err"
	boot write -smp 2 "${devices[@]}" -drive \
		"file=/dev/ram0,format=raw,cache=none,discard=unmap"
	ok "$1: a block device around the host's cache" ended 0
	ok "$1: 4 MiB of random data arrived" \
		test "$(host_has random /dev/ram0 | sha256sum | cut -c-64)" \
		= "$(said sum)"
}

check() {
	local before
	check_direct "$1"
	new_disk
	before=$(sha256sum <"$TMP/disk")
	boot write -smp 2 "${devices[@]}" -snapshot -drive "file=$TMP/disk"
	ok "$1: a disk that is forgotten" ended 0
	ok "$1: and its image is as before" \
		test "$(sha256sum <"$TMP/disk")" = "$before"
	boot reboot -smp 2 "${devices[@]}" -drive "file=$TMP/disk"
	ok "$1: the guest reboots twice and powers off" ended 0
}

check "io_uring"
without_uring
check "epoll"
ok "epoll: the log says so" grep -q "using epoll" "$TMP/log"

finish
