/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/jail: what a role may not do kills the process, what it may works, and
 * -sandbox decides which.
 */
#include "vmm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "test/lib/test.h"
#include "vmm/config.h"

static const char *sandbox; /* -sandbox's word, NULL: not given */

/* Runs act inside the role's jail, in a process of its own: its status. */
static int inside(enum jail_role role, void (*act)(void))
{
	struct vm_config c = {0};
	struct err e;
	pid_t pid;
	int status;

	if (sandbox) {
		c.sandbox = json_object_new_object();
		json_object_object_add(c.sandbox, "enable",
				       json_object_new_string(sandbox));
	}
	pid = fork();
	if (!pid) {
		if (jail_enter_thread(&c, role, &e))
			_exit(99);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	json_object_put(c.sandbox);
	return status;
}

static void opens_a_file(void)
{
	(void)!open("/etc/passwd", O_RDONLY);
}

static void makes_a_socket(void)
{
	(void)!socket(AF_UNIX, SOCK_STREAM, 0);
}

static void executes(void)
{
	execl("/bin/true", "true", NULL);
}

static void forks(void)
{
	(void)!syscall(SYS_fork);
}

static void traces(void)
{
	(void)!syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void maps_code(void)
{
	(void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void makes_code(void)
{
	static char page[8192];
	uintptr_t p = ((uintptr_t)page + 4095) & ~(uintptr_t)4095;

	mprotect((void *)p, 4096, PROT_READ | PROT_EXEC);
}

static void injects_a_terminal_byte(void)
{
	(void)!syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static void makes_a_ring(void)
{
	char params[120] = {0};

	(void)!syscall(425 /* io_uring_setup */, 1, params);
}

static void kills_its_parent(void)
{
	(void)!syscall(SYS_kill, getppid(), 0);
}

static void signals_its_parent(void)
{
	(void)!syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void writes_and_allocates(void)
{
	char *p = calloc(1, 1 << 20);

	if (!p || write(-1, p, 1) != -1 || errno != EBADF)
		_exit(1);
	p[100] = 1;
	free(p);
	if (syscall(SYS_tgkill, getpid(), getpid(), 0))
		_exit(2);
}

static void (*const forbidden[])(void) = {
	opens_a_file,	  makes_a_socket, executes,
	forks,		  traces,	  maps_code,
	makes_code,	  makes_a_ring,	  injects_a_terminal_byte,
	kills_its_parent, signals_its_parent,
};

static void kills_what_is_not_listed(void **state)
{
	(void)state;
	sandbox = NULL;
	for (int role = 0; role < JAIL_ROLES; role++) {
		for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
			int status = inside((enum jail_role)role, forbidden[i]);

			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				fail_msg("role %d, act %zu: status %#x", role,
					 i, status);
		}
	}
}

static void lets_work_be_done(void **state)
{
	(void)state;
	sandbox = "on";
	for (int role = 0; role < JAIL_ROLES; role++)
		assert_int_equal(
			inside((enum jail_role)role, writes_and_allocates), 0);
}

static void log_and_off_let_through(void **state)
{
	(void)state;
	sandbox = "log";
	assert_int_equal(inside(JAIL_ROLE_MAIN, opens_a_file), 0);
	sandbox = "off";
	assert_int_equal(inside(JAIL_ROLE_MAIN, opens_a_file), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(kills_what_is_not_listed),
	cmocka_unit_test(lets_work_be_done),
	cmocka_unit_test(log_and_off_let_through),
};

TEST_MAIN(tests)
