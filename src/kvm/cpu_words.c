/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feature words of CPUID: which bit of which register a name means.
 *
 * Names are QEMU's, so that -cpu lists carry over; '_' may be written for '-'.
 *
 * Spec: Intel SDM 2A, CPUID; AMD APM 3, appendix E; Linux
 *       Documentation/virt/kvm/x86/cpuid.rst.
 * Threads: any; constants.
 */
#include "kvm/cpu_words.h"

#include <string.h>

#include "base/compiler.h"

/* clang-format off */
const struct cpu_word cpu_words[CPU_WORDS] = {
[CPU_WORD_1_EDX] = {0x1, 0, false, CPU_EDX, {
	[0] = "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce",
	[8] = "cx8", "apic", NULL, "sep", "mtrr", "pge", "mca", "cmov",
	[16] = "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi", "mmx",
	[24] = "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe"}},
[CPU_WORD_1_ECX] = {0x1, 0, false, CPU_ECX, {
	[0] = "pni", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx",
	[7] = "est", "tm2", "ssse3", "cid", NULL, "fma", "cx16", "xtpr", "pdcm",
	[17] = "pcid", "dca", "sse4.1", "sse4.2", "x2apic", "movbe", "popcnt",
	[24] = "tsc-deadline", "aes", "xsave", NULL, "avx", "f16c", "rdrand",
	[31] = "hypervisor"}},
[CPU_WORD_6_EAX] = {0x6, 0, false, CPU_EAX, {[2] = "arat"}},
[CPU_WORD_7_0_EBX] = {0x7, 0, true, CPU_EBX, {
	[0] = "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2",
	[6] = "fdp-excptn-only", "smep", "bmi2", "erms", "invpcid", "rtm",
	[13] = "zero-fcs-fds", "mpx", NULL, "avx512f", "avx512dq", "rdseed",
	[19] = "adx", "smap", "avx512ifma", "pcommit", "clflushopt", "clwb",
	[25] = "intel-pt", "avx512pf", "avx512er", "avx512cd", "sha-ni",
	[30] = "avx512bw", "avx512vl"}},
[CPU_WORD_7_0_ECX] = {0x7, 0, true, CPU_ECX, {
	[1] = "avx512vbmi", "umip", "pku", NULL, "waitpkg", "avx512vbmi2",
	[7] = "shstk", "gfni", "vaes", "vpclmulqdq", "avx512vnni",
	[12] = "avx512bitalg", [14] = "avx512-vpopcntdq", [16] = "la57",
	[22] = "rdpid", [24] = "bus-lock-detect", "cldemote",
	[27] = "movdiri", "movdir64b", [30] = "sgxlc", "pks"}},
[CPU_WORD_7_0_EDX] = {0x7, 0, true, CPU_EDX, {
	[2] = "avx512-4vnniw", "avx512-4fmaps", "fsrm",
	[8] = "avx512-vp2intersect", [10] = "md-clear", [14] = "serialize",
	[16] = "tsx-ldtrk", [19] = "arch-lbr", "ibt", [22] = "amx-bf16",
	[23] = "avx512-fp16", "amx-tile", "amx-int8", "spec-ctrl", "stibp",
	[28] = "flush-l1d", "arch-capabilities", "core-capability", "ssbd"}},
[CPU_WORD_7_1_EAX] = {0x7, 1, true, CPU_EAX, {
	[0] = "sha512", "sm3", "sm4", [4] = "avx-vnni", "avx512-bf16",
	[7] = "cmpccxadd", [10] = "fzrm", "fsrs", "fsrc", [17] = "fred", "lkgs",
	[19] = "wrmsrns", [21] = "amx-fp16", [23] = "avx-ifma", [26] = "lam"}},
[CPU_WORD_7_1_EDX] = {0x7, 1, true, CPU_EDX, {
	[4] = "avx-vnni-int8", "avx-ne-convert", [8] = "amx-complex",
	[10] = "avx-vnni-int16", [14] = "prefetchiti", [19] = "avx10"}},
[CPU_WORD_7_2_EDX] = {0x7, 2, true, CPU_EDX, {
	[0] = "intel-psfd", "ipred-ctrl", "rrsba-ctrl", "ddpd-u", "bhi-ctrl",
	[5] = "mcdt-no"}},
[CPU_WORD_D_1_EAX] = {0xd, 1, true, CPU_EAX, {
	[0] = "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd"}},
[CPU_WORD_KVM_EAX] = {0x40000001, 0, false, CPU_EAX, {
	[0] = "kvmclock", "kvm-nopiodelay", "kvm-mmu", "kvmclock",
	[4] = "kvm-asyncpf", "kvm-steal-time", "kvm-pv-eoi", "kvm-pv-unhalt",
	[9] = "kvm-pv-tlb-flush", "kvm-asyncpf-vmexit", "kvm-pv-ipi",
	[12] = "kvm-poll-control", "kvm-pv-sched-yield", "kvm-asyncpf-int",
	[15] = "kvm-msi-ext-dest-id", [24] = "kvmclock-stable-bit"}},
[CPU_WORD_KVM_EDX] = {0x40000001, 0, false, CPU_EDX, {
	[0] = "kvm-hint-dedicated"}},
[CPU_WORD_EXT1_EDX] = {0x80000001, 0, false, CPU_EDX, {
	[11] = "syscall", [19] = "mp", "nx", [22] = "mmxext", [25] = "fxsr-opt",
	[26] = "pdpe1gb", "rdtscp", [29] = "lm", "3dnowext", "3dnow"}},
[CPU_WORD_EXT1_ECX] = {0x80000001, 0, false, CPU_ECX, {
	[0] = "lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm",
	[6] = "sse4a", "misalignsse", "3dnowprefetch", "osvw", "ibs", "xop",
	[12] = "skinit", "wdt", NULL, "lwp", "fma4", "tce", NULL, "nodeid-msr",
	[21] = "tbm", "topoext", "perfctr-core", "perfctr-nb"}},
[CPU_WORD_EXT7_EDX] = {0x80000007, 0, false, CPU_EDX, {[8] = "invtsc"}},
[CPU_WORD_EXT8_EBX] = {0x80000008, 0, false, CPU_EBX, {
	[0] = "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb",
	[14] = "ibrs", "amd-stibp", [17] = "stibp-always-on",
	[24] = "amd-ssbd", "virt-ssbd", "amd-no-ssb", [28] = "amd-psfd"}},
[CPU_WORD_EXTA_EDX] = {0x8000000a, 0, false, CPU_EDX, {
	[0] = "npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean",
	[6] = "flushbyasid", "decodeassists", [10] = "pause-filter",
	[12] = "pfthreshold", "avic", [15] = "v-vmsave-vmload", "vgif",
	[25] = "vnmi", [28] = "svme-addr-chk"}},
[CPU_WORD_EXT21_EAX] = {0x80000021, 0, false, CPU_EAX, {
	[0] = "no-nested-data-bp", [2] = "lfence-always-serializing",
	[6] = "null-sel-clr-base", [8] = "auto-ibrs"}},
};

