/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From -smbios type=1,… and -uuid to the SMBIOS tables.
 *
 * Threads: main.
 */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "backend/object.h"
#include "base/prop.h"
#include "vmm/config.h"
#include "vmm/machine.h"
#include "vmm/tables.h"
#include "vmm/vm.h"

/* What -smbios takes; type 1 is the system information. */
struct smbios_option {
	uint8_t type;
	char *manufacturer, *product, *version, *serial, *uuid, *sku, *family;
};

static const struct prop smbios_props[] = {
	PROP_U8(struct smbios_option, type, "type", 1, 1, 1,
		"structure: 1, the system information"),
	PROP_STR(struct smbios_option, manufacturer, "manufacturer", "vireo",
		 "who made the system"),
	PROP_STR(struct smbios_option, product, "product", NULL,
		 "name of the product"),
	PROP_STR(struct smbios_option, version, "version", NULL,
		 "version of the product"),
	PROP_STR(struct smbios_option, serial, "serial", NULL,
		 "serial number"),
	PROP_STR(struct smbios_option, uuid, "uuid", NULL,
		 "universal unique id, as -uuid"),
	PROP_STR(struct smbios_option, sku, "sku", NULL,
		 "stock-keeping number"),
	PROP_STR(struct smbios_option, family, "family", NULL,
		 "family of the product"),
	PROP_END,
};

/* 8-4-4-4-12 hexadecimal digits (RFC 4122, 3). */
static int parse_uuid(const char *text, uint8_t out[16], struct err *e)
{
	const char *p = text;

	for (unsigned i = 0; i < 16; i++) {
		unsigned value;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			goto bad;
		if (!isxdigit((unsigned char)p[0]) ||
		    !isxdigit((unsigned char)p[1]))
			goto bad;
		value = (unsigned)strtoul((char[]){p[0], p[1], 0}, NULL, 16);
		out[i] = (uint8_t)value;
		p += 2;
	}
	if (!*p)
		return 0;
bad:
	return err_set(e, -EINVAL,
		       "'%s' is not a UUID: "
		       "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
		       text);
}

/* Later options override earlier ones, member by member. */
static int read_options(const struct vm_config *c, struct smbios_option *o,
			struct err *e)
{
	size_t n = c->smbios ? json_object_array_length(c->smbios) : 0;
	int r = props_init(smbios_props, o, e);

	for (size_t i = 0; !r && i < n; i++)
		r = props_apply(smbios_props, o,
				json_object_array_get_idx(c->smbios, i), NULL,
				"smbios", e);
	return r ? (err_prefix(e, "-smbios: "), r) : 0;
}

static int read_uuid(const struct vm_config *c, const struct smbios_option *o,
		     struct smbios_config *conf, struct err *e)
{
	const char *text = o->uuid ? o->uuid : c->uuid;
	int r;

	if (!text)
		return 0;
	r = parse_uuid(text, conf->uuid, e);
	if (r) {
		(void)err_prefix(e, o->uuid ? "-smbios: " : "-uuid: ");
		return r;
	}
	conf->has_uuid = true;
	return 0;
}

int vm_build_smbios(struct vm *vm, gpa_t *where, gpa_t end, struct err *e)
{
	struct smbios_option o = {0};
	struct smbios_config conf = {
		.cpus = vm->cpu_config.cpus,
		.ram_bytes = vm->ram->bytes,
	};
	int r = read_options(vm->config, &o, e);

	if (!r)
		r = read_uuid(vm->config, &o, &conf, e);
	if (!r) {
		conf.manufacturer = o.manufacturer;
		conf.product = o.product ? o.product
					 : vm->machine->class->name;
		conf.version = o.version;
		conf.serial = o.serial;
		conf.sku = o.sku;
		conf.family = o.family;
		r = smbios_build(&vm->gmem, &conf, where, end, e);
	}
	props_fini(smbios_props, &o);
	return r;
}
