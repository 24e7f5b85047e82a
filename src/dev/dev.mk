# SPDX-License-Identifier: Apache-2.0
#
# One line a device. The table of classes is made from the VIREO_DEVICE lines
# of these files.

device_files =
device_files += %D%/plat/acpi_pm.c
device_files += %D%/plat/debug_exit.c
device_files += %D%/plat/i8042.c
device_files += %D%/plat/ioapic.c
device_files += %D%/plat/port61.c
device_files += %D%/plat/pvpanic.c
device_files += %D%/plat/rtc.c
device_files += %D%/plat/serial.c
device_files += %D%/virtio/blk.c
device_files += %D%/virtio/console.c
device_files += %D%/virtio/net.c
device_files += %D%/virtio/rng.c

# What a device file has beside it.
libvireo_a_SOURCES += %D%/virtio/blk.h %D%/virtio/blk_req.c
libvireo_a_SOURCES += %D%/virtio/net.h %D%/virtio/net_ctrl.c \
	%D%/virtio/net_rx.c %D%/virtio/net_tx.c

libvireo_a_SOURCES += $(device_files)
nodist_libvireo_a_SOURCES += %D%/classes.c
CLEANFILES += %D%/classes.c
EXTRA_DIST += %D%/classes.awk

%D%/classes.c: $(device_files) %D%/classes.awk Makefile
	$(AM_V_GEN)mkdir -p %D% && files='$(device_files)'; set --; \
	for f in $$files; do set -- "$$@" "$(srcdir)/$$f"; done; \
	$(AWK) -f $(srcdir)/%D%/classes.awk "$$@" /dev/null >$@.tmp && mv $@.tmp $@
