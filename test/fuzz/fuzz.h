/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every fuzzer includes. A fuzzer is test/fuzz/NAME.c with an entry
 * point that takes any bytes, a corpus directory test/fuzz/corpus/NAME with at
 * least one file, and a line in test/test.mk. `make check` replays the corpus;
 * `make fuzz` (configure CC=clang --enable-fuzz --enable-asan --enable-ubsan)
 * looks for more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Runs one input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
