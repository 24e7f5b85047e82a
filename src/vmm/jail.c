/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps that confine a thread.
 *
 * Threads: each on the thread that it confines.
 * Syscalls: set-up: prctl, seccomp
 */
#include "vmm/jail.h"

#include <errno.h>
#include <json-c/json.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/types.h"
#include "vmm/config.h"
#include "vmm/seccomp_filters.h"

enum sandbox { SANDBOX_ON, SANDBOX_LOG, SANDBOX_OFF };

/* config_parse() has checked the word. */
static enum sandbox sandbox_of(const struct vm_config *c)
{
	struct json_object *v;
	const char *word = "on";

	if (c->sandbox && json_object_object_get_ex(c->sandbox, "enable", &v))
		word = json_object_get_string(v);
	if (!strcmp(word, "off"))
		return SANDBOX_OFF;
	return strcmp(word, "log") ? SANDBOX_ON : SANDBOX_LOG;
}

/* Filters need either this or CAP_SYS_ADMIN; and nothing is executed. */
static int no_new_privs(enum jail_role role, enum sandbox mode, struct err *e)
{
	(void)role;
	(void)mode;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set_errno(e, -errno, "cannot set no_new_privs");
	return 0;
}

/* The code, with this process's id where the lists have SELF. */
static struct sock_filter *own_code(const struct seccomp_filter *f)
{
	struct sock_filter *code = malloc(f->len * sizeof(*code));

	for (unsigned i = 0; code && i < f->len; i++) {
		code[i] = f->code[i];
		if (BPF_CLASS(code[i].code) == BPF_JMP &&
		    code[i].k == SECCOMP_SELF)
			code[i].k = (uint32_t)getpid();
	}
	return code;
}

static int install_filter(enum jail_role role, enum sandbox mode,
			  struct err *e)
{
	const struct seccomp_filter *f = mode == SANDBOX_LOG
						 ? &seccomp_log_filters[role]
						 : &seccomp_filters[role];
	AUTO_FREE struct sock_filter *code = own_code(f);
	struct sock_fprog prog = {.len = f->len, .filter = code};

	if (!code)
		return err_set(e, -ENOMEM, "out of memory");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return err_set_errno(e, -errno,
				     "cannot install the seccomp filter '%s' "
				     "(-sandbox off runs without)",
				     f->name);
	return 0;
}

static const struct jail_step {
	const char *name;
	int (*run)(enum jail_role role, enum sandbox mode, struct err *e);
} jail_steps[] = {
	{"no_new_privs", no_new_privs},
	{"seccomp", install_filter},
};

int jail_enter_thread(const struct vm_config *c, enum jail_role role,
		      struct err *e)
{
	enum sandbox mode = sandbox_of(c);
	int r = 0;

	if (mode == SANDBOX_OFF)
		return 0;
	for (unsigned i = 0; !r && i < ARRAY_SIZE(jail_steps); i++) {
		log_on(LOG_JAIL, "%s: %s", seccomp_filters[role].name,
		       jail_steps[i].name);
		r = jail_steps[i].run(role, mode, e);
	}
	return r;
}
