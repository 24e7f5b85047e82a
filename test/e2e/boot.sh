#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's kernels boot, on any number of CPUs and any amount of memory, and
# end as they should.
set -uo pipefail
# shellcheck source=test/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

# mem_is MIB: the guest has it, less what its kernel takes for itself.
mem_is() {
	local kib
	kib=$(said mem_kib)
	[ -n "$kib" ] && [ "$kib" -le $(($1 * 1024)) ] &&
		[ "$kib" -ge $(($1 * 1024 * 85 / 100 - 32768)) ]
}

seccomp_on_all_threads() {
	local pid=$1 n
	n=$(grep -h '^Seccomp:' "/proc/$pid"/task/*/status | sort -u)
	[ "$n" = "$(printf 'Seccomp:\t2')" ]
}

boot hello
ok "the cloud kernel boots and powers off" ended 0
ok "one CPU by default" is cpus 1
ok "kvmclock keeps time" is clock kvm-clock
first_text=$(said text)
# One of some 500 places: the same one three times running is no chance.
for _ in 1 2; do
	boot hello
	[ "$(said text)" = "$first_text" ] || break
done
ok "kaslr: another address at another boot" \
	test "$(said text)" != "$first_text"
boot hello -M microvm,kaslr=off
ok "kaslr=off: the address it was linked for" is text ffffffff81000000
boot hello -smp 2
ok "two CPUs" is cpus 2
boot hello -smp 4,sockets=1,cores=2,threads=2 -m 512
ok "four CPUs, two cores of two threads" is cpus 4
boot hello -kernel "$KERNEL_GENERIC" -initrd "$INITRD_GENERIC" -m 512
ok "the generic kernel boots" ended 0
boot hello -kernel "$VMLINUX"
ok "an ELF vmlinux boots" ended 0
boot hello -M microvm,kernel-irqchip=on
ok "the kernel's own IOAPIC" ended 0

# Debian's kernel needs more than 64 MiB for itself; it says what it has.
start hello -m 64 -append "console=ttyS0 panic=-1" -no-reboot
ok "64 MiB of memory" await 'Memory: .*K/65[0-9]*K available'
stop KILL
for m in 128 1024 2048 3072 3584 4096 5120 16384; do
	boot hello -m $m
	ok "$m MiB of memory" mem_is $m
done

boot status -append "console=ttyS0 quiet e2e=status status=20" \
	-device isa-debug-exit,iobase=0xf4,iosize=0x4
ok "isa-debug-exit's value is the exit status" test $status = 41

boot panic -no-reboot
ok "a panic with -no-reboot ends it" test $status = 0
boot panic -device pvpanic -action panic=exit-failure
ok "pvpanic with panic=exit-failure ends it with status 1" test $status = 1

start sleep -smp 2 -pidfile "$TMP/pid"
ok "a guest sleeps" await sleeping=yes
ok "the pid file has the pid" test "$(cat "$TMP/pid")" = $pid
ok "every thread is confined by seccomp" seccomp_on_all_threads $pid
ok "the pid file is locked" fails "is held by another process" \
	"${options[@]}" -pidfile "$TMP/pid"
stop TERM
ok "SIGTERM ends it with status 0" test $status = 0

finish
