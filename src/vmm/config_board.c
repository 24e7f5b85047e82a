/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processors of -smp and the memory of -m, once all uses are merged.
 *
 * Threads: main.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/num.h"
#include "vmm/config.h"
#include "vmm/config_parts.h"
#include "vmm/option_props.h"

/* QEMU rounds up to this, so that odd sizes mean the same. */
#define MEMORY_ALIGN (8 * KIB)

static uint32_t or_one(uint32_t n)
{
	return n ? n : 1;
}

/* x / (a * b * c), at least 1; the factors are bounded by their rows. */
static uint32_t share(uint32_t x, uint32_t a, uint32_t b, uint32_t c)
{
	return or_one((uint32_t)(x / ((uint64_t)a * b * c)));
}

/*
 * Fills in what was left out: cores before sockets before threads, and the
 * number of processors last.
 */
static void smp_complete(struct smp_option *s)
{
	uint32_t wanted = s->maxcpus ? s->maxcpus : s->cpus;

	s->dies = or_one(s->dies);
	if (!wanted) {
		s->sockets = or_one(s->sockets);
		s->cores = or_one(s->cores);
		s->threads = or_one(s->threads);
	} else if (!s->cores) {
		s->sockets = or_one(s->sockets);
		s->threads = or_one(s->threads);
		s->cores = share(wanted, s->sockets, s->dies, s->threads);
	} else if (!s->sockets) {
		s->threads = or_one(s->threads);
		s->sockets = share(wanted, s->dies, s->cores, s->threads);
	} else if (!s->threads) {
		s->threads = share(wanted, s->sockets, s->dies, s->cores);
	}
}

static int smp_check(struct smp_option *s, struct err *e)
{
	uint64_t total = (uint64_t)s->sockets * s->dies * s->cores * s->threads;
	uint64_t cpus = s->cpus ? s->cpus : s->maxcpus ? s->maxcpus : total;

	if (s->maxcpus && s->maxcpus != cpus)
		return err_set(e, -EINVAL,
			       "-smp: maxcpus (%" PRIu32 ") must equal cpus "
			       "(%" PRIu64 "): processors cannot be plugged in",
			       s->maxcpus, cpus);
	if (total != cpus)
		return err_set(e, -EINVAL,
			       "-smp: sockets (%" PRIu32 ") * dies (%" PRIu32
			       ") * cores (%" PRIu32 ") * threads (%" PRIu32
			       ") must equal cpus (%" PRIu64 ")",
			       s->sockets, s->dies, s->cores, s->threads, cpus);
	s->cpus = s->maxcpus = (uint32_t)cpus;
	return 0;
}

static int set_number(struct json_object *obj, const char *key, uint64_t n,
		      struct err *e)
{
	return json_set(obj, key, json_object_new_uint64(n), e);
}

static int smp_store(const struct smp_option *s, struct json_object **ret,
		     struct err *e)
{
	AUTO_JSON struct json_object *obj = json_object_new_object();
	const struct {
		const char *key;
		uint32_t n;
	} members[] = {
		{"cpus", s->cpus},       {"sockets", s->sockets},
		{"dies", s->dies},       {"cores", s->cores},
		{"threads", s->threads}, {"maxcpus", s->maxcpus},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		int r = obj ? set_number(obj, members[i].key, members[i].n, e)
			    : err_set(e, -ENOMEM, "out of memory");

		if (r)
			return r;
	}
	json_object_put(*ret);
	*ret = take_ptr(obj);
	return 0;
}

int config_finish_smp(struct vm_config *c, struct err *e)
{
	struct smp_option s = {0};
	int r;

	if (!c->smp)
		return 0;
	r = props_apply(smp_props, &s, c->smp, NULL, NULL, e);
	if (r)
		return r;
	smp_complete(&s);
	r = smp_check(&s, e);
	return r ? r : smp_store(&s, &c->smp, e);
}

int config_finish_memory(struct vm_config *c, struct err *e)
{
	struct json_object *v;
	uint64_t bytes = 0;
	const char *text;
	int r;

	if (!c->memory || !json_object_object_get_ex(c->memory, "size", &v))
		return 0;
	text = json_text(v);
	r = parse_size(text, MIB, &bytes);
	if (r == -EINVAL)
		return err_set(e, r,
			       "-m: Parameter 'size' expects a size such as "
			       "512M, not '%s'",
			       text);
	if (r || !add_ok(bytes, MEMORY_ALIGN - 1, &bytes))
		return err_set(e, -ERANGE, "-m: '%s' is too large", text);
	bytes = align_down(bytes, MEMORY_ALIGN);
	if (!bytes)
		return err_set(e, -EINVAL, "-m: a guest needs some memory");
	return set_number(c->memory, "size", bytes, e);
}
