/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the short form of -drive to -blockdev and -device objects.
 *
 * Threads: main.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/prop.h"
#include "vmm/config.h"
#include "vmm/config_parts.h"
#include "vmm/option_props.h"

#define DRIVE_NO_INDEX UINT32_MAX

enum drive_if { DRIVE_IF_VIRTIO, DRIVE_IF_NONE };

static const char *const if_words[] = {
	[DRIVE_IF_VIRTIO] = "virtio",
	[DRIVE_IF_NONE] = "none",
	NULL,
};

enum drive_cache {
	DRIVE_CACHE_WRITEBACK,
	DRIVE_CACHE_NONE,
	DRIVE_CACHE_WRITETHROUGH,
	DRIVE_CACHE_DIRECTSYNC,
	DRIVE_CACHE_UNSAFE,
};

static const char *const cache_words[] = {
	[DRIVE_CACHE_WRITEBACK] = "writeback",
	[DRIVE_CACHE_NONE] = "none",
	[DRIVE_CACHE_WRITETHROUGH] = "writethrough",
	[DRIVE_CACHE_DIRECTSYNC] = "directsync",
	[DRIVE_CACHE_UNSAFE] = "unsafe",
	NULL,
};

static const char *const media_words[] = {"disk", NULL};

/* aio, discard, detect-zeroes and format are the block layer's to judge. */
const struct prop drive_props[] = {
	PROP_STR_REQUIRED(struct drive_option, file, "file",
			  "path of the image or block device"),
	PROP_ENUM(struct drive_option, iface, "if", DRIVE_IF_VIRTIO, if_words,
		  "what it is plugged into"),
	PROP_STR(struct drive_option, id, "id", NULL,
		 "name that -device has in drive="),
	PROP_STR(struct drive_option, format, "format", NULL,
		 "format of the image"),
	PROP_BOOL(struct drive_option, readonly, "readonly", false,
		  "the guest may not write"),
	PROP_BOOL(struct drive_option, read_only, "read-only", false,
		  "as readonly"),
	PROP_ENUM(struct drive_option, cache, "cache", DRIVE_CACHE_WRITEBACK,
		  cache_words, "how the host caches it"),
	PROP_STR(struct drive_option, aio, "aio", NULL,
		 "how the host does its I/O"),
	PROP_STR(struct drive_option, discard, "discard", NULL,
		 "what a discard does to the image"),
	PROP_STR(struct drive_option, detect_zeroes, "detect-zeroes", NULL,
		 "whether writes of zeroes are made sparse"),
	PROP_BOOL(struct drive_option, snapshot, "snapshot", false,
		  "writes are forgotten at the end"),
	PROP_ENUM(struct drive_option, media, "media", 0, media_words,
		  "what it looks like"),
	PROP_STR(struct drive_option, serial, "serial", NULL,
		 "serial number (if=virtio)"),
	PROP_U32(struct drive_option, index, "index", DRIVE_NO_INDEX, 0, 65535,
		 "position among drives of the same kind"),
	PROP_END,
};

static int set_string(struct json_object *obj, const char *key,
		      const char *value, struct err *e)
{
	if (!value)
		return 0;
	return json_set(obj, key, json_object_new_string(value), e);
}

static int set_bool(struct json_object *obj, const char *key, bool value,
		    struct err *e)
{
	return json_set(obj, key, json_object_new_boolean(value), e);
}

static int new_object(struct json_object **ret, struct err *e)
{
	*ret = json_object_new_object();
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* Image formats known by their first bytes. */
static const struct {
	const char *name;
	size_t len;
	const char *magic;
} image_formats[] = {
	{"qcow2", 4, "QFI\xfb"}, {"qed", 4, "QED\0"},
	{"vmdk", 4, "KDMV"},     {"vhdx", 8, "vhdxfile"},
	{"vpc", 8, "conectix"},  {"luks", 6, "LUKS\xba\xbe"},
};

static const char *image_format(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[8] = "";

	if (fd < 0 || read(fd, head, sizeof(head)) != sizeof(head))
		return NULL; /* opening it in earnest says what is wrong */
	for (size_t i = 0; i < ARRAY_SIZE(image_formats); i++)
		if (!memcmp(head, image_formats[i].magic, image_formats[i].len))
			return image_formats[i].name;
	return NULL;
}

/*
 * A format is never guessed, since a guest may write any header to a raw
 * image; but an image that looks like one of another format is most likely
 * not meant as raw.
 */
static int check_format(const struct drive_option *d, const char *path,
			struct err *e)
{
	const char *looks = d->format ? NULL : image_format(path);

	if (!looks)
		return 0;
	return err_set(e, -EINVAL,
		       "'%s' looks like %s: say format=%s, or format=raw if "
		       "it is what the guest should see",
		       path, looks, looks);
}

/* The path in file=; `word:` at its start names a protocol. */
static int drive_path(const char *file, const char **ret, struct err *e)
{
	size_t len = 0;

	while (isalnum((unsigned char)file[len]) || strchr("+-.", file[len])) {
		if (!file[len])
			break;
		len++;
	}
	if (file[len] == ':' && len == 4 && !memcmp(file, "file", 4)) {
		*ret = file + 5;
		return 0;
	}
	if (file[len] == ':')
		return err_set(e, -EINVAL,
			       "file=%s: protocol '%.*s' is not available (a "
			       "file of that name is './%s')",
			       file, (int)len, file, file);
	*ret = file;
	return 0;
}

static const char *file_driver(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) ? "host_device" : "file";
}