/* Second names. */
static const char *const aliases[][2] = {
	{"sse3", "pni"},        {"sse4-1", "sse4.1"},  {"sse4-2", "sse4.2"},
	{"xd", "nx"},           {"i64", "lm"},         {"ffxsr", "fxsr-opt"},
	{"lzcnt", "abm"},       {"avx512-vbmi", "avx512vbmi"},
	{"avx512-vbmi2", "avx512vbmi2"},
	{"avx512-vnni", "avx512vnni"},
	{"avx512-bitalg", "avx512bitalg"},
};
/* clang-format on */

/* Are the words the same, '_' being '-'? */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	}
	return *a == *b;
}

bool cpu_feature_add(const char *name, struct cpu_features *f)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (same_name(name, aliases[i][0]))
			name = aliases[i][1];
	}
	for (unsigned i = 0; i < 32 * CPU_WORDS; i++) {
		const char *known = cpu_words[i / 32].names[i % 32];

		if (!known || !same_name(name, known))
			continue;
		f->word[i / 32] |= 1U << i % 32;
		found = true;
	}
	return found;
}

const char *cpu_feature_at(const void *opaque, size_t i)
{
	(void)opaque;
	for (size_t n = 0; n < 32 * CPU_WORDS; n++) {
		const char *name = cpu_words[n / 32].names[n % 32];

		if (name && i-- == 0)
			return name;
	}
	return NULL;
}

bool cpu_feature_has(const struct cpu_features *f, const char *name)
{
	struct cpu_features one = {{0}};

	(void)cpu_feature_add(name, &one);
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		if (f->word[i] & one.word[i])
			return true;
	}
	return false;
}
