#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One boot that uses a device of each kind, for builds whose tests are not all
# run again.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

mkdir "$TMP/root"
echo "written by the host" >"$TMP/root/from-host"
"$(dirname "$0")/../lab/mkrootfs" -s 64 "$TMP/root" "$TMP/disk"
disk "$TMP/disk" ""
boot write -smp 2 "${disk_options[@]}" -device virtio-rng-device \
	-netdev tap,id=n0,ifname=tap7,script=no,downscript=no \
	-device virtio-net-device,netdev=n0
ok "the guest ran to its end" ended 0
ok "it read the host's file" is content "written by the host"
ok "the host reads the guest's file" test written = \
	"$(debugfs -R "cat /from-guest" "$TMP/disk" 2>/dev/null | cut -c-7)"
finish
