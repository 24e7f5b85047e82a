# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/blk_file.c %D%/blk_file.h \
	%D%/blk_file_io.c \
	%D%/blk_lock.c \
	%D%/blk_null.c \
	%D%/blk_overlay.c \
	%D%/blk_raw.c \
	%D%/block.c %D%/block.h \
	%D%/char_fd.c %D%/char_fd.h \
	%D%/char_file.c \
	%D%/char_null.c \
	%D%/char_pipe.c \
	%D%/char_pty.c \
	%D%/char_socket.c \
	%D%/char_stdio.c \
	%D%/chardev.c %D%/chardev.h \
	%D%/mem.c \
	%D%/net.c %D%/net.h \
	%D%/net_tap.c \
	%D%/object.c %D%/object.h \
	%D%/rng.c \
	%D%/terminal.c %D%/terminal.h
