/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: which back end holds it, and where it lies.
 *
 * Threads: main.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "backend/object.h"
#include "base/log.h"
#include "base/mman.h"
#include "base/num.h"
#include "vmm/config.h"
#include "vmm/memory.h"
#include "vmm/vm.h"

#define DEFAULT_RAM (128 * MIB)
#define RAM_MIN     (1 * MIB)
#define RAM_ALIGN   4096

static uint64_t wanted_bytes(const struct vm_config *c)
{
	struct json_object *v;

	if (!c->memory || !json_object_object_get_ex(c->memory, "size", &v))
		return 0;
	return json_object_get_uint64(v);
}

static int check_size(uint64_t bytes, struct err *e)
{
	if (bytes < RAM_MIN || bytes % RAM_ALIGN)
		return err_set(e, -EINVAL,
			       "-m: %" PRIu64 " bytes are no memory size: at "
			       "least 1M, in whole pages",
			       bytes);
	return 0;
}

static int use_backend(struct vm *vm, struct memory_backend *ram,
		       struct err *e)
{
	uint64_t wanted = wanted_bytes(vm->config);

	if (wanted && wanted != ram->bytes)
		return err_set(e, -EINVAL,
			       "-m asks for %" PRIu64 " bytes and "
			       "memory-backend '%s' has %" PRIu64,
			       wanted, ram->obj.id, ram->bytes);
	vm->ram = ram;
	return check_size(ram->bytes, e);
}

static int make_default(struct vm *vm, struct err *e)
{
	uint64_t wanted = wanted_bytes(vm->config);
	int r;

	if (!wanted)
		wanted = DEFAULT_RAM;
	r = check_size(wanted, e);
	if (!r)
		r = memory_anonymous(wanted, &vm->ram, e);
	vm->own_ram = !r;
	return r;
}

static int add_range(struct vm *vm, gpa_t base, uint64_t offset, uint64_t len,
		     struct err *e)
{
	void *host = (char *)vm->ram->host + offset;
	int r = gmem_add(&vm->gmem, base, len, host, e);

	return r ? r : kvm_add_memory(vm->kvm, base, len, host, false, e);
}

int memory_build(struct vm *vm, struct memory_backend *backend,
		 uint64_t low_end, uint64_t high_start, struct err *e)
{
	uint64_t low;
	int r = backend ? use_backend(vm, backend, e) : make_default(vm, e);

	if (r)
		return r;
	/* Little of the first MiB is ever touched: no huge page for it. A
	 * refusal costs only memory. */
	if (memory_is_plain(vm->ram))
		(void)madvise(vm->ram->host, MIN(vm->ram->bytes, MIB),
			      MADV_NOHUGEPAGE);
	low = MIN(vm->ram->bytes, low_end);
	r = add_range(vm, 0, 0, low, e);
	if (!r && vm->ram->bytes > low)
		r = add_range(vm, high_start, low, vm->ram->bytes - low, e);
	return r;
}

void memory_register(struct vm *vm)
{
	struct iovec iov;
	int r;

	/* The kernel pins what is registered, so that all of it is in memory
	 * then; and none of it may be replaced after (memory_is_plain() is for
	 * other memory). */
	if (!vm->ram->prealloc || loop_engine_of(vm->loop) != LOOP_URING)
		return;
	iov = (struct iovec){vm->ram->host, vm->ram->bytes};
	r = loop_buffers(vm->loop, &iov, 1);
	if (r)
		log_on(LOG_IO,
		       "guest memory is not registered with io_uring: %s "
		       "(ulimit -l, or a file system that does not allow it)",
		       strerror(-r));
}
