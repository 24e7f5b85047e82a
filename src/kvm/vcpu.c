/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPU's thread: KVM_RUN in a loop, and how others start, pause, resume
 * and stop it.
 *
 * Theory of operation. Others never touch the vCPU: under v->lock they write
 * down what they want (wants_run, wants_stop), set run->immediate_exit and
 * send the thread a signal. The signal's handler does nothing: it is there to
 * interrupt KVM_RUN, and where it comes too early, immediate_exit is already
 * set and makes the KVM_RUN that follows return -EINTR at once. So there is no
 * moment at which a kick is lost, and the loop needs no check of its own, no
 * signal mask and no further system call for an exit:
 *
 *	loop:  vcpu_gate()          waits while nothing wants it to run, then
 *	                            clears immediate_exit, under the lock
 *	       KVM_RUN, handle      until -EINTR: somebody wants something
 *
 * immediate_exit is cleared only under the lock and after the wishes were
 * looked at; a wish that comes later sets it again. KVM_RUN finishes the
 * access that its last exit left open before it looks at immediate_exit: at
 * the gate the registers are whole, and may be read, reset or saved by
 * another thread.
 *
 * The thread says that it waits by is_idle, under the same lock. A vCPU that
 * stops the machine (triple fault, failure) first takes back wants_run, so
 * that it waits whatever the callback does, then calls event(). An exit that
 * can not be handled is therefore reported once and not entered again.
 *
 * HLT comes here only where KVM has no LAPIC; no interrupt can come then, so
 * the thread waits at the gate until the vCPU is reset or stopped.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.10 and section 5
 *       (immediate_exit).
 * Threads: as in the header; "its thread" is the vCPU's.
 * Syscalls: main: ioctl, munmap, close, futex; vcpu: ioctl, futex,
 *           rt_sigprocmask, rt_sigreturn; all: tgkill; set-up: mmap,
 *           rt_sigaction, clone3
 */
#include "kvm/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "kvm/cpuid.h"
#include "kvm/internal.h"

#define VCPU_SIGNAL     (SIGRTMIN + 1)
#define VCPU_STACK_SIZE (1 * MIB)

