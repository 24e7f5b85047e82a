/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run state: what the guest, a vCPU or a signal asks for is collected from
 * any thread and carried out on main.
 *
 * Theory of operation: vm_request() notes the request under a leaf lock, asks
 * every vCPU to hold (so that the one which asked runs no further), and posts
 * a task. The task, on main, waits until all vCPUs do hold, by a timer: one of
 * them may be waiting for this loop (the reset of a virtio device is handed
 * over to it). Then it looks at all that has come in: an end wins over a
 * reset, a reset over a pause. Whatever ends neither the process nor the run
 * lets the vCPUs go again.
 *
 * Threads: vm_request, vm_fail: any. The rest: main.
 * Syscalls: main: read (signalfd)
 */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/config.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

#define STATUS_FAILED 1

/* One more bit in run.pending, after those of enum board_request. */
#define PENDING_FAILED 31

/* How long until main looks again whether the vCPUs hold. */
#define RETRY_NS (50 * NS_PER_US)

static bool has(unsigned pending, unsigned what)
{
	return pending >> what & 1;
}

static void note(struct vm *vm, unsigned what)
{
	vm->run.pending |= 1U << what;
}

void vm_request(struct vm *vm, enum board_request what, int arg)
{
	pthread_mutex_lock(&vm->run.lock);
	if (what == BOARD_EXIT && !has(vm->run.pending, BOARD_EXIT))
		vm->run.exit_arg = arg;
	note(vm, what);
	pthread_mutex_unlock(&vm->run.lock);
	vm_cpus_hold(vm);
	loop_post(vm->loop, &vm->run.task);
}

void vm_fail(struct vm *vm, const char *text)
{
	pthread_mutex_lock(&vm->run.lock);
	if (!has(vm->run.pending, PENDING_FAILED))
		(void)snprintf(vm->run.failure, sizeof(vm->run.failure), "%s",
			       text);
	note(vm, PENDING_FAILED);
	pthread_mutex_unlock(&vm->run.lock);
	vm_cpus_hold(vm);
	loop_post(vm->loop, &vm->run.task);
}

void run_end(struct vm *vm, int status)
{
	vm->run.state = RUN_ENDED;
	vm->run.exit_status = status;
	loop_stop(vm->loop);
}

static void pause_vm(struct vm *vm)
{
	vm->run.state = RUN_PAUSED;
	log_warn("the guest is stopped; SIGTERM ends the process");
}

static void reset_devices(struct vm *vm)
{
	for (size_t i = 0; i < vm->ndevices; i++)
		if (vm->devices[i]->class->pause)
			vm->devices[i]->class->pause(vm->devices[i]);
	for (size_t i = 0; i < vm->ndevices; i++)
		device_reset(vm->devices[i]);
}

static int reset_cpus(struct vm *vm, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; !r && i < vm->nthreads; i++)
		r = vcpu_reset(vm->vcpus[i], e);
	return r ? r : vcpu_set_boot(vm->vcpus[0], &vm->boot, e);
}

/* Everything back to the state before the first instruction. */
static int reset_vm(struct vm *vm, struct err *e)
{
	int r;

	reset_devices(vm);
	r = vm->machine->class->boot(vm->machine, false, e);
	if (!r)
		r = reset_cpus(vm, e);
	if (r)
		return r;
	for (size_t i = 0; i < vm->ndevices; i++)
		if (vm->devices[i]->class->resume)
			vm->devices[i]->class->resume(vm->devices[i]);
	return 0;
}

static void handle_shutdown(struct vm *vm)
{
	if (vm->config->on_shutdown == ACTION_SHUTDOWN_PAUSE)
		pause_vm(vm);
	else
		run_end(vm, 0);
}

static void handle_reset(struct vm *vm)
{
	struct err e;

	if (vm->config->on_reboot == ACTION_REBOOT_SHUTDOWN) {
		handle_shutdown(vm);
		return;
	}
	if (reset_vm(vm, &e)) {
		log_warn("cannot reset the machine: %s", e.text);
		run_end(vm, STATUS_FAILED);
	} else {
		vm_cpus_resume(vm);
	}
}

static void handle_panic(struct vm *vm)
{
	switch ((enum action_panic)vm->config->on_panic) {
	case ACTION_PANIC_SHUTDOWN:
		log_warn("the guest panicked");
		handle_shutdown(vm);
		break;
	case ACTION_PANIC_EXIT_FAILURE:
		log_warn("the guest panicked");
		run_end(vm, STATUS_FAILED);
		break;
	case ACTION_PANIC_PAUSE:
		log_warn("the guest panicked");
		pause_vm(vm);
		break;
	case ACTION_PANIC_NONE:
		vm_cpus_resume(vm);
		break;
	}
}

static void handle_failure(struct vm *vm)
{
	log_warn("%s", vm->run.failure);
	run_end(vm, STATUS_FAILED);
}

static unsigned take_pending(struct vm *vm)
{
	unsigned pending;

	pthread_mutex_lock(&vm->run.lock);
	pending = vm->run.pending;
	vm->run.pending = 0;
	pthread_mutex_unlock(&vm->run.lock);
	return pending;
}

