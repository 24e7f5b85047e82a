/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two 16550A. On COM2 loopback, interrupt causes and the line; then, with
 * "lines=N" on the command line, N numbered lines out of COM2 through the FIFO
 * while COM1's input is taken, slowly at first; or, with "echo", whatever
 * comes in on COM2 goes back, up to a byte of 4 (end of transmission).
 */
#include "test/guest/machine.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

#define FCR_ON   0xc7 /* FIFOs on and cleared, a trigger level of 14 */
#define IER_RDI  0x01
#define IER_THRI 0x02
#define MCR_LOOP 0x10
#define LSR_DR   0x01
#define LSR_OE   0x02
#define LSR_THRE 0x20
#define IIR_NONE 0xc1 /* with the bits that say that FIFOs are on */
#define IIR_THRI 0xc2
#define IIR_RDI  0xc4
#define IIR_LATE 0xcc /* fewer bytes than the trigger level, for some time */

#define COM2_GSI            3
#define VECTOR              0x61
#define END_OF_TRANSMISSION 4

static void com2_out(unsigned reg, uint8_t value)
{
	out8((uint16_t)(MACHINE_COM2 + reg), value);
}

static uint8_t com2_in(unsigned reg)
{
	return in8((uint16_t)(MACHINE_COM2 + reg));
}

static void registers(void)
{
	com2_out(SCR, 0x5a);
	com2_out(LCR, 0x83);
	com2_out(DATA, 0x0c);
	com2_out(IER, 0x01);
	machine_point("the divisor is behind DLAB",
		      com2_in(DATA) == 0x0c && com2_in(IER) == 0x01);
	com2_out(LCR, 0x03);
	com2_out(IIR, FCR_ON);
	machine_point("it is a 16550A with its FIFOs on",
		      com2_in(SCR) == 0x5a && com2_in(IIR) == IIR_NONE);
}

/* What is sent comes back, and none of it leaves. */
static void loopback(void)
{
	com2_out(MCR, MCR_LOOP | 0x0f);
	machine_point("loopback: the lines are the outputs",
		      com2_in(MSR) >> 4 == 0x0f);
	for (uint8_t i = 0; i < 16; i++)
		com2_out(DATA, (uint8_t)(0x80 + i));
	com2_out(DATA, 0xff);
	machine_point("loopback: a seventeenth byte is an overrun",
		      com2_in(LSR) & LSR_OE);
	for (uint8_t i = 0; i < 16; i++)
		guest_check(com2_in(DATA) == 0x80 + i);
	machine_point("loopback: sixteen bytes come back",
		      !(com2_in(LSR) & (LSR_DR | LSR_OE)));
}

static void causes(void)
{
	bool late, enough;

	machine_route(COM2_GSI, VECTOR);
	com2_out(IER, IER_RDI);
	com2_out(DATA, 1);
	late = com2_in(IIR) == IIR_LATE;
	for (unsigned i = 1; i < 14; i++)
		com2_out(DATA, 1);
	enough = com2_in(IIR) == IIR_RDI;
	for (unsigned i = 0; i < 14; i++)
		(void)com2_in(DATA);
	machine_point("a byte, and a FIFO up to its level, say so",
		      late && enough && com2_in(IIR) == IIR_NONE);
	machine_point("its interrupt comes", machine_has_vector(VECTOR));
	com2_out(IER, IER_THRI);
	machine_point("an empty transmitter says so, once",
		      com2_in(IIR) == IIR_THRI && com2_in(IIR) == IIR_NONE);
	com2_out(IER, 0);
	com2_out(MCR, 0x0b);
}

static void com2_wait(uint8_t status)
{
	while (!(com2_in(LSR) & status))
		cpu_relax();
}

/* Says so where the host does not take what is sent. */
static void send(const uint8_t *p, size_t n)
{
	static bool has_waited;

	while (n) {
		size_t part = n < 16 ? n : 16;

		if (!has_waited && !(com2_in(LSR) & LSR_THRE)) {
			has_waited = true;
			machine_say("waiting\n");
		}
		com2_wait(LSR_THRE);
		rep_out8(MACHINE_COM2, p, part);
		p += part;
		n -= part;
	}
}

/* As `seq -f %08.0f 1 N`. */
static void send_lines(uint64_t n)
{
	static uint8_t lines[16 * 9];
	size_t used = 0;

	for (uint64_t i = 1; i <= n; i++) {
		uint64_t rest = i;

		for (unsigned digit = 8; digit--; rest /= 10)
			lines[used + digit] = (uint8_t)('0' + rest % 10);
		lines[used + 8] = '\n';
		used += 9;
		if (used == sizeof(lines) || i == n) {
			send(lines, used);
			used = 0;
		}
	}
}

/* COM1's input is numbers from 0 on, a byte each, modulo 251. */
static void take_input(uint64_t n)
{
	uint64_t i = 0;

	out8(MACHINE_COM1 + IIR, FCR_ON);
	while (i < n) {
		while (!(in8(MACHINE_COM1 + LSR) & LSR_DR))
			cpu_relax();
		guest_check(in8(MACHINE_COM1 + DATA) == i % 251);
		i++;
		/* The host has to wait for us, too. */
		for (unsigned k = 0; i < 100 && k < 100000; k++)
			cpu_relax();
	}
	machine_point("input arrives as it was sent", true);
}

static void echo(void)
{
	uint8_t byte;

	do {
		com2_wait(LSR_DR);
		byte = com2_in(DATA);
		com2_wait(LSR_THRE);
		com2_out(DATA, byte);
	} while (byte != END_OF_TRANSMISSION);
}

uint32_t guest_main(uint64_t arg)
{
	(void)arg;
	registers();
	loopback();
	causes();
	send_lines(machine_number("lines"));
	if (machine_has("input"))
		take_input(machine_number("input"));
	if (machine_has("echo"))
		echo();
	return 0;
}
