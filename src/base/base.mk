# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/cleanup.h \
	%D%/compiler.h \
	%D%/endian.h \
	%D%/err.c %D%/err.h \
	%D%/json.c %D%/json.h \
	%D%/keyval.c %D%/keyval.h \
	%D%/list.h \
	%D%/log.c %D%/log.h \
	%D%/loop.c %D%/loop.h \
	%D%/loop_engine.h \
	%D%/loop_epoll.c \
	%D%/loop_timer.c \
	%D%/loop_uring.c %D%/loop_uring.h \
	%D%/loop_uring_open.c \
	%D%/mman.h \
	%D%/nearest.c \
	%D%/num.h \
	%D%/prop.c %D%/prop.h \
	%D%/state.c %D%/state.h \
	%D%/types.h
