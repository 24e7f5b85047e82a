/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part that payloads under the whole program have in common.
 *
 * Spec: Xen public/arch-x86/hvm/start_info.h; ACPI 6.4, 5.2 (tables), 6.4.3
 *       (resource descriptors); Intel 82093AA datasheet, 3.2.
 */
#include "test/guest/machine.h"

#include <assert.h>
#include <string.h>

#define PVH_MAGIC 0x336ec578U

#define IOAPIC_BASE 0xfec00000ULL
#define IOAPIC_RTE  0x10U
#define APIC_SVR    0xf0
#define APIC_IRR    0x200

/* isa-debug-exit: the process's status is 2 * 16 + 1. */
#define MACHINE_DONE 0x10

#define LSR_THRE 0x20
#define LSR_TEMT 0x40

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t base, size, cmdline, reserved;
};

struct memmap_entry {
	uint64_t base, len;
	uint32_t type, reserved;
};

static const struct start_info *start_info;

void machine_main(uint64_t info);

/* What the compiler wants, and test/lib/ring.c. */
void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb"
			 : "+D"(at), "+c"(n)
			 : "a"(byte)
			 : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb"
			 : "+D"(at), "+S"(from), "+c"(n)
			 :
			 : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

static void say_byte(uint8_t byte)
{
	while (!(in8(MACHINE_COM1 + 5) & LSR_THRE))
		cpu_relax();
	out8(MACHINE_COM1, byte);
}

void machine_say(const char *text)
{
	while (*text)
		say_byte((uint8_t)*text++);
}

void machine_point(const char *name, bool ok)
{
	machine_say(ok ? "ok - " : "not ok - ");
	machine_say(name);
	machine_say("\n");
}

/* assert() in test/lib/ring.c. */
void __assert_fail(const char *text, const char *file, unsigned line,
		   const char *function)
{
	(void)file;
	(void)function;
	machine_point(text, false);
	guest_exit(line);
	for (;;)
		; /* it does not come here */
}

/* What follows a word: the end, a space or "=". */
static const char *cmdline_find(const char *word)
{
	const char *p = (const char *)start_info->cmdline;
	size_t n = 0;

	while (word[n])
		n++;
	while (*p) {
		while (*p == ' ')
			p++;
		if (!memcmp(p, word, n) &&
		    (!p[n] || p[n] == ' ' || p[n] == '='))
			return p + n;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

bool machine_has(const char *word)
{
	return cmdline_find(word);
}

uint64_t machine_number(const char *name)
{
	const char *p = cmdline_find(name);
	uint64_t n = 0;

	if (p && *p++ == '=')
		for (; *p >= '0' && *p <= '9'; p++)
			n = n * 10 + (uint64_t)(*p - '0');
	return n;
}

const uint8_t *machine_initrd(uint64_t *ret_len)
{
	const struct module *m = (void *)start_info->modlist;

	if (!start_info->nr_modules)
		return NULL;
	*ret_len = m->size;
	return (const uint8_t *)m->base;
}

static bool is_well_started(void)
{
	const struct memmap_entry *m = (void *)start_info->memmap;
	uint64_t ram = 0;

	if (start_info->magic != PVH_MAGIC || start_info->version != 1)
		return false;
	for (unsigned i = 0; i < start_info->memmap_entries; i++)
		ram += m[i].type == 1 ? m[i].len : 0;
	/* All but the hole below 1 MiB. */
	return ram >> 20 == machine_number("mib") - 1;
}

uint32_t machine_load32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static bool sums_up(const uint8_t *p, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return !sum;
}

static const uint8_t *table_at(uint64_t at, const char *signature)
{
	const uint8_t *t = (const uint8_t *)at;

	if (memcmp(t, signature, 4))
		return NULL;
	guest_check(sums_up(t, machine_load32(t + 4)));
	return t;
}

const uint8_t *machine_table(const char *signature)
{
	const uint8_t *rsdp = (const uint8_t *)start_info->rsdp;
	const uint8_t *xsdt, *t;

	guest_check(rsdp && !memcmp(rsdp, "RSD PTR ", 8) && sums_up(rsdp, 36));
	xsdt = table_at(machine_load32(rsdp + 24), "XSDT");
	guest_check(xsdt);
	for (uint32_t i = 36; i < machine_load32(xsdt + 4); i += 8) {
		t = table_at(machine_load32(xsdt + i), signature);
		if (t)
			return t;
	}
	return NULL;
}

/*
 * The _CRS of a slot's device: 32-bit fixed memory, extended interrupt. No
 * interpreter is needed to find it behind its _HID.
 */
static void slot_parse(const uint8_t *p, struct machine_slot *ret)
{
	while (memcmp(p, "\x86\x09\x00\x01", 4))
		p++;
	ret->base = machine_load32(p + 4);
	guest_check(machine_load32(p + 8) == 0x200);
	p += 12;
	guest_check(p[0] == 0x89 && p[4] == 1);
	ret->gsi = machine_load32(p + 5);
}

bool machine_slot(unsigned n, struct machine_slot *ret)
{
	const uint8_t *fadt = machine_table("FACP"), *p, *end;

	guest_check(fadt);
	p = table_at(machine_load32(fadt + 140), "DSDT");
	guest_check(p);
	end = p + machine_load32(p + 4);
	for (; p + 8 < end; p++) {
		if (memcmp(p, "LNRO0005", 8))
			continue;
		if (!n--) {
			slot_parse(p, ret);
			return true;
		}
	}
	return false;
}

static void ioapic_write(unsigned reg, uint32_t value)
{
	mmio_w32(IOAPIC_BASE, reg);
	mmio_w32(IOAPIC_BASE + 0x10, value);
}

void machine_route(unsigned gsi, unsigned vector)
{
	apic_write(APIC_SVR, 0x1ff);
	ioapic_write(IOAPIC_RTE + 2 * gsi + 1, 0); /* to APIC 0 */
	ioapic_write(IOAPIC_RTE + 2 * gsi, vector);
}

bool machine_has_vector(unsigned vector)
{
	return apic_read(APIC_IRR + vector / 32 * 0x10) & 1U << vector % 32;
}

void machine_done(void)
{
	while (!(in8(MACHINE_COM1 + 5) & LSR_TEMT))
		cpu_relax();
	guest_exit(MACHINE_DONE);
}

void machine_main(uint64_t info)
{
	uint32_t failed;

	start_info = (const struct start_info *)info;
	machine_point("starts by PVH", is_well_started());
	failed = guest_main(info);
	if (failed)
		guest_exit(failed);
	machine_done();
}
