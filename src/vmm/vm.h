/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine: what the command line asked for, put together.
 *
 * Threads: main builds and ends it; vm_request() is for any thread.
 */
#pragma once

#include <pthread.h>
#include <signal.h>

#include "backend/block.h"
#include "base/err.h"
#include "base/list.h"
#include "base/loop.h"
#include "bus/device.h"
#include "bus/gmem.h"
#include "bus/irq.h"
#include "bus/notify.h"
#include "bus/space.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"

struct machine;
struct sweeper;
struct vm_config;

/* Back ends by kind and id; every list is in order of the command line. */
struct backends {
	struct list objects;  /* struct object */
	struct list chardevs; /* struct chardev */
	struct list netdevs;  /* struct net_backend */
	struct blk_graph blocks;
};

/* Opens everything that -object, -chardev, -blockdev, -drive, -netdev name. */
int backends_open(struct backends *b, const struct vm_config *c,
		  struct err *e);
void backends_close(struct backends *b); /* no front end is left on them */
/* The files that they would remove at the end, but cannot in the jail. */
int backends_sweep(struct backends *b, struct sweeper *s, struct err *e);

/* A prop_resolver over a struct backends. */
void *backends_resolve(void *opaque, const char *kind, const char *id,
		       struct err *e);

/* Why the process ends, or that it does not. */
enum run_state {
	RUN_PRELAUNCH,
	RUN_RUNNING,
	RUN_PAUSED, /* by -action …=pause or -no-shutdown */
	RUN_ENDED,
};

struct run {
	struct loop_task task; /* handles pending requests on main */
	struct loop_timer retry; /* until the vCPUs hold */
	pthread_mutex_t lock;  /* guards the three below; a leaf */
	unsigned pending;      /* bit n: enum board_request n came in */
	int exit_arg;          /* of the first BOARD_EXIT */
	char failure[4096];    /* a vCPU's last words */
	enum run_state state;
	int exit_status;
	sigset_t old_mask;
	int signal_fd;
	struct loop_fd signals;
};

struct vm {
	const struct vm_config *config;
	struct machine *machine;
	struct backends backends;
	struct memory_backend *ram; /* made here if own_ram, else -object's */
	bool own_ram;
	struct gmem gmem;
	struct space *mem, *ports;
	struct loop *loop;
	struct kvm *kvm;
	struct cpu_model *cpu_model;
	struct cpu_config cpu_config;
	struct vcpu_ops cpu_ops;
	struct vcpu **vcpus;
	struct cpu_thread *threads; /* nthreads of them, see vm_cpu.c */
	unsigned nthreads;
	struct notify_sink notify;
	struct board board;
	struct device **devices; /* in order of attachment, ndevices of them */
	size_t ndevices;
	struct vcpu_boot boot; /* entry of the boot CPU */
	struct run run;
};

/* Builds all of it, and opens every file. The configuration outlives the VM.
 * On failure *ret is untouched. */
int vm_new(const struct vm_config *c, struct vm **ret, struct err *e);
void vm_free(struct vm *vm);

/* Hands over what the VM leaves in the file system, once, before it starts. */
int vm_sweep(struct vm *vm, struct sweeper *s, struct err *e);

/* Makes the threads, which wait, and enters the jail. */
int vm_start(struct vm *vm, struct err *e);

/* Runs until the guest or a signal ends it: 0 with *ret_status set to the exit
 * status of the process, or -errno. */
int vm_run(struct vm *vm, int *ret_status, struct err *e);

/* What a device or a vCPU asks of the machine. Any thread. */
void vm_request(struct vm *vm, enum board_request what, int arg);
/* A vCPU failed: `text` is its report. Any thread. */
void vm_fail(struct vm *vm, const char *text);

/* What the machine sets a property of a part to: text, or a number. */
struct part_value {
	const char *name;
	uint64_t number;
	const char *text; /* NULL: the number */
};

/* Makes a part of the board: a device on `bus` with n values set. */
int vm_add_part(struct vm *vm, const char *driver, struct bus *bus,
		const struct part_value *values, size_t n, struct err *e);
/* The serial ports that -serial (or its default) asks for. */
int vm_add_serials(struct vm *vm, struct bus *isa, struct err *e);
/* Are drivers, properties and values of -global all known and fit, whether or
 * not there is such a device? */
int vm_check_globals(struct vm *vm, struct err *e);
/* As -device, from its parsed form. */
int vm_add_device_option(struct vm *vm, struct json_object *conf,
			 struct err *e);

/* The vCPU side (vm_cpu.c). */
int vm_cpus_new(struct vm *vm, struct err *e);
int vm_cpus_start(struct vm *vm, struct err *e);
void vm_cpus_resume(struct vm *vm);
/* Asks every vCPU to leave the guest and wait. Any thread. */
void vm_cpus_hold(struct vm *vm);
bool vm_cpus_are_held(const struct vm *vm);
void vm_cpus_free(struct vm *vm); /* ends the threads first */

/* The SMBIOS tables of -smbios and -uuid; see tables.h (smbios_option.c). */
int vm_build_smbios(struct vm *vm, gpa_t *where, gpa_t end, struct err *e);

/* The run state (run.c). */
int run_init(struct vm *vm, struct err *e);
void run_fini(struct vm *vm);
/* The process is to end with that status. Main. */
void run_end(struct vm *vm, int status);
