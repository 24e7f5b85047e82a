/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the argument of -cpu: a model, then features ("+x", "-x", "x", "x=on",
 * "x=off") and properties ("name=value"), in any order.
 *
 * Threads: main.
 */
#include "kvm/cpu_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyval.h"
#include "base/prop.h"
#include "kvm/vcpu.h"

/* clang-format off */
const struct prop cpu_props[] = {
	PROP_BOOL(struct cpu_request, check, "check", true,
		  "warn about features that the host lacks"),
	PROP_BOOL(struct cpu_request, enforce, "enforce", false,
		  "refuse to start where the host lacks a feature"),
	PROP_BOOL(struct cpu_request, kvm, "kvm", true,
		  "paravirtual leaves"),
	PROP_BOOL(struct cpu_request, migratable, "migratable", false,
		  "leave out features that tie a guest to this host"),
	PROP_BOOL(struct cpu_request, host_phys_bits, "host-phys-bits", true,
		  "the host's number of address bits (off: 40)"),
	PROP_ENUM(struct cpu_request, pmu, "pmu", OOA_AUTO, on_off_auto_names,
		  "performance counters (auto: with host and max)"),
	PROP_I32(struct cpu_request, family, "family", -1, 0, 270, "family"),
	PROP_I32(struct cpu_request, model, "model", -1, 0, 255, "model"),
	PROP_I32(struct cpu_request, stepping, "stepping", -1, 0, 15,
		 "stepping"),
	PROP_I32(struct cpu_request, level, "level", -1, 1, 255,
		 "highest basic leaf"),
	PROP_I32(struct cpu_request, phys_bits, "phys-bits", -1, 32, 52,
		 "number of physical address bits"),
	PROP_U64(struct cpu_request, xlevel, "xlevel", 0, 0x80000000,
		 0x8000ffff, "highest extended leaf"),
	PROP_STR(struct cpu_request, vendor, "vendor", NULL,
		 "vendor, 12 characters"),
	PROP_STR(struct cpu_request, model_id, "model-id", NULL,
		 "processor name, up to 47 characters"),
	PROP_END,
};
/* clang-format on */

const char *cpu_feature_name(size_t i)
{
	return cpu_feature_at(NULL, i);
}

/* Features first, then properties, for nearest_name(). */
static const char *cpu_word_at(const void *opaque, size_t i)
{
	size_t n = 0;

	while (cpu_feature_at(opaque, n))
		n++;
	return i < n ? cpu_feature_at(opaque, i) : cpu_props[i - n].name;
}

static const char *cpu_model_at(const void *opaque, size_t i)
{
	(void)opaque;
	return cpu_model_names[i];
}

static int cpu_unknown(const char *kind, const char *word,
		       const char *(*name_at)(const void *, size_t),
		       struct err *e)
{
	const char *near = nearest_name(word, name_at, NULL);

	err_set(e, -EINVAL, "-cpu: no %s '%s'", kind, word);
	if (near)
		return err_append(e, " (did you mean '%s'?)", near);
	return err_append(e, ": see -cpu help");
}

/* The later of two words about a feature wins. */
static int cpu_set_feature(struct cpu_request *q, const char *name, bool on,
			   struct err *e)
{
	struct cpu_features one = {{0}};

	if (!cpu_feature_add(name, &one))
		return cpu_unknown("feature or property", name, cpu_word_at, e);
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		q->plus.word[i] &= ~one.word[i];
		q->minus.word[i] &= ~one.word[i];
		if (on)
			q->plus.word[i] |= one.word[i];
		else
			q->minus.word[i] |= one.word[i];
	}
	return 0;
}

static int cpu_set_word(struct cpu_request *q, char *word, struct err *e)
{
	char *value = strchr(word, '=');
	bool on = true;
	int r;

	if (*word == '+' || *word == '-')
		return cpu_set_feature(q, word + 1, *word == '+', e);
	if (value)
		*value++ = 0;
	r = props_set_text(cpu_props, q, word, value ? value : "on", e);
	if (r != -ENOENT)
		return r ? err_prefix(e, "-cpu: ") : 0;
	if (value && parse_bool(value, &on)) {
		if (cpu_feature_add(word, &(struct cpu_features){{0}}))
			return err_set(e, -EINVAL,
				       "-cpu: '%s=%s': want on or off", word,
				       value);
	}
	return cpu_set_feature(q, word, on, e);
}

static int cpu_check_request(const struct cpu_request *q, struct err *e)
{
	if (q->vendor && strlen(q->vendor) != CPU_VENDOR_LEN)
		return err_set(e, -EINVAL,
			       "-cpu: vendor '%s' has not %d characters",
			       q->vendor, CPU_VENDOR_LEN);
	if (q->model_id && strlen(q->model_id) > 47)
		return err_set(e, -EINVAL,
			       "-cpu: model-id '%s' has more than 47 "
			       "characters",
			       q->model_id);
	return 0;
}

static int cpu_parse_words(struct cpu_request *q, char *text, struct err *e)
{
	char *save = NULL, *word = strtok_r(text, ",", &save);
	int r = 0;

	if (!word)
		return err_set(e, -EINVAL, "-cpu: no model named");
	q->def = cpu_def_find(word);
	if (!q->def)
		return cpu_unknown("model", word, cpu_model_at, e);
	while (!r && (word = strtok_r(NULL, ",", &save)))
		r = cpu_set_word(q, word, e);
	return r ? r : cpu_check_request(q, e);
}

int cpu_request_parse(struct cpu_request *q, const char *text, struct err *e)
{
	char *copy = strdup(text ? text : "host");
	int r;

	if (!copy)
		return err_set(e, -ENOMEM, "no memory for -cpu");
	r = props_init(cpu_props, q, e);
	if (!r)
		r = cpu_parse_words(q, copy, e);
	free(copy);
	return r;
}

void cpu_request_fini(struct cpu_request *q)
{
	props_fini(cpu_props, q);
}
