# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/cpu_build.c \
	%D%/cpu_models.c %D%/cpu_models.h \
	%D%/cpu_request.c %D%/cpu_request.h \
	%D%/cpu_topology.c \
	%D%/cpu_words.c %D%/cpu_words.h \
	%D%/cpuid.c %D%/cpuid.h \
	%D%/exit.c %D%/exit.h \
	%D%/internal.h \
	%D%/irq.c \
	%D%/kvm.c %D%/kvm.h \
	%D%/msr.c \
	%D%/probe.c %D%/probe.h \
	%D%/regs.c \
	%D%/report.c \
	%D%/vcpu.c %D%/vcpu.h