static int cache_object(const struct drive_option *d, struct json_object **ret,
			struct err *e)
{
	bool direct = d->cache == DRIVE_CACHE_NONE ||
		      d->cache == DRIVE_CACHE_DIRECTSYNC;
	bool no_flush = d->cache == DRIVE_CACHE_UNSAFE;
	AUTO_JSON struct json_object *cache = NULL;
	int r = new_object(&cache, e);

	if (!r)
		r = set_bool(cache, "direct", direct, e);
	if (!r)
		r = set_bool(cache, "no-flush", no_flush, e);
	if (!r)
		*ret = take_ptr(cache);
	return r;
}

static int file_node(const struct drive_option *d, struct json_object **ret,
		     struct err *e)
{
	AUTO_JSON struct json_object *node = NULL;
	const char *path;
	int r = drive_path(d->file, &path, e);

	if (!r)
		r = check_format(d, path, e);
	if (!r)
		r = new_object(&node, e);
	if (!r)
		r = set_string(node, "driver", file_driver(path), e);
	if (!r)
		r = set_string(node, "filename", path, e);
	if (!r)
		r = set_string(node, "aio", d->aio, e);
	if (!r)
		*ret = take_ptr(node);
	return r;
}

/* The node of the image's format; the file under it takes over read-only,
 * discard and cache. name may be NULL. */
static int format_node(const struct drive_option *d, const char *name,
		       bool is_read_only, struct json_object **ret,
		       struct err *e)
{
	AUTO_JSON struct json_object *node = NULL;
	struct json_object *child;
	int r = new_object(&node, e);

	if (!r)
		r = set_string(node, "driver", d->format ? d->format : "raw",
			       e);
	if (!r)
		r = set_string(node, "node-name", name, e);
	if (!r)
		r = set_bool(node, "read-only", is_read_only, e);
	if (!r)
		r = set_string(node, "discard", d->discard, e);
	if (!r)
		r = set_string(node, "detect-zeroes", d->detect_zeroes, e);
	if (!r)
		r = cache_object(d, &child, e);
	if (!r)
		r = json_set(node, "cache", child, e);
	if (!r)
		r = file_node(d, &child, e);
	if (!r)
		r = json_set(node, "file", child, e);
	if (!r)
		*ret = take_ptr(node);
	return r;
}

/* The node that keeps writes away from the image. */
static int overlay_node(const struct drive_option *d, const char *name,
			struct json_object **ret, struct err *e)
{
	AUTO_JSON struct json_object *node = NULL;
	struct json_object *child;
	int r = new_object(&node, e);

	if (!r)
		r = set_string(node, "driver", "overlay", e);
	if (!r)
		r = set_string(node, "node-name", name, e);
	if (!r)
		r = format_node(d, NULL, true, &child, e);
	if (!r)
		r = json_set(node, "file", child, e);
	if (!r)
		*ret = take_ptr(node);
	return r;
}

static int root_node(const struct drive_option *d, const char *name,
		     struct json_object **ret, struct err *e)
{
	bool is_read_only = d->readonly || d->read_only;

	return d->snapshot && !is_read_only
		       ? overlay_node(d, name, ret, e)
		       : format_node(d, name, is_read_only, ret, e);
}

/* Does the guest's write end on stable storage, whatever it asks for? */
static bool is_write_through(const struct drive_option *d)
{
	return d->cache == DRIVE_CACHE_WRITETHROUGH ||
	       d->cache == DRIVE_CACHE_DIRECTSYNC;
}