int vcpu_ioctl(const struct vcpu *v, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(v->fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Under v->lock: out of the guest, to the gate. */
static void vcpu_interrupt(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	if (v->has_thread && !v->has_ended)
		(void)pthread_kill(v->thread, VCPU_SIGNAL); /* it exists */
}

/* Its thread: waits until the vCPU is to run. False: it is to end. */
static bool vcpu_gate(struct vcpu *v)
{
	bool run;

	pthread_mutex_lock(&v->lock);
	while (!v->wants_stop && (!v->wants_run || v->is_halted)) {
		v->is_idle = true;
		pthread_cond_broadcast(&v->changed);
		pthread_cond_wait(&v->wake, &v->lock);
	}
	v->is_idle = false;
	v->run->immediate_exit = 0;
	run = !v->wants_stop;
	pthread_mutex_unlock(&v->lock);
	return run;
}

static void vcpu_report_event(struct vcpu *v, enum vcpu_event ev,
			      const char *text)
{
	pthread_mutex_lock(&v->lock);
	v->wants_run = false;
	pthread_mutex_unlock(&v->lock);
	v->ops->event(v->ops->opaque, v->index, ev, text);
}

static void vcpu_fail(struct vcpu *v, int error)
{
	vcpu_make_report(v, error);
	vcpu_report_event(v, VCPU_FAILED, v->report);
}

static void vcpu_halt(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->is_halted = true;
	pthread_mutex_unlock(&v->lock);
}

/* Its thread: runs the guest until somebody wants something else. */
static void vcpu_run(struct vcpu *v)
{
	const struct exit_ctx x = {v->run, v->ops, &v->counts, v->index};
	enum exit_next next = EXIT_RESUME;
	enum vcpu_event ev;

	while (next == EXIT_RESUME) {
		if (likely(!ioctl(v->fd, KVM_RUN, 0))) {
			next = exit_handle(&x, &ev);
			continue;
		}
		if (errno == EINTR) {
			exit_count(v->counts.intr);
			return;
		}
		if (errno != EAGAIN) { /* EAGAIN: a waiting AP got its SIPI */
			vcpu_fail(v, errno);
			return;
		}
	}
	if (next == EXIT_EVENT)
		vcpu_report_event(v, ev, NULL);
	else if (next == EXIT_REPORT)
		vcpu_fail(v, 0);
	else
		vcpu_halt(v);
}

static int vcpu_begin(struct vcpu *v)
{
	int r = 0;

	if (v->ops->thread_start)
		r = v->ops->thread_start(v->ops->opaque, v->index,
					 &v->start_err);
	v->start_err.code = r;
	return r;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	if (!vcpu_begin(v)) {
		while (vcpu_gate(v))
			vcpu_run(v);
		if (v->ops->thread_end)
			v->ops->thread_end(v->ops->opaque, v->index);
	}
	pthread_mutex_lock(&v->lock);
	v->has_ended = true;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

static void vcpu_signal(int signo)
{
	(void)signo; /* see the theory of operation */
}

/*
 * The signals that a vCPU's thread may see: the kick, and those that its own
 * faults raise. The rest is for main.
 */
static void vcpu_signal_mask(sigset_t *set)
{
	static const int kept[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				   SIGTRAP, SIGABRT, SIGSYS};

	sigfillset(set);
	sigdelset(set, VCPU_SIGNAL);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		sigdelset(set, kept[i]);
}

static int vcpu_create_thread(struct vcpu *v)
{
	struct sigaction sa = {.sa_handler = vcpu_signal,
			       .sa_flags = SA_RESTART};
	sigset_t mask, old;
	pthread_attr_t attr;
	int r;

	sigemptyset(&sa.sa_mask);
	if (sigaction(VCPU_SIGNAL, &sa, NULL))
		return -errno;
	vcpu_signal_mask(&mask);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	r = pthread_create(&v->thread, &attr, vcpu_main, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	int r;

	if (v->has_thread)
		return err_set(e, -EBUSY, "vCPU %u runs already", v->index);
	v->has_ended = v->is_idle = false;
	v->wants_run = v->wants_stop = false;
	v->start_err = (struct err){0};
	r = vcpu_create_thread(v);
	if (r)
		return err_set_errno(e, r, "cannot make the thread of vCPU %u",
				     v->index);
	pthread_mutex_lock(&v->lock);
	v->has_thread = true;
	/* At the gate, so that it may be reset at once; or it failed. */
	while (!v->is_idle && !v->has_ended)
		pthread_cond_wait(&v->changed, &v->lock);
	r = v->start_err.code;
	pthread_mutex_unlock(&v->lock);
	if (!r)
		return 0;
	vcpu_stop(v);
	err_set(e, r, "%s", v->start_err.text);
	return err_prefix(e, "vCPU %u: ", v->index);
}

void vcpu_resume(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->wants_run = true;
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_pause(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->wants_run = false;
	vcpu_interrupt(v);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_wait_paused(struct vcpu *v)
{
	assert(!v->has_thread || !pthread_equal(v->thread, pthread_self()));
	pthread_mutex_lock(&v->lock);
	while (v->has_thread && !v->is_idle && !v->has_ended)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_kick(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	vcpu_interrupt(v);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_stop(struct vcpu *v)
{
	if (!v->has_thread)
		return;
	assert(!pthread_equal(v->thread, pthread_self()));
	pthread_mutex_lock(&v->lock);
	v->wants_stop = true;
	v->wants_run = false;
	vcpu_interrupt(v);
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->thread, NULL);
	pthread_mutex_lock(&v->lock);
	v->has_thread = false;
	pthread_mutex_unlock(&v->lock);
}

bool vcpu_is_paused(struct vcpu *v)
{
	bool still;

	pthread_mutex_lock(&v->lock);
	still = !v->has_thread || (v->is_idle && !v->wants_run);
	pthread_mutex_unlock(&v->lock);
	return still;
}

void vcpu_unhalt(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->is_halted = false;
	pthread_mutex_unlock(&v->lock);
}

void vcpu_stats(const struct vcpu *v, struct vcpu_stats *ret)
{
	const struct exit_counts *c = &v->counts;

#define VCPU_STAT(f) ret->f = atomic_load_explicit(&c->f, memory_order_relaxed)
	VCPU_STAT(exits);
	VCPU_STAT(pio);
	VCPU_STAT(mmio);
	VCPU_STAT(eoi);
	VCPU_STAT(hlt);
	VCPU_STAT(intr);
	VCPU_STAT(other);
#undef VCPU_STAT
}

static int vcpu_open(struct vcpu *v, struct err *e)
{
	struct kvm *k = v->kvm;
	void *p;

	do
		v->fd = ioctl(k->vm_fd, KVM_CREATE_VCPU, v->apic_id);
	while (v->fd < 0 && errno == EINTR);
	if (v->fd < 0)
		return err_set_errno(e, -errno, "KVM cannot make vCPU %u",
				     v->index);
	p = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
		 0);
	if (p == MAP_FAILED)
		return err_set_errno(e, -errno, "cannot map vCPU %u", v->index);
	v->run = p;
	return 0;
}

static int vcpu_init(struct vcpu *v, struct err *e)
{
	int r = vcpu_open(v, e);

	if (!r && v->model)
		r = cpu_model_apply(v->model, v, e);
	if (!r)
		r = vcpu_init_msrs(v, false, e);
	if (!r && v->kvm->config.irqchip != KVM_IRQCHIP_NONE)
		r = vcpu_init_lapic(v, false, e);
	return r;
}

int vcpu_new(struct kvm *k, const struct cpu_model *m, unsigned index,
	     const struct vcpu_ops *ops, struct vcpu **ret, struct err *e)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "no memory for vCPU %u", index);
	v->kvm = k;
	v->model = m;
	v->ops = ops;
	v->index = index;
	v->apic_id = m ? cpu_model_apic_id(m, index) : index;
	v->fd = -1;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	pthread_cond_init(&v->changed, NULL);
	r = vcpu_init(v, e);
	if (r) {
		vcpu_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void vcpu_free(struct vcpu *v)
{
	if (!v)
		return;
	vcpu_stop(v);
	if (v->run)
		munmap(v->run, v->kvm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	pthread_cond_destroy(&v->changed);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
