/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vireo as a process among others: -daemonize, -pidfile, -name process=.
 *
 * Threads: main; process_begin() before any other thread is made.
 */
#pragma once

#include "base/err.h"

struct vm_config;

struct process {
	int ready_fd; /* tells the waiting parent; 0 or less: none */
	int null_fd;  /* /dev/null, for process_ready() */
	int pid_fd;   /* the locked pid file; 0 or less: none */
};

/*
 * With -daemonize the caller's process waits for the child's process_ready()
 * and exits with its outcome; what returns is the child. The pid file is
 * written and locked: -EBUSY where another process holds it.
 */
int process_begin(struct process *p, const struct vm_config *c, struct err *e);

/* Everything is set up: lets the parent go and leaves its terminal. */
int process_ready(struct process *p, struct err *e);

/*
 * Empties the pid file: inside the jail it cannot be removed. Harmless on a
 * zeroed or half-begun process.
 */
void process_end(struct process *p);
