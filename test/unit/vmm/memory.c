/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/memory: which guest memory the ring gets registered.
 */
#include "vmm/memory.h"

#include <json-c/json.h>

#include "backend/object.h"
#include "base/keyval.h"
#include "test/lib/test.h"
#include "vmm/vm.h"

static struct memory_backend *memory(const char *text)
{
	struct json_object *conf;
	struct object *o = NULL;
	struct err e = {0};

	assert_int_equal(keyval_parse(text, "qom-type", 0, &conf, &e), 0);
	if (object_new(conf, &o, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	return container_of(o, struct memory_backend, obj);
}

/* Is it registered, when a machine of it starts on that engine? */
static bool registers(enum loop_engine engine, const char *text)
{
	struct vm vm = {.ram = memory(text)};
	const struct loop_config c = {.engine = engine};
	bool is_there;

	assert_int_equal(loop_new(&c, &vm.loop, NULL), 0);
	memory_register(&vm);
	assert_int_equal(loop_seal(vm.loop, NULL), 0);
	is_there = loop_buffer_of(vm.loop, vm.ram->host, vm.ram->bytes) == 0;
	loop_free(vm.loop);
	object_free(&vm.ram->obj);
	return is_there;
}

#define RAM   "memory-backend-ram,id=m,size=1M"
#define MEMFD "memory-backend-memfd,id=m,size=1M"

static void populated_memory_is_registered(void **state)
{
	struct loop *l = NULL;

	(void)state;
	if (loop_new(&(struct loop_config){.engine = LOOP_URING}, &l, NULL))
		test_skip("no io_uring");
	loop_free(l);
	assert_true(registers(LOOP_URING, RAM ",prealloc=on"));
	assert_true(registers(LOOP_URING, MEMFD ",prealloc=on"));
	/* The others would be, by that. */
	assert_false(registers(LOOP_URING, RAM));
	assert_false(registers(LOOP_URING, MEMFD));
}

static void epoll_has_no_use_for_it(void **state)
{
	(void)state;
	assert_false(registers(LOOP_EPOLL, RAM ",prealloc=on"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(populated_memory_is_registered),
	cmocka_unit_test(epoll_has_no_use_for_it),
};

TEST_MAIN(tests)
