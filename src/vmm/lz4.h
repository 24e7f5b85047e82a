/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZ4 legacy frames, as Linux kernels are packed: blocks of 8 MiB that do not
 * refer to each other.
 *
 * Spec: LZ4 Frame Format, "Legacy frame"; LZ4 Block Format.
 * Threads: main.
 */
#pragma once

#include "vmm/decompress.h"

/* As decompress(). */
int lz4_unpack(struct filemap *in, struct unpack_out *out, struct err *e);

/* As decompress_prefix(). */
int lz4_prefix(struct filemap *in, uint8_t *buf, size_t len, struct err *e);
