# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/kvm.h \
	%D%/vcpu.h
