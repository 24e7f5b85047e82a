/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property tables: one row names, types, bounds, defaults and describes one
 * settable field of an object. Command line, help, man page, completions and
 * error messages come from the same row; devices, back ends, objects and
 * machines all use it.
 *
 * A configuration is a json-c object whose leaves are strings (from `k=v,…`)
 * or typed values (from JSON); see base/keyval.h.
 *
 * Threads: main.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/types.h"

struct json_object;

enum prop_type {
	PROP_T_BOOL,    /* bool: on/off (yes/no, true/false) */
	PROP_T_U8,      /* uint8_t: decimal or 0x… */
	PROP_T_U16,     /* uint16_t */
	PROP_T_U32,     /* uint32_t */
	PROP_T_U64,     /* uint64_t */
	PROP_T_I32,     /* int32_t */
	PROP_T_SIZE,    /* uint64_t bytes: number with suffix B K M G T P E */
	PROP_T_STR,     /* char *, owned by the object, NULL if unset */
	PROP_T_ENUM,    /* int: index into the row's names[] */
	PROP_T_MAC,     /* struct mac */
	PROP_T_BACKEND, /* struct prop_link: id, and the back end it names */
};

/* Field type of PROP_T_MAC. */
struct mac {
	uint8_t b[6];
	bool is_set;
};

/*
 * Field type of PROP_T_BACKEND. id is what the user wrote (owned by the
 * object, NULL if unset); ptr is filled in by props_link() from the registry
 * of the row's kind, after all options are read, so the order of options does
 * not matter. The back end is not owned by the object.
 */
struct prop_link {
	char *id;
	void *ptr;
};

struct prop {
	const char *name; /* as the user writes it; NULL ends a table */
	enum prop_type type;
	size_t offset;            /* of the field in the object */
	uint64_t def;             /* default of a number, bool or enum */
	const char *def_str;      /* default of a PROP_T_STR, or NULL */
	uint64_t min, max;        /* bounds of a number, both included */
	const char *const *names; /* NULL-ended: words of an enum */
	const char *kind;         /* of a PROP_T_BACKEND: "blockdev", … */
	bool required;            /* unset is an error */
	bool is_signed;           /* def, min, max are int64_t */
	const char *summary;      /* for help; lower case, no full stop */
};

#define PROP_FIELD(T, f, ftype)                                                \
	(offsetof(T, f) +                                                      \
	 0 * sizeof(char[__builtin_types_compatible_p(                         \
				 __typeof__(((T *)0)->f), ftype)               \
				 ? 1                                           \
				 : -1]))

#define PROP_BOOL(T, f, n, d, s)                                               \
	{.name = n, .type = PROP_T_BOOL, .offset = PROP_FIELD(T, f, bool),     \
	 .def = d, .max = 1, .summary = s}
#define PROP_U8(T, f, n, d, lo, hi, s)                                         \
	{.name = n, .type = PROP_T_U8, .offset = PROP_FIELD(T, f, uint8_t),    \
	 .def = d, .min = lo, .max = hi, .summary = s}
#define PROP_U16(T, f, n, d, lo, hi, s)                                        \
	{.name = n, .type = PROP_T_U16, .offset = PROP_FIELD(T, f, uint16_t),  \
	 .def = d, .min = lo, .max = hi, .summary = s}
#define PROP_U32(T, f, n, d, lo, hi, s)                                        \
	{.name = n, .type = PROP_T_U32, .offset = PROP_FIELD(T, f, uint32_t),  \
	 .def = d, .min = lo, .max = hi, .summary = s}
#define PROP_U64(T, f, n, d, lo, hi, s)                                        \
	{.name = n, .type = PROP_T_U64, .offset = PROP_FIELD(T, f, uint64_t),  \
	 .def = d, .min = lo, .max = hi, .summary = s}
