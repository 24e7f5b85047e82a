/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled seccomp/ROLE.list, indexed by enum jail_role; generated at
 * build time by seccomp/compile.c.
 */
#pragma once

struct sock_filter;

/* Stands for the process's own id in the lists' code. */
#define SECCOMP_SELF 0x53454c46U

struct seccomp_filter {
	const char *name; /* of the role */
	unsigned short len;
	const struct sock_filter *code;
};

/* What is not on the list kills the process (is logged and let through). */
extern const struct seccomp_filter seccomp_filters[];
extern const struct seccomp_filter seccomp_log_filters[];
