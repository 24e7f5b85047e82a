#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks: what the guest writes is on the host, and what goes wrong stays small.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

is_clean() {
	e2fsck -fn "$TMP/disk" >"$TMP/err" 2>&1
}

new_disk
disk "$TMP/disk" serial=vireo-disk-1
tap_options=(-netdev tap,id=n0,ifname=tap7,script=no,downscript=no
	-device virtio-net-device,netdev=n0,mac=52:54:00:12:34:99)
boot devices -smp 2 "${disk_options[@]}" "${tap_options[@]}" \
	-device virtio-rng-device -uuid 12345678-1234-5678-9abc-def012345678
ok "all devices are found" ended 0
ok "/dev/vda is a block device" is vda b
ok "of the size of the image" is vda_sectors 131072
ok "with its serial" is vda_serial vireo-disk-1
ok "writable" is vda_ro 0
ok "with a write-back cache" is vda_cache "write back"
ok "that can discard" test "$(said vda_discard)" -gt 0
ok "the NIC has its address" is mac 52:54:00:12:34:99
ok "the entropy device feeds hwrng" is rng_bytes 256
ok "SMBIOS has the uuid" is uuid 12345678-1234-5678-9abc-def012345678

for variant in "" packed=on event_idx=off,indirect_desc=off num-queues=2; do
	new_disk
	disk "$TMP/disk" "$variant"
	boot write -smp 2 "${disk_options[@]}"
	ok "ext4 is written (${variant:-default})" ended 0
	ok "the guest read the host's file" is content "written by the host"
	ok "the host reads the guest's file" \
		test "$(host_has from-guest)" = "written by the guest"
	ok "4 MiB of random data arrived" \
		test "$(host_has random | sha256sum | cut -c-64)" = "$(said sum)"
	ok "the file system is clean" is_clean
done

# Memory that is registered with the ring.
new_disk
disk "$TMP/disk" ""
boot write "${disk_options[@]}" -M microvm,memory-backend=m0 -d io \
	-object memory-backend-ram,id=m0,size=256M,prealloc=on
ok "ext4 is written (registered memory)" ended 0
ok "with no complaint" test ! -s "$TMP/err"
ok "and 4 MiB of random data arrived" \
	test "$(host_has random | sha256sum | cut -c-64)" = "$(said sum)"
ok "and the file system is clean" is_clean

new_disk
disk "$TMP/disk" ""
boot reboot "${disk_options[@]}"
ok "the guest reboots twice and powers off" ended 0
ok "and its disk lived through it" test "$(host_has boots)" = 3

new_disk
before=$(sha256sum <"$TMP/disk")
boot write -blockdev \
	"driver=file,node-name=f0,filename=$TMP/disk,read-only=on" \
	-blockdev driver=raw,node-name=d0,file=f0,read-only=on \
	-device virtio-blk-device,drive=d0
ok "a read-only disk is not written" \
	test "$(sha256sum <"$TMP/disk")" = "$before"

# fsck_mends: replays the journal, and finds nothing else to do.
fsck_mends() {
	e2fsck -fp "$TMP/disk" >"$TMP/err" 2>&1
	[ $? -le 1 ] && is_clean
}

# has_synced N: what the guest had synced for the Nth time is whole.
has_synced() {
	local want
	want=$(yes "$1" | head -c 4194304 | sha256sum)
	[ "$(host_has "f$(($1 % 8))" | sha256sum)" = "$want" ]
}

new_disk
disk "$TMP/disk" ""
for n in 1 10; do
	start fill "${disk_options[@]}"
	ok "the guest writes and syncs $n times" await "filled=$n"
	sleep 0.1 # into the next one
	stop KILL
	ok "it wrote until it was killed" test $status = 137
	n=$(said filled)
	ok "the journal mends what was killed in mid-write" fsck_mends
	ok "and all is there that was synced" has_synced "$n"
done

start sleep "${disk_options[@]}"
ok "killed and started again at once" await sleeping=yes
ok "a busy image is refused" fails "in use" "${options[@]}" \
	"${disk_options[@]}"
stop TERM

finish
