/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for the tests of the process around the VM, run by vireo itself
 * (-kernel): it says "ready" on COM1, then does what it is told there, one
 * command a line. Its answers end in a newline.
 *
 *	echo TEXT   says TEXT
 *	exit N      isa-debug-exit, with a digit
 *	off  reset  by the ports of ACPI
 *	panic       pvpanic
 *	fault       a triple fault
 *	flood       16 KiB of text, then "end"
 *	spin        nothing else, for ever
 */
#include "test/guest/guest.h"

enum {
	COM1 = 0x3f8,
	COM1_FCR = COM1 + 2,
	COM1_LSR = COM1 + 5,
	FCR_ENABLE = 0x01,
	LSR_DATA = 0x01,
	LSR_EMPTY = 0x20,
	PM_SLEEP = 0x600,
	PM_RESET = 0x602,
	PVPANIC = 0x505,
};

#define FIFO        16
#define FLOOD_LINES 256

static void say(const char *text)
{
	size_t n;

	while (*text) {
		for (n = 0; n < FIFO && text[n]; n++)
			;
		while (!(in8(COM1_LSR) & LSR_EMPTY))
			cpu_relax();
		rep_out8(COM1, text, n);
		text += n;
	}
}

static char hear_char(void)
{
	while (!(in8(COM1_LSR) & LSR_DATA))
		cpu_relax();
	return (char)in8(COM1);
}

/* A line, without its end. */
static void hear(char *line, size_t max)
{
	size_t n = 0;
	char c;

	while ((c = hear_char()) != '\n' && c != '\r')
		if (n + 1 < max)
			line[n++] = c;
	line[n] = 0;
}

/* What follows word in line, or NULL. */
static const char *after(const char *line, const char *word)
{
	while (*word)
		if (*line++ != *word++)
			return NULL;
	return line + (*line == ' ');
}

static void flood(void)
{
	for (unsigned i = 0; i < FLOOD_LINES; i++)
		say("the quick brown fox jumps over the lazy dog, time and "
		    "again.\n");
	say("end\n");
}

static void fault(void)
{
	__asm__ volatile("lidt %0; ud2" : : "m"((char[10]){0}));
}

static void obey(const char *line)
{
	const char *rest;

	if ((rest = after(line, "echo"))) {
		say(rest);
		say("\n");
	} else if ((rest = after(line, "exit"))) {
		out32(PAYLOAD_EXIT_PORT, (uint32_t)(*rest - '0'));
	} else if (after(line, "off")) {
		out8(PM_SLEEP, 5 << 2 | 1 << 5);
	} else if (after(line, "reset")) {
		out8(PM_RESET, 1);
	} else if (after(line, "panic")) {
		out8(PVPANIC, 1);
	} else if (after(line, "fault")) {
		fault();
	} else if (after(line, "flood")) {
		flood();
	} else if (after(line, "spin")) {
		for (;;)
			cpu_relax();
	} else {
		say("what?\n");
	}
}

uint32_t guest_main(uint64_t arg)
{
	static char line[128];

	(void)arg;
	out8(COM1_FCR, FCR_ENABLE);
	say("ready\n");
	for (;;) {
		hear(line, sizeof(line));
		obey(line);
	}
}
