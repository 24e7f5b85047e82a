/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vireo as a process among others: standard descriptors, signals, -daemonize,
 * -pidfile, -name process=.
 *
 * Threads: main; process_begin() before any other thread is made.
 */
#pragma once

#include "base/err.h"
#include "vmm/sweeper.h"

struct vm;
struct vm_config;

struct process {
	const struct vm_config *config;
	int ready_fd; /* tells the waiting parent; 0 or less: none */
	int null_fd;  /* /dev/null, for process_ready() */
	int pid_fd;   /* the locked pid file; 0 or less: none */
	struct sweeper sweeper;
};

/*
 * Descriptors 0 to 2 are open, so that nothing else takes their numbers; what
 * was closed stays unusable. First of all.
 */
void process_open_std(void);

/* Has all that was printed arrived? */
int process_flush_stdout(struct err *e);

/*
 * With -daemonize the caller's process waits for the child's process_ready()
 * and exits with its outcome; what returns is the child. The pid file is
 * written and locked: -EBUSY where another process holds it.
 */
int process_begin(struct process *p, const struct vm_config *c, struct err *e);

/* Everything is open: what can be done in front of the jail only. */
int process_settle(struct process *p, struct vm *vm, struct err *e);

/* Everything is set up: lets the parent go and leaves its terminal. */
int process_ready(struct process *p, struct err *e);

/* Removes what -pidfile and sockets left. Harmless on a zeroed or half-begun
 * process. */
void process_end(struct process *p);
