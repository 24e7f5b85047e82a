# SPDX-License-Identifier: Apache-2.0
#
# Payloads: tiny bare-metal guests, run by the tests of test/kvm. One line
# each; the source is NAME.c.

payloads =
payloads += test/guest/cpuid
payloads += test/guest/eoi
payloads += test/guest/fault
payloads += test/guest/io
payloads += test/guest/irq
payloads += test/guest/smp
payloads += test/guest/talk

GUEST_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -O2 -ffreestanding -fno-pic -fno-pie \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables
guest_common = %D%/start.S %D%/guest.h

EXTRA_DIST += %D%/guest.lds %D%/start.S %D%/guest.h $(payloads:=.c)
CLEANFILES += $(payloads)
check_DATA = $(payloads)

# Not by CFLAGS and LDFLAGS: a payload has no C library, and no sanitizer.
$(payloads): %: %.c $(guest_common) %D%/guest.lds test/lib/payload_abi.h
	$(AM_V_CCLD)mkdir -p %D% && $(CC) $(GUEST_CFLAGS) -I$(top_srcdir)/src \
		-I$(top_srcdir) -nostdlib -static -Wl,-no-pie -Wl,--build-id=none \
		-Wl,-z,noexecstack -Wl,-T,$(srcdir)/%D%/guest.lds -o $@ \
		$(srcdir)/%D%/start.S $<
