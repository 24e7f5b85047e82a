#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a user gets wrong: one clear line and status 1.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

guest_options hello
ok "an unknown option" fails "-kernle" -kernle x
ok "an unknown device" fails "did you mean 'virtio-blk-device'" \
	"${options[@]}" -device virtio-blk-devce
ok "an unknown property" fails "drvie" "${options[@]}" \
	-device virtio-blk-device,drvie=x
ok "a missing back end" fails "'nodisk'" "${options[@]}" \
	-device virtio-blk-device,drive=nodisk
ok "a missing image" fails "$TMP/nothing" "${options[@]}" \
	-blockdev "driver=file,node-name=f,filename=$TMP/nothing"
ok "a missing kernel" fails "$TMP/nokernel" "${options[@]}" \
	-kernel "$TMP/nokernel"
ok "no kernel" fails "-kernel" -M microvm -nodefaults
head -c 100000 /dev/urandom >"$TMP/noise"
ok "a kernel that is none" fails "$TMP/noise" "${options[@]}" \
	-kernel "$TMP/noise"
head -c 1000000 "$KERNEL" >"$TMP/half"
ok "half a kernel" fails "$TMP/half" "${options[@]}" -kernel "$TMP/half"
ok "a command line that is too long" fails "-append" "${options[@]}" \
	-append "$(printf 'x%.0s' $(seq 3000))"
ok "too little memory for the kernel" fails "raise -m" "${options[@]}" -m 16
ok "too many CPUs" fails "256" "${options[@]}" -smp 256
ok "a TAP that is not there" fails "nosuchtap" "${options[@]}" \
	-netdev tap,id=n,ifname=nosuchtap0123456789,script=no,downscript=no

# The program, where /dev is empty.
export REAL_VIREO=$VIREO
cat >"$TMP/without-dev" <<'EOF'
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs none /dev && exec "$REAL_VIREO" "$@"' \
	vireo "$@"
EOF
chmod +x "$TMP/without-dev"
VIREO=$TMP/without-dev
ok "no /dev/kvm" fails "/dev/kvm" "${options[@]}"
VIREO=$REAL_VIREO
finish
