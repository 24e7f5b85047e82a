/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine ends or starts again: a word of the command line says how. It
 * counts its starts in the clock's battery-backed memory and is done at the
 * one that "starts=N" says.
 */
#include "test/guest/machine.h"

#define CMOS_COUNT 0x50

#define FADT_RESET_REG     116
#define FADT_RESET_VALUE   128
#define FADT_SLEEP_CONTROL 244
#define SLEEP_S5           (5 << 2 | 0x20) /* SLP_TYP, SLP_EN */

static uint32_t initialised = 0x600d;
static uint32_t zero;

/* A register that the FADT describes: a byte in port space. */
static uint16_t fadt_port(unsigned off)
{
	const uint8_t *f = machine_table("FACP");

	guest_check(f && f[off] == 1 && f[off + 1] == 8);
	return (uint16_t)machine_load32(f + off + 4);
}

static void power_off(void)
{
	out8(fadt_port(FADT_SLEEP_CONTROL), SLEEP_S5);
}

static void reset(void)
{
	out8(fadt_port(FADT_RESET_REG),
	     machine_table("FACP")[FADT_RESET_VALUE]);
}

static void reset_by_keyboard(void)
{
	out8(0x64, 0xfe);
}

static void triple_fault(void)
{
	__asm__ volatile("ud2"); /* there is no IDT */
}

static void panic(void)
{
	guest_check(in8(0x505) & 1);
	out8(0x505, 1);
}

static void debug_exit(void)
{
	guest_exit((uint32_t)machine_number("exit"));
}

static void spin(void)
{
	machine_say("spinning\n");
}

static uint8_t count_start(void)
{
	uint8_t n;

	out8(0x70, CMOS_COUNT);
	n = (uint8_t)(in8(0x71) + 1);
	out8(0x71, n);
	return n;
}

/* Memory is as the file says, whatever an earlier start has left there. */
static void check_memory(void)
{
	machine_point("data is as the file has it",
		      initialised == 0x600d && !zero);
	initialised = zero = 0xbad;
}

static void check_initrd(void)
{
	uint64_t len = 0;
	const uint8_t *p = machine_initrd(&len);
	bool same = p && len == machine_number("initrd");

	for (uint64_t i = 0; same && i < len; i++)
		same = p[i] == "initrd\n"[i % 7];
	machine_point("the initrd is there", same);
}

uint32_t guest_main(uint64_t arg)
{
	static const struct {
		const char *name;
		void (*act)(void);
	} acts[] = {
		{"poweroff", power_off},
		{"reset", reset},
		{"keyboard", reset_by_keyboard},
		{"fault", triple_fault},
		{"panic", panic},
		{"exit", debug_exit},
		{"spin", spin},
	};
	uint64_t starts = machine_number("starts");

	(void)arg;
	check_memory();
	if (machine_has("initrd"))
		check_initrd();
	if (starts && count_start() == starts)
		return 0;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (machine_has(acts[i].name))
			acts[i].act();
	/* It may take a moment. */
	for (;;)
		cpu_relax();
}
