/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a virtual machine together, in the order that is fastest and that the
 * jail allows: everything is open before the first guest instruction.
 *
 * Threads: main.
 */
#include "vmm/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/object.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/log.h"
#include "vmm/config.h"
#include "vmm/jail.h"
#include "vmm/machine.h"
#include "vmm/memory.h"

static void board_asks(struct board *b, enum board_request what, int arg)
{
	vm_request(container_of(b, struct vm, board), what, arg);
}

static int make_spaces(struct vm *vm, struct err *e)
{
	int r = space_new("memory", UINT64_MAX, &vm->mem, e);

	if (!r)
		r = space_new("ports", UINT16_MAX, &vm->ports, e);
	vm->board = (struct board){
		.gmem = &vm->gmem,
		.mem = vm->mem,
		.ports = vm->ports,
		.loop = vm->loop,
		.request = board_asks,
	};
	list_init(&vm->board.buses);
	return r;
}

static const char *machine_name_at(const void *opaque, size_t i)
{
	(void)opaque;
	return machine_classes[i] ? machine_classes[i]->name : NULL;
}

static int unknown_machine(const char *name, struct err *e)
{
	const char *near = nearest_name(name, machine_name_at, NULL);

	err_set(e, -ENOENT, "-machine: unsupported machine type '%s'", name);
	if (near)
		return err_append(e, " (did you mean '%s'?)", near);
	return err_append(e, " (-machine help lists them)");
}

static int make_machine(struct vm *vm, struct err *e)
{
	static const char *const skip[] = {"type", NULL};
	struct json_object *conf = vm->config->machine, *type = NULL;
	const struct machine_class *c = machine_classes[0];
	struct machine *m;
	int r;

	if (conf && json_object_object_get_ex(conf, "type", &type))
		c = machine_class_find(json_object_get_string(type));
	if (!c)
		return unknown_machine(json_text(type), e);
	m = calloc(1, c->size);
	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->class = c;
	m->vm = vm;
	vm->machine = m;
	r = props_init(c->props, m, e);
	if (!r && conf)
		r = props_apply(c->props, m, conf, skip, c->name, e);
	if (!r)
		r = props_link(c->props, m, c->name, backends_resolve,
			       &vm->backends, e);
	return r ? (err_prefix(e, "-machine: "), r) : 0;
}

static int build_machine(struct vm *vm, struct err *e)
{
	return vm->machine->class->build(vm->machine, e);
}

static int add_device_options(struct vm *vm, struct err *e)
{
	struct json_object *list = vm->config->devices;
	size_t n = list ? json_object_array_length(list) : 0;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = vm_add_device_option(
			vm, json_object_array_get_idx(list, i), e);
	return r;
}

static int make_cpus(struct vm *vm, struct err *e)
{
	int r = cpu_model_new(vm->kvm, &vm->cpu_config, &vm->cpu_model, e);

	if (r)
		return r;
	return vm_cpus_new(vm, e);
}

/* config_parse() has checked the product and filled in what was left out. */
static unsigned smp_member(const struct vm_config *c, const char *name)
{
	struct json_object *v;

	if (!c->smp || !json_object_object_get_ex(c->smp, name, &v))
		return 1;
	return (unsigned)json_object_get_uint64(v);
}

static int check_cpus(struct vm *vm, struct err *e)
{
	const struct machine_class *mc = vm->machine->class;
	const struct vm_config *c = vm->config;

	vm->cpu_config = (struct cpu_config){
		.cpu = c->cpu,
		.cpus = smp_member(c, "cpus"),
		.sockets = smp_member(c, "sockets"),
		.dies = smp_member(c, "dies"),
		.cores = smp_member(c, "cores"),
		.threads = smp_member(c, "threads"),
	};
	if (vm->cpu_config.cpus <= mc->max_cpus)
		return 0;
	return err_set(e, -EINVAL,
		       "-smp: machine '%s' has room for %u CPUs, not %u",
		       mc->name, mc->max_cpus, vm->cpu_config.cpus);
}

static int load_guest(struct vm *vm, struct err *e)
{
	int r = vm->machine->class->boot(vm->machine, true, e);

	if (r || vm->run.state == RUN_ENDED)
		return r;
	return vcpu_set_boot(vm->vcpus[0], &vm->boot, e);
}

static int seal_loop(struct vm *vm, struct err *e)
{
	memory_register(vm);
	return loop_seal(vm->loop, e);
}

static int enter_jail(struct vm *vm, struct err *e)
{
	return jail_enter_thread(vm->config, JAIL_ROLE_MAIN, e);
}

struct stage {
	const char *name; /* for -d time */
	int (*run)(struct vm *vm, struct err *e);
};

/* In this order; each stage finds what the ones before have made. */
static const struct stage build_stages[] = {
	{"signals", run_init},
	{"spaces", make_spaces},
	{"-global", vm_check_globals},
	{"machine", make_machine},
	{"-smp", check_cpus},
	{"board", build_machine},
	{"-device", add_device_options},
	{"vCPUs", make_cpus},
	{"kernel", load_guest},
};

static const struct stage start_stages[] = {
	{"vCPU threads", vm_cpus_start},
	{"ring restrictions", seal_loop},
	{"jail", enter_jail},
};

static int run_stages(struct vm *vm, const struct stage *stages, size_t n,
		      struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (r || vm->run.state == RUN_ENDED)
			break;
		r = stages[i].run(vm, e);
		log_on(LOG_TIME, "%" PRIu64 " ns: %s", loop_now(vm->loop),
		       stages[i].name);
	}
	return r;
}

static int build(struct vm *vm, struct err *e)
{
	int r = loop_new(&(struct loop_config){0}, &vm->loop, e);

	if (r)
		return r;
	log_on(LOG_TIME, "%" PRIu64 " ns: event loop", loop_now(vm->loop));
	r = backends_open(&vm->backends, vm->config, e);
	if (r)
		return r;
	return run_stages(vm, build_stages, ARRAY_SIZE(build_stages), e);
}

int vm_new(const struct vm_config *c, struct vm **ret, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_set(e, -ENOMEM, "out of memory");
	vm->config = c;
	r = build(vm, e);
	if (r) {
		vm_free(vm);
		return r;
	}
	*ret = vm;
	return 0;
}

int vm_start(struct vm *vm, struct err *e)
{
	return run_stages(vm, start_stages, ARRAY_SIZE(start_stages), e);
}

int vm_sweep(struct vm *vm, struct sweeper *s, struct err *e)
{
	return backends_sweep(&vm->backends, s, e);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_cpus_free(vm);
	while (vm->ndevices)
		device_free(vm->devices[--vm->ndevices]);
	free(vm->devices);
	if (vm->machine) {
		if (vm->machine->class->fini)
			vm->machine->class->fini(vm->machine);
		props_fini(vm->machine->class->props, vm->machine);
		free(vm->machine);
	}
	cpu_model_free(vm->cpu_model);
	kvm_free(vm->kvm);
	space_free(vm->mem);
	space_free(vm->ports);
	backends_close(&vm->backends);
	if (vm->own_ram)
		object_free(&vm->ram->obj);
	run_fini(vm);
	loop_free(vm->loop);
	free(vm);
}
