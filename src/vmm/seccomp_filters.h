/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled seccomp/ROLE.list, indexed by enum jail_role; generated at
 * build time by seccomp/compile.c.
 */
#pragma once

struct sock_filter;

struct seccomp_filter {
	const char *name; /* of the role */
	unsigned short len;
	struct sock_filter *code;
};

/* What is not on the list kills the process (is logged and let through). */
extern const struct seccomp_filter seccomp_filters[];
extern const struct seccomp_filter seccomp_log_filters[];