static int virtio_device(const struct drive_option *d, const char *name,
			 struct json_object **ret, struct err *e)
{
	AUTO_JSON struct json_object *dev = NULL;
	int r = new_object(&dev, e);

	if (!r)
		r = set_string(dev, "driver", "virtio-blk-device", e);
	if (!r)
		r = set_string(dev, "drive", name, e);
	if (!r)
		r = set_string(dev, "serial", d->serial, e);
	if (!r && is_write_through(d))
		r = set_string(dev, "write-cache", "off", e);
	if (!r)
		*ret = take_ptr(dev);
	return r;
}

static int check_drive(const struct drive_option *d, struct err *e)
{
	if (d->id && !id_is_valid(d->id))
		return err_set(e, -EINVAL,
			       "Parameter 'id' expects an identifier, not '%s'",
			       d->id);
	if (d->serial && d->iface == DRIVE_IF_NONE)
		return err_set(e, -EINVAL,
			       "serial= with if=none belongs to the -device");
	return 0;
}

static int expand(const struct drive_option *d, unsigned nth,
		  struct json_object **blockdev, struct json_object **device,
		  struct err *e)
{
	AUTO_JSON struct json_object *node = NULL;
	const char *name = d->id;
	char buf[24];
	int r;

	if (!name) {
		(void)snprintf(buf, sizeof(buf), "%s%u", if_words[d->iface],
			       d->index == DRIVE_NO_INDEX ? nth : d->index);
		name = buf;
	}
	r = root_node(d, name, &node, e);
	*device = NULL;
	if (!r && d->iface == DRIVE_IF_VIRTIO)
		r = virtio_device(d, name, device, e);
	if (!r)
		*blockdev = take_ptr(node);
	return r;
}

int drive_expand(struct json_object *drive, unsigned nth, bool is_snapshot,
		 struct json_object **blockdev, struct json_object **device,
		 struct err *e)
{
	struct drive_option d = {0};
	int r = props_init(drive_props, &d, e);

	if (!r)
		r = props_apply(drive_props, &d, drive, NULL, NULL, e);
	if (!r)
		r = check_drive(&d, e);
	d.snapshot |= is_snapshot;
	if (!r)
		r = expand(&d, nth, blockdev, device, e);
	props_fini(drive_props, &d);
	return r;
}

/* So that messages about what came of it name the -drive. */
static int add_with_where(struct json_object **array, struct json_object *conf,
			  const char *where, struct err *e)
{
	char *copy = strdup(where);

	if (!copy) {
		json_object_put(conf);
		return err_set(e, -ENOMEM, "out of memory");
	}
	json_object_set_userdata(conf, copy, json_object_free_userdata);
	return config_add(array, conf, e);
}

static bool member_is(struct json_object *obj, const char *key,
		      const char *word)
{
	const char *s = json_member_string(obj, key);

	return s && !strcmp(s, word);
}

/* cache=writethrough is the guest device's affair, wherever that comes from. */
static int pass_write_through(struct vm_config *c, struct json_object *drive,
			      struct err *e)
{
	const char *id = json_member_string(drive, "id");
	size_t n = c->devices ? json_object_array_length(c->devices) : 0;

	if (!member_is(drive, "cache", "writethrough") &&
	    !member_is(drive, "cache", "directsync"))
		return 0;
	for (size_t i = 0; id && i < n; i++) {
		struct json_object *dev =
			json_object_array_get_idx(c->devices, i);
		int r;

		if (!member_is(dev, "drive", id) ||
		    json_object_object_get(dev, "write-cache"))
			continue;
		r = set_string(dev, "write-cache", "off", e);
		if (r)
			return r;
	}
	return 0;
}

static int expand_into(struct vm_config *c, struct json_object *drive,
		       unsigned nth, struct err *e)
{
	struct json_object *node, *device;
	const char *where = config_where(drive);
	int r = drive_expand(drive, nth, c->snapshot, &node, &device, e);

	if (r)
		return err_prefix(e, "%s: ", where), r;
	r = add_with_where(&c->blockdevs, node, where, e);
	if (!r && device)
		return add_with_where(&c->devices, device, where, e);
	json_object_put(device);
	return r ? r : pass_write_through(c, drive, e);
}

int config_expand_drives(struct vm_config *c, struct err *e)
{
	size_t n = c->drives ? json_object_array_length(c->drives) : 0;
	unsigned count[2] = {0};

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(c->drives, i);
		bool is_virtio = !member_is(d, "if", "none");
		int r = expand_into(c, d, count[is_virtio]++, e);

		if (r)
			return r;
	}
	return 0;
}
