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

transfer() {
	local name=$1
	shift
	ip tuntap add tap0 mode tap $TAP_FLAGS || return
	ip addr add 192.0.2.1/24 dev tap0
	ip link set tap0 up
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
without_uring
TAP_FLAGS='' NETDEV='' transfer "without io_uring" ""

finish