/* With every vCPU at rest. */
static void handle_pending(struct vm *vm, unsigned pending)
{
	if (has(pending, PENDING_FAILED))
		handle_failure(vm);
	else if (has(pending, BOARD_EXIT))
		run_end(vm, vm->run.exit_arg);
	else if (has(pending, BOARD_SHUTDOWN))
		handle_shutdown(vm);
	else if (has(pending, BOARD_RESET))
		handle_reset(vm);
	else if (has(pending, BOARD_PANIC))
		handle_panic(vm);
	else
		vm_cpus_resume(vm);
}

static void run_requests(struct vm *vm)
{
	unsigned pending;

	if (vm->run.state == RUN_ENDED)
		return;
	if (!vm_cpus_are_held(vm)) {
		/* The heap has had this timer's place since run_init(). */
		(void)loop_timer_arm(vm->loop, &vm->run.retry,
				     loop_now(vm->loop) + RETRY_NS);
		return;
	}
	pending = take_pending(vm);
	if (has(pending, BOARD_CRASHLOAD))
		log_warn("the guest crashed and runs its crash kernel");
	handle_pending(vm, pending);
}

static void run_task(struct loop_task *t)
{
	struct run *run = container_of(t, struct run, task);

	run_requests(container_of(run, struct vm, run));
}

static void run_retry(struct loop_timer *t)
{
	struct run *run = container_of(t, struct run, retry);

	run_requests(container_of(run, struct vm, run));
}

/* The signals that end the VM in good order. */
static const struct {
	int number;
	const char *name;
} end_signals[] = {
	{SIGTERM, "SIGTERM"},
	{SIGINT, "SIGINT"},
	{SIGHUP, "SIGHUP"},
};

static void log_signal(const struct signalfd_siginfo *info)
{
	for (size_t i = 0; i < ARRAY_SIZE(end_signals); i++) {
		if (end_signals[i].number != (int)info->ssi_signo)
			continue;
		if (info->ssi_code == SI_USER && info->ssi_pid)
			log_warn("ended by %s from process %u",
				 end_signals[i].name, info->ssi_pid);
		else
			log_warn("ended by %s", end_signals[i].name);
	}
}

static void run_signal(struct loop_fd *f, unsigned events)
{
	struct run *run = container_of(f, struct run, signals);
	struct vm *vm = container_of(run, struct vm, run);
	struct signalfd_siginfo info;

	(void)events;
	if (read(f->fd, &info, sizeof(info)) != sizeof(info) ||
	    run->state == RUN_ENDED)
		return;
	log_signal(&info);
	run_end(vm, 0);
}

/* Who started us with SIGHUP ignored (nohup) wants it to stay so; a blocked
 * one would come nevertheless. */
static bool is_wanted(int signo)
{
	struct sigaction old;

	return signo != SIGHUP || sigaction(signo, NULL, &old) ||
	       old.sa_handler != SIG_IGN;
}

static int take_signals(struct vm *vm, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(end_signals); i++)
		if (is_wanted(end_signals[i].number))
			sigaddset(&set, end_signals[i].number);
	pthread_sigmask(SIG_BLOCK, &set, &vm->run.old_mask);
	vm->run.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (vm->run.signal_fd < 0)
		return err_set_errno(e, -errno, "cannot make a signalfd");
	vm->run.signals.ready = run_signal;
	return loop_fd_add(vm->loop, &vm->run.signals, vm->run.signal_fd,
			   EPOLLIN, e);
}

int run_init(struct vm *vm, struct err *e)
{
	vm->run.signal_fd = -1;
	vm->run.task.run = run_task;
	vm->run.retry.expired = run_retry;
	pthread_mutex_init(&vm->run.lock, NULL);
	return take_signals(vm, e);
}

/* An impatient user's second Ctrl-C is not to kill what is at its end. */
static void drain_signals(struct vm *vm)
{
	struct signalfd_siginfo info;

	while (read(vm->run.signal_fd, &info, sizeof(info)) > 0)
		;
}

void run_fini(struct vm *vm)
{
	if (!vm->run.task.run)
		return;
	loop_task_cancel(vm->loop, &vm->run.task);
	loop_timer_cancel(&vm->run.retry);
	loop_fd_del(&vm->run.signals);
	drain_signals(vm);
	if (vm->run.signal_fd >= 0)
		close(vm->run.signal_fd);
	pthread_sigmask(SIG_SETMASK, &vm->run.old_mask, NULL);
	pthread_mutex_destroy(&vm->run.lock);
}

int vm_run(struct vm *vm, int *ret_status, struct err *e)
{
	int r;

	if (vm->run.state != RUN_ENDED) {
		vm->run.state = RUN_RUNNING;
		vm_cpus_resume(vm);
		r = loop_run(vm->loop, e);
		if (r)
			return r;
	}
	*ret_status = vm->run.exit_status;
	return 0;
}
