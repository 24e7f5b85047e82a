/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload has: a tiny bare-metal guest that a test runs through src/kvm,
 * in ring 3 so that hosts which interpret ring 0 run it at full speed. The
 * other side is test/lib/payload.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "test/lib/payload_abi.h"

/* The payload: 0 is success; anything else is what failed. */
uint32_t guest_main(uint64_t arg);

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

/* n elements from (to) memory. */
static inline void rep_out8(uint16_t port, const void *p, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}

static inline void rep_out16(uint16_t port, const void *p, size_t n)
{
	__asm__ volatile("rep outsw" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}

static inline void rep_out32(uint16_t port, const void *p, size_t n)
{
	__asm__ volatile("rep outsl" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}

static inline void rep_in8(uint16_t port, void *p, size_t n)
{
	__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
}

static inline void rep_in32(uint16_t port, void *p, size_t n)
{
	__asm__ volatile("rep insl" : "+D"(p), "+c"(n) : "d"(port) : "memory");
}

/* Memory-mapped registers: one instruction of just that width. */
static inline void mmio_w8(uint64_t a, uint8_t v)
{
	__asm__ volatile("movb %0, (%1)" : : "r"(v), "r"(a) : "memory");
}

static inline void mmio_w16(uint64_t a, uint16_t v)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(v), "r"(a) : "memory");
}

static inline void mmio_w32(uint64_t a, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(a) : "memory");
}

static inline void mmio_w64(uint64_t a, uint64_t v)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(a) : "memory");
}

static inline uint8_t mmio_r8(uint64_t a)
{
	uint8_t v;

	__asm__ volatile("movb (%1), %0" : "=r"(v) : "r"(a) : "memory");
	return v;
}

static inline uint16_t mmio_r16(uint64_t a)
{
	uint16_t v;

	__asm__ volatile("movw (%1), %0" : "=r"(v) : "r"(a) : "memory");
	return v;
}

static inline uint32_t mmio_r32(uint64_t a)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(a) : "memory");
	return v;
}

static inline uint64_t mmio_r64(uint64_t a)
{
	uint64_t v;

	__asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(a) : "memory");
	return v;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause");
}

/* Ends the run. Does not return; the loop is there for a host that fails. */
static inline void guest_exit(uint32_t code)
{
	for (;;)
		out32(PAYLOAD_EXIT_PORT, code);
}

/* Ends the run as failed in this line unless cond holds. */
#define guest_check(cond)                                                      \
	do {                                                                   \
		if (!(cond))                                                   \
			guest_exit(__LINE__);                                  \
	} while (0)

/* A word of the mailbox that test and payload share. */
static inline volatile uint64_t *guest_mailbox(unsigned i)
{
	return (volatile uint64_t *)PAYLOAD_MAILBOX + i;
}

/* The xAPIC, through its page. */
static inline uint32_t apic_read(unsigned reg)
{
	return mmio_r32(0xfee00000ULL + reg);
}

static inline void apic_write(unsigned reg, uint32_t v)
{
	mmio_w32(0xfee00000ULL + reg, v);
}