#define PROP_I32(T, f, n, d, lo, hi, s)                                        \
	{.name = n, .type = PROP_T_I32, .offset = PROP_FIELD(T, f, int32_t),   \
	 .def = (uint64_t)(int64_t)(d), .min = (uint64_t)(int64_t)(lo),        \
	 .max = (uint64_t)(int64_t)(hi), .is_signed = true, .summary = s}
#define PROP_SIZE(T, f, n, d, lo, hi, s)                                       \
	{.name = n, .type = PROP_T_SIZE, .offset = PROP_FIELD(T, f, uint64_t), \
	 .def = d, .min = lo, .max = hi, .summary = s}
#define PROP_STR(T, f, n, d, s)                                                \
	{.name = n, .type = PROP_T_STR, .offset = PROP_FIELD(T, f, char *),    \
	 .def_str = d, .summary = s}
#define PROP_STR_REQUIRED(T, f, n, s)                                          \
	{.name = n, .type = PROP_T_STR, .offset = PROP_FIELD(T, f, char *),    \
	 .required = true, .summary = s}
#define PROP_ENUM(T, f, n, d, words, s)                                        \
	{.name = n, .type = PROP_T_ENUM, .offset = PROP_FIELD(T, f, int),      \
	 .def = d, .names = words, .summary = s}
#define PROP_MAC(T, f, n, s)                                                   \
	{.name = n, .type = PROP_T_MAC, .offset = PROP_FIELD(T, f, struct mac),\
	 .summary = s}
#define PROP_BACKEND(T, f, n, k, s)                                            \
	{.name = n, .type = PROP_T_BACKEND,                                    \
	 .offset = PROP_FIELD(T, f, struct prop_link), .kind = k, .summary = s}
#define PROP_BACKEND_REQUIRED(T, f, n, k, s)                                   \
	{.name = n, .type = PROP_T_BACKEND,                                    \
	 .offset = PROP_FIELD(T, f, struct prop_link), .kind = k,              \
	 .required = true, .summary = s}
#define PROP_END {.name = NULL}

/* The words of an on/off/auto property: an int field, PROP_ENUM. */
enum on_off_auto { OOA_AUTO, OOA_ON, OOA_OFF };
extern const char *const on_off_auto_names[];

/* Fills in every default. The object's fields were zero before. */
int props_init(const struct prop *props, void *obj, struct err *e);

/* Releases the strings that the table's fields own, and zeroes them. */
void props_fini(const struct prop *props, void *obj);

/*
 * Sets one property from a JSON value (a string is parsed by the row's type).
 * -EINVAL: value of the wrong type or out of range; the message has both.
 */
int prop_set(const struct prop *p, void *obj, struct json_object *value,
	     struct err *e);

/* As prop_set, by name and text; -ENOENT where the table has no such row. */
int props_set_text(const struct prop *props, void *obj, const char *name,
		   const char *text, struct err *e);

/*
 * Sets every member of conf (a JSON object) except the NULL-ended names in
 * skip (may be NULL). A member without a row is -ENOENT: "Property
 * 'WHAT.name' not found", with the nearest known name; a required row that is
 * still unset is -EINVAL. `what` is the driver that messages name; NULL where
 * the caller names it.
 */
int props_apply(const struct prop *props, void *obj, struct json_object *conf,
		const char *const *skip, const char *what, struct err *e);

/* Finds the back end `id` of a kind: NULL with *e set where there is none. */
typedef void *prop_resolver(void *opaque, const char *kind, const char *id,
			    struct err *e);

/* Resolves every PROP_T_BACKEND of the object whose id is set. */
int props_link(const struct prop *props, void *obj, const char *what,
	       prop_resolver *resolve, void *opaque, struct err *e);

/* The row named so, or NULL. */
const struct prop *prop_find(const struct prop *props, const char *name);

/* The word for a type in help output: "bool", "uint32", "size", "str", … */
const char *prop_type_name(const struct prop *p);

/* The default as help prints it, into buf; "" where there is none, or it is a
 * number out of its own bounds. */
const char *prop_default_text(const struct prop *p, char *buf, size_t len);
