# SPDX-License-Identifier: Apache-2.0
#
# Payloads: tiny bare-metal guests. One line each; the source is NAME.c.

# Run by the tests of test/kvm, by src/kvm alone.
payloads =
payloads += test/guest/cpuid
payloads += test/guest/eoi
payloads += test/guest/fault
payloads += test/guest/io
payloads += test/guest/irq
payloads += test/guest/smp
payloads += test/guest/talk

# Run by the tests of test/machine, by the whole program.
machine_payloads =
machine_payloads += test/guest/blk
machine_payloads += test/guest/console
machine_payloads += test/guest/net
machine_payloads += test/guest/power
machine_payloads += test/guest/ring0
machine_payloads += test/guest/rng
machine_payloads += test/guest/serial

GUEST_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -O2 -ffreestanding -fno-pic -fno-pie \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables \
	-ffunction-sections
guest_ldflags = -nostdlib -static -Wl,-no-pie -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,--gc-sections
# Not by CFLAGS and LDFLAGS: a payload has no C library, and no sanitizer.
guest_link = mkdir -p %D% && $(CC) $(GUEST_CFLAGS) -I$(top_srcdir)/src \
	-I$(top_srcdir) $(guest_ldflags) -Wl,-T,$(srcdir)/%D%/guest.lds

guest_parts = %D%/start.S
machine_parts = %D%/machine.S %D%/machine.c %D%/virtio.c test/lib/ring.c \
	test/lib/vmmio.c
guest_headers = %D%/guest.h %D%/machine.h %D%/virtio.h test/lib/payload_abi.h \
	test/lib/ring.h test/lib/vmmio.h

EXTRA_DIST += %D%/guest.lds %D%/start.S %D%/machine.S %D%/machine.c \
	%D%/virtio.c %D%/guest.h %D%/machine.h %D%/virtio.h $(payloads:=.c) \
	$(machine_payloads:=.c)
CLEANFILES += $(payloads) $(machine_payloads)
check_DATA = $(payloads) $(machine_payloads)

$(payloads): %: %.c $(guest_parts) $(guest_headers) %D%/guest.lds
	$(AM_V_CCLD)$(guest_link) -o $@ $(guest_parts:%=$(srcdir)/%) $<

$(machine_payloads): %: %.c $(machine_parts) $(guest_headers) %D%/guest.lds
	$(AM_V_CCLD)$(guest_link) -Wl,-e,machine_start -o $@ \
		$(machine_parts:%=$(srcdir)/%) $<
