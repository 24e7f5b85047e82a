# SPDX-License-Identifier: Apache-2.0
#
# Each test is a program that prints TAP and exits 0, 1 or 77 (skipped): one
# line here, its source is NAME.c.

LOG_DRIVER = $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(top_srcdir)/test/lib/run-tap
dist_check_SCRIPTS += test/lib/run-tap
AM_COLOR_TESTS = auto
if TESTS_BUILT
TEST_LIBS = libtest.a $(VIREO_LIBS) $(CMOCKA_LIBS)
else
TEST_LIBS = $(VIREO_LIBS)
endif
LDADD = $(TEST_LIBS)

dist_noinst_DATA += test/lib/test.h test/lib/command_line.h test/fuzz/fuzz.h \
	test/unit/vmm/board.h

if TESTS_BUILT
# What tests share.
check_LIBRARIES = libtest.a
libtest_a_SOURCES = test/lib/child.c test/lib/child.h \
	test/lib/fakeboard.c test/lib/fakeboard.h \
	test/lib/kernel.c test/lib/kernel.h \
	test/lib/logfile.c test/lib/logfile.h \
	test/lib/loopdev.c test/lib/loopdev.h \
	test/lib/nullback.c test/lib/nullback.h \
	test/lib/payload.c test/lib/payload.h test/lib/payload_abi.h \
	test/lib/platrig.c test/lib/platrig.h \
	test/lib/ring.c test/lib/ring.h \
	test/lib/vdriver.c test/lib/vdriver.h \
	test/lib/vfuzz.c test/lib/vfuzz.h \
	test/lib/vmmio.c test/lib/vmmio.h \
	test/lib/vslot.c test/lib/vslot.h
dist_noinst_DATA += test/lib/loop.h test/lib/no_uring.h

unit_tests =
unit_tests += test/unit/backend/blk_file
unit_tests += test/unit/backend/blk_model
unit_tests += test/unit/backend/blk_overlay
unit_tests += test/unit/backend/block
unit_tests += test/unit/backend/chardev
unit_tests += test/unit/base/err
unit_tests += test/unit/base/json
unit_tests += test/unit/base/keyval
unit_tests += test/unit/base/loop
unit_tests += test/unit/base/loop_seal
unit_tests += test/unit/base/prop
unit_tests += test/unit/base/state
unit_tests += test/unit/bus/device
unit_tests += test/unit/backend/net
unit_tests += test/unit/backend/object
unit_tests += test/unit/bus/gmem
unit_tests += test/unit/bus/iov
unit_tests += test/unit/bus/irq
unit_tests += test/unit/bus/mac
unit_tests += test/unit/bus/space
unit_tests += test/unit/bus/virtio_mmio
unit_tests += test/unit/bus/virtq
unit_tests += test/unit/kvm/cpuid
unit_tests += test/unit/kvm/exit
unit_tests += test/unit/kvm/kvm
unit_tests += test/unit/vmm/acpi
unit_tests += test/unit/vmm/config
unit_tests += test/unit/vmm/decompress
unit_tests += test/unit/vmm/distribution
unit_tests += test/unit/vmm/doctor
unit_tests += test/unit/vmm/drive
unit_tests += test/unit/vmm/fdt
unit_tests += test/unit/vmm/help
unit_tests += test/unit/vmm/image
unit_tests += test/unit/vmm/jail
unit_tests += test/unit/vmm/kaslr
unit_tests += test/unit/vmm/loader
unit_tests += test/unit/vmm/memory
unit_tests += test/unit/vmm/serial
unit_tests += test/unit/vmm/smbios

device_tests =
device_tests += test/dev/acpi_pm
device_tests += test/dev/debug_exit
device_tests += test/dev/i8042
device_tests += test/dev/ioapic
device_tests += test/dev/port61
device_tests += test/dev/pvpanic
device_tests += test/dev/race
device_tests += test/dev/rng
device_tests += test/dev/rtc
device_tests += test/dev/serial
device_tests += test/dev/table
device_tests += test/dev/virtio_blk
device_tests += test/dev/virtio_console
device_tests += test/dev/virtio_net

# On the host's real KVM; skipped where there is none.
kvm_tests =
kvm_tests += test/kvm/cpu
kvm_tests += test/kvm/io
kvm_tests += test/kvm/irq
kvm_tests += test/kvm/run

# vireo itself, as a process, with a small guest on the host's KVM.
process_tests =
process_tests += test/process/backends
process_tests += test/process/daemon
process_tests += test/process/ends
process_tests += test/process/options
process_tests += test/process/terminal

# Its allocations fail when told to.
test_dev_table_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc \
	-Wl,--wrap=realloc,--wrap=strdup,--wrap=eventfd

# A host that does less than it is asked for.
test_unit_backend_blk_model_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=loop_readv \
	-Wl,--wrap=loop_writev,--wrap=loop_fdatasync,--wrap=loop_fallocate

check_PROGRAMS += $(unit_tests) $(device_tests) $(kvm_tests) $(process_tests)
TESTS += $(unit_tests) $(device_tests) $(kvm_tests) $(process_tests)
endif

include test/guest/guest.mk

# The whole program with payloads, on the host's real KVM; skipped likewise.
machine_tests =
machine_tests += %D%/machine/blk
machine_tests += %D%/machine/kernel
machine_tests += %D%/machine/power
machine_tests += %D%/machine/reset
machine_tests += %D%/machine/serial
machine_tests += %D%/machine/virtio
dist_check_SCRIPTS += $(machine_tests)
dist_noinst_DATA += %D%/machine/lib.sh
TESTS += $(machine_tests)

