/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's guest init: leaves a mark, prints a line, reboots.
 *
 * The mark is a write to a port that no machine has, so that the host sees it
 * as a KVM exit with the host's own time on it. It has no libc: what is to be
 * measured is the way to init, not init.
 */
#include <linux/reboot.h>
#include <stdint.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static void mark(void)
{
	__asm__ volatile("outb %%al, %%dx" : : "a"(1), "d"(MARK_PORT));
}

__attribute__((force_align_arg_pointer, noreturn)) void _start(void)
{
	static const char up[] = "init is up\n";

	if (call(SYS_iopl, 3, 0, 0, 0) == 0)
		mark();
	(void)call(SYS_write, 1, (long)(intptr_t)up, sizeof(up) - 1, 0);
	(void)call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		   LINUX_REBOOT_CMD_RESTART, 0);
	for (;;)
		(void)call(SYS_pause, 0, 0, 0, 0);
}
