/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm/kvm: what kvm_new says where KVM cannot be had, and what kind of KVM a
 * host has. None of it needs /dev/kvm.
 */
#include "kvm/kvm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/lib/test.h"

static int open_kvm(const char *device, struct err *e)
{
	const struct kvm_config c = {.gsis = 24, .device = device};
	struct kvm *k = NULL;
	int r = kvm_new(&c, &k, e);

	kvm_free(k);
	return r;
}

static void absent_device(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(open_kvm("/nonexistent/kvm", &e), -ENOENT);
	assert_non_null(strstr(e.text, "'/nonexistent/kvm'"));
	assert_non_null(strstr(e.text, "vireo doctor"));
}

/* What is said where a file of that mode and group is the device. */
static void check_denied(mode_t mode, gid_t group, const char *remedy)
{
	char path[] = "/tmp/vireo-kvm-XXXXXX";
	int fd = mkstemp(path);
	uid_t was = geteuid();
	struct err e = {0};

	assert_true(fd >= 0);
	if (group)
		assert_int_equal(fchown(fd, 0, group), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	if (was == 0) /* root may open anything */
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(open_kvm(path, &e), -EACCES);
	assert_int_equal(seteuid(was), 0);
	unlink(path);
	assert_non_null(strstr(e.text, remedy));
}

static void denied_device(void **state)
{
	(void)state;
	check_denied(0, 0, "chmod o+rw");
	if (!geteuid())
		check_denied(0660, 36, "usermod");
}

static void not_the_device(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(open_kvm("/dev/null", &e), -ENODEV);
	assert_string_equal(e.text, "'/dev/null' is not the KVM device");
}

/* A folder as /sys/module, with one module in it. */
static enum kvm_kind kind_with(const char *module)
{
	char dir[] = "/tmp/vireo-mod-XXXXXX", path[128];
	enum kvm_kind kind;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, module);
	assert_int_equal(mkdir(path, 0700), 0);
	kind = kvm_host_kind(dir);
	rmdir(path);
	rmdir(dir);
	return kind;
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(kind_with("kvm_intel"), KVM_KIND_VMX);
	assert_int_equal(kind_with("kvm_amd"), KVM_KIND_SVM);
	assert_int_equal(kind_with("kvm_pvm"), KVM_KIND_PVM);
	assert_int_equal(kind_with("kvm"), KVM_KIND_UNKNOWN);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(absent_device),
	cmocka_unit_test(denied_device),
	cmocka_unit_test(not_the_device),
	cmocka_unit_test(kinds),
};

TEST_MAIN(tests)