# Fuzzers: test/fuzz/fuzz.h. One line each.
fuzzers =
fuzzers += test/fuzz/command_line
fuzzers += test/fuzz/options
fuzzers += test/fuzz/virtq
if TESTS_BUILT
fuzzers += test/fuzz/kernel
fuzzers += test/fuzz/virtio_blk
fuzzers += test/fuzz/virtio_mmio
fuzzers += test/fuzz/virtio_net
endif

check_PROGRAMS += $(fuzzers)
EXTRA_DIST += test/fuzz/corpus
FUZZ_SECONDS = 60

if FUZZ
LDADD += $(FUZZER_LIBS)

fuzz: $(fuzzers)
	for f in $(fuzzers); do \
		n=`basename $$f`; mkdir -p fuzz/$$n && \
		./$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			-artifact_prefix=fuzz/$$n- fuzz/$$n \
			$(srcdir)/test/fuzz/corpus/$$n || exit 1; \
	done

# The short run of CI.
check-fuzz:
	$(MAKE) $(AM_MAKEFLAGS) fuzz FUZZ_SECONDS=10
else
LDADD += libreplay.a
noinst_LIBRARIES += libreplay.a
libreplay_a_SOURCES = %D%/fuzz/replay.c
TESTS += $(fuzzers)
endif

# Checks of the tree, which ask compiler and binutils.
NM = nm
AM_TESTS_ENVIRONMENT = LINT_CC='$(CC)' LINT_NM='$(NM)' \
	LINT_CPPFLAGS='$(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS)' \
	LINT_CFLAGS='$(AM_CFLAGS) $(CFLAGS)'; \
	export LINT_CC LINT_NM LINT_CPPFLAGS LINT_CFLAGS;
tree_checks = %D%/lint/dist %D%/lint/globals %D%/lint/headers \
	%D%/lint/layers %D%/lint/spdx %D%/lint/syscalls
dist_check_SCRIPTS += $(tree_checks)
dist_noinst_DATA += %D%/lint/globals.txt %D%/lint/lib.sh
TESTS += $(tree_checks)
dist_check_SCRIPTS += %D%/lint/scripts
TESTS += %D%/lint/scripts
.PHONY: print-distfiles
print-distfiles:
	@printf '%s\n' $(DISTFILES)
dist_check_SCRIPTS += %D%/lint/completions %D%/lint/docs
TESTS += %D%/lint/completions %D%/lint/docs

# The lab (doc/lab.md): nested KVM under QEMU's TCG.
dist_noinst_SCRIPTS += %D%/lab/kernels %D%/lab/lab %D%/lab/mkinitrd \
	%D%/lab/mkrootfs %D%/lab/selftest
dist_noinst_DATA += %D%/lab/cache.sh %D%/lab/init %D%/lab/init.guest

# Costs against QEMU's, in the lab.
dist_noinst_SCRIPTS += %D%/bench/boot %D%/bench/boot.lab
dist_noinst_DATA += %D%/bench/init.c %D%/bench/measure.c

bench: vireo
	$(srcdir)/test/bench/boot --vireo ./vireo

# End-to-end tests: Linux under vireo, in the lab where this host cannot.
dist_noinst_SCRIPTS += %D%/tap-run %D%/e2e/run %D%/e2e/boot.sh \
	%D%/e2e/disk.sh %D%/e2e/net.sh %D%/e2e/jail.sh %D%/e2e/errors.sh \
	%D%/e2e/guest-init
dist_noinst_DATA += %D%/e2e/lib.sh
dist_noinst_SCRIPTS += %D%/e2e/host %D%/e2e/smoke.sh

# The program without a guest.
dist_check_SCRIPTS += %D%/e2e/program
TESTS += %D%/e2e/program

# For guests: no libraries there.
noinst_PROGRAMS += %D%/e2e/outb
test_e2e_outb_SOURCES = %D%/e2e/outb.c
test_e2e_outb_CFLAGS = -O1
test_e2e_outb_LDFLAGS = -static
test_e2e_outb_LDADD =

# A host without io_uring.
noinst_PROGRAMS += %D%/e2e/without-uring
test_e2e_without_uring_SOURCES = %D%/e2e/without-uring.c
test_e2e_without_uring_LDADD =

dist_noinst_SCRIPTS += %D%/setup %D%/all %D%/try

e2e = $(srcdir)/%D%/e2e/run

# The payload tests run in the lab too: it has a KVM of the real kind.
in_lab = $(srcdir)/%D%/lab/lab:--:$(abs_builddir)
in_lab_source = $(srcdir)/%D%/lab/lab:--:$(abs_srcdir)

check-lab: all $(check_PROGRAMS) $(check_DATA)
	VIREO=./vireo $(srcdir)/%D%/tap-run $(srcdir)/%D%/lab/selftest \
		$(srcdir)/%D%/e2e/host \
		$(in_lab)/test/kvm/cpu $(in_lab)/test/kvm/io \
		$(in_lab)/test/kvm/irq $(in_lab)/test/kvm/run \
		$(in_lab)/test/process/backends $(in_lab)/test/process/ends \
		$(machine_tests:%=$(in_lab_source)/%) \
		$(e2e):boot.sh:-m:6144 $(e2e):disk.sh:-s:2 $(e2e):net.sh:-s:2 \
		$(e2e):jail.sh:-s:2 $(e2e):errors.sh
.PHONY: check-lab bench fuzz check-fuzz

# cmocka has no static library: what needs none, and one boot.
check-static: all
	VIREO=./vireo $(srcdir)/%D%/tap-run \
		$(srcdir)/%D%/e2e/program:static $(e2e):smoke.sh
.PHONY: check-static
