/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs of a VM: their exits go to the address spaces, their ends to the run
 * state.
 *
 * Threads: main; the callbacks on each vCPU's own.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "bus/space.h"
#include "vmm/config.h"
#include "vmm/jail.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

/* How long the loop waits for something before it looks at a vCPU again. */
#define SETTLE_NS (50 * NS_PER_US)

/* What a vCPU's thread has of its own. */
struct cpu_thread {
	struct space_reader mem, ports;
} CACHE_ALIGNED;

static int cpu_thread_start(void *opaque, unsigned index, struct err *e)
{
	struct vm *vm = opaque;

	(void)index;
	return jail_enter_thread(vm->config, JAIL_ROLE_VCPU, e);
}

static struct space_reader *reader_of(struct vm *vm, unsigned index,
				      bool is_port)
{
	struct cpu_thread *t = &vm->threads[index];

	return is_port ? &t->ports : &t->mem;
}

static uint64_t cpu_read(void *opaque, unsigned index, bool is_port,
			 uint64_t addr, unsigned size)
{
	return space_read(reader_of(opaque, index, is_port), addr, size);
}

static void cpu_write(void *opaque, unsigned index, bool is_port,
		      uint64_t addr, unsigned size, uint64_t value)
{
	space_write(reader_of(opaque, index, is_port), addr, size, value);
}

static void cpu_eoi(void *opaque, unsigned vector)
{
	struct vm *vm = opaque;

	if (vm->machine->class->eoi)
		vm->machine->class->eoi(vm->machine, vector);
}

static void cpu_event(void *opaque, unsigned index, enum vcpu_event ev,
		      const char *text)
{
	struct vm *vm = opaque;

	switch (ev) {
	case VCPU_SHUTDOWN:
		log_on(LOG_KVM, "vCPU %u: triple fault", index);
		vm_request(vm, BOARD_RESET, 0);
		break;
	case VCPU_RESET:
		vm_request(vm, BOARD_RESET, 0);
		break;
	case VCPU_POWEROFF:
		vm_request(vm, BOARD_SHUTDOWN, 0);
		break;
	case VCPU_CRASH:
		vm_request(vm, BOARD_PANIC, 0);
		break;
	case VCPU_FAILED:
		vm_fail(vm, text);
		break;
	}
}

static const struct vcpu_ops cpu_ops_template = {
	.thread_start = cpu_thread_start,
	.read = cpu_read,
	.write = cpu_write,
	.eoi = cpu_eoi,
	.event = cpu_event,
};

int vm_cpus_new(struct vm *vm, struct err *e)
{
	unsigned n = vm->cpu_config.cpus;
	int r = 0;

	vm->cpu_ops = cpu_ops_template;
	vm->cpu_ops.opaque = vm;
	vm->vcpus = calloc(n, sizeof(struct vcpu *));
	vm->threads = aligned_alloc(_Alignof(struct cpu_thread),
				    n * sizeof(*vm->threads));
	if (!vm->vcpus || !vm->threads)
		return err_set(e, -ENOMEM, "no memory for %u vCPUs", n);
	for (unsigned i = 0; i < n; i++) {
		space_reader_init(&vm->threads[i].mem, vm->mem);
		space_reader_init(&vm->threads[i].ports, vm->ports);
		vm->nthreads = i + 1;
	}
	for (unsigned i = 0; !r && i < n; i++)
		r = vcpu_new(vm->kvm, vm->cpu_model, i, &vm->cpu_ops,
			     &vm->vcpus[i], e);
	return r;
}

int vm_cpus_start(struct vm *vm, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; !r && i < vm->nthreads; i++)
		r = vcpu_start(vm->vcpus[i], e);
	return r;
}

void vm_cpus_resume(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nthreads; i++)
		vcpu_resume(vm->vcpus[i]);
}

void vm_cpus_hold(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nthreads; i++)
		vcpu_pause(vm->vcpus[i]);
}

bool vm_cpus_are_held(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nthreads; i++)
		if (!vcpu_is_paused(vm->vcpus[i]))
			return false;
	return true;
}

/*
 * A vCPU may wait for the loop, in the reset of a device, and this is the
 * loop's thread: it is not to be waited for before it holds.
 */
static void vm_cpu_settle(struct vm *vm, struct vcpu *v)
{
	struct err e;

	vcpu_pause(v);
	while (!vcpu_is_paused(v))
		if (loop_step(vm->loop, SETTLE_NS, &e))
			return;
}

void vm_cpus_free(struct vm *vm)
{
	for (unsigned i = 0; vm->vcpus && i < vm->nthreads; i++)
		if (vm->vcpus[i])
			vm_cpu_settle(vm, vm->vcpus[i]);
	for (unsigned i = 0; vm->vcpus && i < vm->nthreads; i++)
		vcpu_free(vm->vcpus[i]);
	for (unsigned i = 0; i < vm->nthreads; i++) {
		space_reader_fini(&vm->threads[i].mem);
		space_reader_fini(&vm->threads[i].ports);
	}
	free(vm->vcpus);
	free(vm->threads);
}
