#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A NIC on a TAP: ping, and 10 MiB each way that arrive as they were sent.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
peers=()
trap 'end_peers; rm -rf "$TMP"' EXIT

head -c $((10 * 1024 * 1024)) /dev/urandom >"$TMP/data"
sum=$(sha256sum <"$TMP/data" | cut -c-64)

# busybox's nc gives up when its standard input ends: one stays open.
mkfifo "$TMP/open"

serve() {
	busybox nc -l -p 7001 <"$TMP/data" >/dev/null &
	peers=($!)
	sleep infinity >"$TMP/open" &
	peers+=($!)
	busybox nc -l -p 7002 <"$TMP/open" >"$TMP/back" &
	peers+=($!)
}

end_peers() {
	[ ${#peers[@]} = 0 ] || kill "${peers[@]}" 2>/dev/null
	wait "${peers[@]}" 2>/dev/null
	peers=()
}

tap_up() {
	ip tuntap add tap0 mode tap $TAP_FLAGS &&
		ip addr add 192.0.2.1/24 dev tap0 &&
		ip link set tap0 up
}

transfer() {
	local name=$1
	shift
	tap_up || return
	serve
	boot net -smp 2 -netdev \
		"tap,id=n0,ifname=tap0,script=no,downscript=no$NETDEV" \
		-device "virtio-net-device,netdev=n0$1"
	end_peers # the guest has seen the end of both transfers, or never will
	ok "$name: the guest ran to its end" ended 0
	ok "$name: ping" is ping ok
	ok "$name: 10 MiB to the guest" is down "$sum"
	ok "$name: and back" \
		test "$(sha256sum <"$TMP/back" | cut -c-64)" = "$sum"
	ip link del tap0
}

TAP_FLAGS='' NETDEV='' transfer "default" ""
TAP_FLAGS='' NETDEV='' transfer "packed rings" ,packed=on
TAP_FLAGS='' NETDEV='' transfer "no offloads" \
	,csum=off,gso=off,guest_csum=off,mrg_rxbuf=off
TAP_FLAGS=multi_queue NETDEV=,queues=2 transfer "two queue pairs" ,mq=on
# The guest asks for one pair, the TAP has two: all packets go to the one.
TAP_FLAGS=multi_queue NETDEV=,queues=2 transfer "a pair of two" ,event_idx=off

# The TAP goes: the guest's link is down, one line says why, the VM lives on.
TAP_FLAGS='' tap_up
guest_options lost
"$VIREO" "${options[@]}" -device virtio-net-device,netdev=n0 \
	-netdev tap,id=n0,ifname=tap0,script=no,downscript=no \
	>"$TMP/raw" 2>"$TMP/err" </dev/null &
pid=$!
for _ in $(seq 600); do
	grep -q link= "$TMP/raw" && break
	sleep 0.1
done
ip link del tap0
wait $pid
status=$?
tr -d '\r' <"$TMP/raw" >"$TMP/out"
ok "the guest lives on without its TAP" ended 0
ok "it had a link, and sees that it is gone" is carrier 0
ok "one line says so" test "$(grep -c "'tap0' went away" "$TMP/err")" = 1
ok "and no other" test "$(wc -l <"$TMP/err")" = 1

without_uring
TAP_FLAGS='' NETDEV='' transfer "without io_uring" ""

finish
