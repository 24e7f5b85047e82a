/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread may still do once the guest runs: a seccomp allow-list for
 * each role, installed before the first guest instruction.
 *
 * The lists are seccomp/ROLE.list, compiled into filters at build time. This
 * is the first step of the jail; namespaces, Landlock and limits join it in
 * jail_steps[].
 *
 * Threads: each function on the thread that it confines.
 */
#pragma once

#include "base/err.h"

struct vm_config;

enum jail_role { JAIL_ROLE_MAIN, JAIL_ROLE_VCPU, JAIL_ROLES };

/*
 * Confines the calling thread to its role, for good. On main: after
 * everything is open and every thread runs.
 */
int jail_enter_thread(const struct vm_config *c, enum jail_role role,
		      struct err *e);
