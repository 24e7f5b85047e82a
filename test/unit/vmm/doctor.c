/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/doctor: on whatever host this is, each facility gets one well-formed
 * line, and the exit status says what the kernels line says.
 */
#include "vmm/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/kvm.h"
#include "kvm/probe.h"
#include "test/lib/test.h"

static const char *const facilities[] = {
	"kvm",    "kernels",  "io_uring", "tap",
	"userns", "landlock", "seccomp",  "hugepages",
};

#define FACILITIES (sizeof(facilities) / sizeof(facilities[0]))

static char *run_doctor(int *status)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	*status = doctor_run(f);
	fclose(f);
	return text;
}

static void one_line_each(void **state)
{
	char *save = NULL, *line, *text;
	bool bootable = false;
	size_t n = 0;
	int status;

	(void)state;
	text = run_doctor(&status);
	print_message("%s", text);
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[32], word[32];
		int end = 0;

		assert_true(n < FACILITIES);
		assert_int_equal(sscanf(line, "%31s %31s %n", name, word, &end),
				 2);
		assert_string_equal(name, facilities[n]);
		assert_true(!strcmp(word, "ok") || !strcmp(word, "limited") ||
			    !strcmp(word, "missing") ||
			    !strcmp(word, "unknown"));
		assert_true(strlen(line + end) > 2);
		if (!strcmp(name, "kernels"))
			bootable = word[0] == 'o' || word[0] == 'l';
		n++;
	}
	assert_int_equal(n, FACILITIES);
	assert_int_equal(status, bootable ? 0 : 1);
	free(text);
}

static bool has_kvm(void)
{
	const struct kvm_config c = {.irqchip = KVM_IRQCHIP_NONE};
	struct kvm *k = NULL;
	struct err e = {0};
	bool found = !kvm_new(&c, &k, &e);

	kvm_free(k);
	return found;
}

/* Hardware runs every probe; where it does not, this is news. */
static void hardware_boots_kernels(void **state)
{
	enum kvm_kind kind = kvm_host_kind(NULL);
	struct kvm_probe_report r;
	struct err e = {0};

	(void)state;
	if (kvm_probe_run(&r, &e)) {
		if (has_kvm())
			fail_msg("%s", e.text);
		assert_true(strlen(e.text) > 0);
		return;
	}
	if (kind != KVM_KIND_VMX && kind != KVM_KIND_SVM)
		return;
	for (size_t i = 0; kvm_probes[i].name; i++) {
		if (r.results[i] != KVM_PROBE_OK)
			fail_msg("%s: %d", kvm_probes[i].name,
				 (int)r.results[i]);
	}
	assert_int_equal(r.failures, 0);
	assert_true(r.instructions_per_s > 0);
}

/* Linux is refused where, and only where, the probes say so. */
static void refuses_linux_where_it_fails(void **state)
{
	enum kvm_kind kind = kvm_host_kind(NULL);
	struct kvm_probe_report r;
	struct err e = {0};
	int rc = doctor_check_linux(&e);

	(void)state;
	if (kind != KVM_KIND_PVM || kvm_probe_run(&r, NULL) || !r.failures) {
		assert_int_equal(rc, 0);
		return;
	}
	assert_int_equal(rc, -ENOTSUP);
	for (size_t i = 0; kvm_probes[i].name; i++)
		if (r.results[i] != KVM_PROBE_OK)
			assert_non_null(strstr(e.text, kvm_probes[i].name));
	assert_non_null(strstr(r.report, "bytes at rip: "));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_line_each),
	cmocka_unit_test(hardware_boots_kernels),
	cmocka_unit_test(refuses_linux_where_it_fails),
};

TEST_MAIN(tests)
