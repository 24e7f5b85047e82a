/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/drive: what a -drive comes to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/command_line.h"
#include "test/lib/test.h"
#include "vmm/config.h"
#include "vmm/config_parts.h"

static int expand(const char *text, struct json_object **node,
		  struct json_object **device, struct err *e)
{
	struct json_object *drive = NULL;
	int r = keyval_parse(text, NULL, KEYVAL_BARE_BOOL, &drive, e);

	*node = *device = NULL;
	if (!r)
		r = drive_expand(drive, 3, false, node, device, e);
	json_object_put(drive);
	return r;
}

static void expect(const char *text, const char *node_json,
		   const char *device_json)
{
	const int flags =
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	struct json_object *node, *device;
	struct err e = {0};

	if (expand(text, &node, &device, &e))
		fail_msg("%s: %s", text, e.text);
	assert_string_equal(json_object_to_json_string_ext(node, flags),
			    node_json);
	if (device_json)
		assert_string_equal(
			json_object_to_json_string_ext(device, flags),
			device_json);
	else
		assert_null(device);
	json_object_put(node);
	json_object_put(device);
}

#define CACHE(direct, no_flush)                                                \
	"\"cache\":{\"direct\":" #direct ",\"no-flush\":" #no_flush "},"

static void expands(void **state)
{
	(void)state;
	expect("file=a.img",
	       "{\"driver\":\"raw\",\"node-name\":\"virtio3\","
	       "\"read-only\":false," CACHE(
		       false, false) "\"file\":{\"driver\":\"file\","
				     "\"filename\":\"a.img\"}}",
	       "{\"driver\":\"virtio-blk-device\",\"drive\":\"virtio3\"}");
	expect("file=file:b,,c,if=none,id=d0,format=raw,readonly=on,"
	       "cache=none,aio=io_uring,discard=unmap,media=disk",
	       "{\"driver\":\"raw\",\"node-name\":\"d0\","
	       "\"read-only\":true,\"discard\":\"unmap\"," CACHE(
		       true, false) "\"file\":{\"driver\":\"file\","
				    "\"filename\":\"b,c\","
				    "\"aio\":\"io_uring\"}}",
	       NULL);
	expect("file=/x:y,index=7,cache=directsync,serial=S1,"
	       "detect-zeroes=on,snapshot=off",
	       "{\"driver\":\"raw\",\"node-name\":\"virtio7\","
	       "\"read-only\":false,\"detect-zeroes\":\"on\"," CACHE(
		       true, false) "\"file\":{\"driver\":\"file\","
				    "\"filename\":\"/x:y\"}}",
	       "{\"driver\":\"virtio-blk-device\",\"drive\":\"virtio7\","
	       "\"serial\":\"S1\",\"write-cache\":\"off\"}");
	expect("file=a,if=none,id=u,cache=unsafe,readonly,snapshot=on",
	       "{\"driver\":\"raw\",\"node-name\":\"u\","
	       "\"read-only\":true," CACHE(
		       false, true) "\"file\":{\"driver\":\"file\","
				    "\"filename\":\"a\"}}",
	       NULL);
	expect("file=a,if=none,id=s,snapshot=on",
	       "{\"driver\":\"overlay\",\"node-name\":\"s\","
	       "\"file\":{\"driver\":\"raw\",\"read-only\":true," CACHE(
		       false, false) "\"file\":{\"driver\":\"file\","
				     "\"filename\":\"a\"}}}",
	       NULL);
}

static void refuses(void **state)
{
	static const char *const cases[][2] = {
		{"if=none", "Parameter 'file' is missing"},
		{"file=a,if=ide", "Property 'if' doesn't take value 'ide' (one "
				  "of: virtio, none)"},
		{"file=a,cache=of",
		 "Property 'cache' doesn't take value 'of' (one of: "
		 "writeback, none, writethrough, directsync, unsafe)"},
		{"file=a,id=0", "Parameter 'id' expects an identifier, not "
				"'0'"},
		{"file=a,if=none,serial=x",
		 "serial= with if=none belongs to the -device"},
		{"file=nbd:x:1", "file=nbd:x:1: protocol 'nbd' is not "
				 "available (a file of that name is "
				 "'./nbd:x:1')"},
		{"file=a,redonly=on", "Property 'redonly' not found (did you "
				      "mean 'readonly'?)"},
		{"file=a,media=cdrom", "Property 'media' doesn't take value "
				       "'cdrom' (one of: disk)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_object *node, *device;
		struct err e = {0};

		assert_int_not_equal(expand(cases[i][0], &node, &device, &e),
				     0);
		assert_null(node);
		assert_null(device);
		assert_string_equal(e.text, cases[i][1]);
	}
}

static void does_not_guess_formats(void **state)
{
	char path[] = "/tmp/vireo-drive-XXXXXX", text[128], message[256];
	struct json_object *node, *device;
	int fd = mkstemp(path);
	struct err e = {0};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
	close(fd);
	(void)snprintf(text, sizeof(text), "file=%s", path);
	assert_int_equal(expand(text, &node, &device, &e), -EINVAL);
	(void)snprintf(message, sizeof(message),
		       "'%s' looks like qcow2: say format=qcow2, or "
		       "format=raw if it is what the guest should see",
		       path);
	assert_string_equal(e.text, message);
	(void)snprintf(text, sizeof(text), "file=%s,format=raw", path);
	assert_int_equal(expand(text, &node, &device, &e), 0);
	json_object_put(node);
	json_object_put(device);
	unlink(path);
}

static void passes_write_through_to_the_device(void **state)
{
	enum config_outcome outcome;
	struct vm_config c;
	struct json_object *dev;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse_line(&c,
				    "-device virtio-blk-device,drive=d0 "
				    "-device virtio-blk-device,drive=d1 -drive "
				    "file=a,if=none,id=d0,cache=writethrough",
				    &outcome, &e),
			 0);
	dev = json_object_array_get_idx(c.devices, 0);
	assert_string_equal(json_member_string(dev, "write-cache"), "off");
	dev = json_object_array_get_idx(c.devices, 1);
	assert_null(json_member_string(dev, "write-cache"));
	assert_string_equal(
		config_where(json_object_array_get_idx(c.blockdevs, 0)),
		"-drive file=a,if=none,id=d0,cache=writethrough");
	config_fini(&c);
}

static void snapshot_means_every_drive(void **state)
{
	enum config_outcome outcome;
	struct json_object *node;
	struct vm_config c;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse_line(&c, "-drive file=a -snapshot -drive file=b",
				    &outcome, &e),
			 0);
	for (size_t i = 0; i < 2; i++) {
		node = json_object_array_get_idx(c.blockdevs, i);
		assert_string_equal(json_member_string(node, "driver"),
				    "overlay");
	}
	assert_string_equal(json_member_string(node, "node-name"), "virtio1");
	config_fini(&c);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(expands),
	cmocka_unit_test(refuses),
	cmocka_unit_test(does_not_guess_formats),
	cmocka_unit_test(passes_write_through_to_the_device),
	cmocka_unit_test(snapshot_means_every_drive),
};

TEST_MAIN(tests)
