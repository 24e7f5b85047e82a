# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/blk_file.c %D%/blk_file.h \
	%D%/blk_file_io.c \
	%D%/blk_lock.c \
	%D%/blk_null.c \
	%D%/blk_raw.c \
	%D%/block.c %D%/block.h \
	%D%/chardev.h \
	%D%/mem.c \
	%D%/net.c %D%/net.h \
	%D%/net_tap.c \
	%D%/object.c %D%/object.h \
	%D%/rng.c
