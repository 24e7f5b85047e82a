/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload and the test that runs it agree on.
 */
#pragma once

/* Written (32 bits): the payload has ended; 0 is success. */
#define PAYLOAD_EXIT_PORT 0xf4

/* A page of 64-bit words that both read and write. */
#define PAYLOAD_MAILBOX 0x8000UL

/* RAM: [0, PAYLOAD_RAM); below PAYLOAD_BASE are tables and the mailbox. */
#define PAYLOAD_RAM  0x400000UL
#define PAYLOAD_BASE 0x100000UL

/* No RAM here: memory accesses reach the test. All below 4 GiB is mapped. */
#define PAYLOAD_MMIO 0xd0000000UL
