# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/bus.c \
	%D%/device.c %D%/device.h \
	%D%/gmem.c %D%/gmem.h \
	%D%/iov.c %D%/iov.h \
	%D%/irq.c %D%/irq.h \
	%D%/notify.h \
	%D%/plat.c %D%/plat.h \
	%D%/space.c %D%/space.h \
	%D%/virtio.c %D%/virtio.h \
	%D%/virtio_loop.c \
	%D%/virtio_mmio.c %D%/virtio_mmio.h \
	%D%/virtio_work.h \
	%D%/virtq.c %D%/virtq.h \
	%D%/virtq_packed.c \
	%D%/virtq_ring.h \
	%D%/virtq_split.c \
	%D%/mac.c %D%/mac.h
