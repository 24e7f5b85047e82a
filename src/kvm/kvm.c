/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens KVM, makes the virtual machine, its memory slots and its interrupt
 * controllers.
 *
 * Theory of operation. The order of calls matters to how soon the guest runs:
 * while the VM has no in-kernel LAPIC, a memory slot costs microseconds; after
 * it, and above all with the in-kernel PIT, each change waits for a grace
 * period of the host's RCU. So: VM, slots, irqchip, vCPUs. The split irqchip
 * (LAPICs in the kernel, IOAPIC here) is the default: guests that use MSI or
 * edge-triggered lines never leave the kernel for it, and the kernel makes no
 * PIC, PIT and IOAPIC that a microVM does not have.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, sections 4.1 to 4.5, 4.24, 4.35,
 *       4.71, 7.5, 7.7.
 * Threads: main; kvm_peek any.
 * Syscalls: main: close; all: ioctl; set-up: openat, access
 */
#include "kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/num.h"
#include "kvm/internal.h"

#define KVM_DEVICE "/dev/kvm"
#define KVM_PAGE   4096ULL

int kvm_vm_ioctl(const struct kvm *k, unsigned long request, const void *arg)
{
	int r;

	do
		r = ioctl(k->vm_fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int kvm_check_cap(const struct kvm *k, int cap)
{
	int r = ioctl(k->vm_fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

static bool kvm_has_module(const char *sys_module, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", sys_module, name);
	return access(path, F_OK) == 0;
}

enum kvm_kind kvm_host_kind(const char *sys_module)
{
	const char *dir = sys_module ? sys_module : "/sys/module";

	if (kvm_has_module(dir, "kvm_pvm"))
		return KVM_KIND_PVM;
	if (kvm_has_module(dir, "kvm_intel"))
		return KVM_KIND_VMX;
	if (kvm_has_module(dir, "kvm_amd"))
		return KVM_KIND_SVM;
	return KVM_KIND_UNKNOWN;
}

static int kvm_open_denied(const char *path, struct err *e)
{
	struct stat st;

	if (!stat(path, &st) && st.st_gid && (st.st_mode & 060) == 060)
		return err_append(e, " (add yourself to its group: 'sudo "
				     "usermod -aG kvm $USER' and log in "
				     "again)");
	return err_append(e, " ('sudo chmod o+rw %s' gives everybody access)",
			  path);
}

static int kvm_open_failed(const char *path, int code, struct err *e)
{
	err_set_errno(e, code, "cannot open '%s'", path);
	switch (-code) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return err_append(e, " (load kvm_intel or kvm_amd; switch on "
				     "virtualisation in the firmware, or "
				     "nested virtualisation where this is a "
				     "virtual machine; see 'vireo doctor')");
	case EACCES:
		return kvm_open_denied(path, e);
	case EPERM:
		return err_append(e, " (a container has to be given the "
				     "device)");
	default:
		return code;
	}
}

static int kvm_open(struct kvm *k, struct err *e)
{
	const char *path = k->config.device;
	int version;

	k->dev_fd = open(path, O_RDWR | O_CLOEXEC);
	if (k->dev_fd < 0)
		return kvm_open_failed(path, -errno, e);
	version = ioctl(k->dev_fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return err_set(e, -ENODEV, "'%s' is not the KVM device", path);
	if (version != KVM_API_VERSION)
		return err_set(e, -ENOTSUP,
			       "'%s' speaks KVM API version %d, vireo needs %d",
			       path, version, KVM_API_VERSION);
	return 0;
}

static int kvm_create_vm(struct kvm *k, struct err *e)
{
	int r;

	do
		k->vm_fd = ioctl(k->dev_fd, KVM_CREATE_VM, 0);
	while (k->vm_fd < 0 && errno == EINTR);
	if (k->vm_fd >= 0)
		return 0;
	r = err_set_errno(e, -errno, "KVM cannot make a virtual machine");
	if (r == -EBUSY)
		err_append(e, " (another hypervisor, such as VirtualBox, holds "
			      "the processor's virtualisation: stop it)");
	if (r == -EMFILE || r == -ENFILE)
		err_append(e, " (raise the limit of open files: ulimit -n)");
	return r;
}

struct kvm_need {
	int cap;
	const char *name;
};

/* What no supported kernel lacks, but a stripped or foreign one might. */
static const struct kvm_need kvm_needs[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
};

static int kvm_check_needs(struct kvm *k, struct err *e)
{
	int size;

	for (size_t i = 0; i < ARRAY_SIZE(kvm_needs); i++) {
		if (!kvm_check_cap(k, kvm_needs[i].cap))
			return err_set(e, -ENOTSUP,
				       "this host's KVM lacks %s: a Linux "
				       "kernel of version 4.12 or later is "
				       "needed",
				       kvm_needs[i].name);
	}
	size = ioctl(k->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_set(e, -ENOTSUP,
			       "KVM maps %d bytes per vCPU, fewer than %zu",
			       size, sizeof(struct kvm_run));
	k->run_size = (size_t)size;
	k->has_any_length = kvm_check_cap(k, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	return 0;
}

static int kvm_init(struct kvm *k, struct err *e)
{
	int r = kvm_open(k, e);

	if (!r)
		r = kvm_create_vm(k, e);
	if (!r)
		r = kvm_check_needs(k, e);
	if (!r)
		r = kvm_irqs_init(k, e);
	return r;
}

int kvm_new(const struct kvm_config *c, struct kvm **ret, struct err *e)
{
	struct kvm *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return err_set(e, -ENOMEM, "no memory for the VM");
	k->dev_fd = k->vm_fd = -1;
	k->config = *c;
	if (!k->config.device)
		k->config.device = KVM_DEVICE;
	k->kind = kvm_host_kind(NULL);
	pthread_mutex_init(&k->slots_lock, NULL);
	r = kvm_init(k, e);
	if (r) {
		kvm_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void kvm_free(struct kvm *k)
{
	if (!k)
		return;
	kvm_irqs_fini(k);
	if (k->vm_fd >= 0)
		close(k->vm_fd);
	if (k->dev_fd >= 0)
		close(k->dev_fd);
	pthread_mutex_destroy(&k->slots_lock);
	free(k);
}

/* Under slots_lock: the slot that holds gpa, or overlaps the range. */
static struct kvm_slot *kvm_find_slot(struct kvm *k, gpa_t base, uint64_t len)
{
	for (unsigned i = 0; i < KVM_SLOTS_MAX; i++) {
		struct kvm_slot *s = &k->slots[i];

		if (ranges_overlap(s->base, s->len, base, len))
			return s;
	}
	return NULL;
}

static struct kvm_slot *kvm_free_slot(struct kvm *k)
{
	for (unsigned i = 0; i < KVM_SLOTS_MAX; i++) {
		if (!k->slots[i].len)
			return &k->slots[i];
	}
	return NULL;
}

static int kvm_set_slot(struct kvm *k, const struct kvm_slot *at,
			const struct kvm_slot *s)
{
	struct kvm_userspace_memory_region r = {
		.slot = (uint32_t)(at - k->slots),
		.flags = s->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = s->base,
		.memory_size = s->len,
		.userspace_addr = (uintptr_t)s->host,
	};

	return kvm_vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, &r);
}

static int kvm_check_memory(const struct kvm_slot *s, struct err *e)
{
	uint64_t end;

	if (!s->len || (s->base | s->len | (uintptr_t)s->host) % KVM_PAGE ||
	    !add_ok(s->base, s->len, &end))
		return err_set(e, -EINVAL,
			       "memory of 0x%" PRIx64 " bytes at 0x%" PRIx64
			       " is not whole pages",
			       s->len, s->base);
	if (ranges_overlap(s->base, s->len, KVM_HOLE_BASE, KVM_HOLE_LEN))
		return err_set(e, -EEXIST,
			       "memory at 0x%" PRIx64 " covers the pages at "
			       "0x%llx that KVM needs",
			       s->base, KVM_HOLE_BASE);
	return 0;
}

/* Under slots_lock. */
static int kvm_enter_slot(struct kvm *k, const struct kvm_slot *s,
			  struct err *e)
{
	const struct kvm_slot *other = kvm_find_slot(k, s->base, s->len);
	struct kvm_slot *at = kvm_free_slot(k);
	int r;

	if (other)
		return err_set(e, -EEXIST,
			       "memory at 0x%" PRIx64 " overlaps that at "
			       "0x%" PRIx64,
			       s->base, other->base);
	if (!at)
		return err_set(e, -ENOSPC, "all %d memory slots are used",
			       KVM_SLOTS_MAX);
	r = kvm_set_slot(k, at, s);
	if (r)
		return err_set_errno(e, r,
				     "KVM refuses 0x%" PRIx64
				     " bytes of memory at 0x%" PRIx64,
				     s->len, s->base);
	*at = *s;
	return 0;
}

int kvm_add_memory(struct kvm *k, gpa_t base, uint64_t len, void *host,
		   bool read_only, struct err *e)
{
	struct kvm_slot s = {base, len, host, read_only};
	int r = kvm_check_memory(&s, e);

	if (r)
		return r;
	pthread_mutex_lock(&k->slots_lock);
	r = kvm_enter_slot(k, &s, e);
	pthread_mutex_unlock(&k->slots_lock);
	return r;
}

int kvm_del_memory(struct kvm *k, gpa_t base, struct err *e)
{
	struct kvm_slot *s, none;
	int r = -ENOENT;

	pthread_mutex_lock(&k->slots_lock);
	s = kvm_find_slot(k, base, 1);
	if (s && s->base == base) {
		none = *s;
		none.len = 0;
		r = kvm_set_slot(k, s, &none);
		if (!r)
			*s = (struct kvm_slot){0};
	}
	pthread_mutex_unlock(&k->slots_lock);
	if (r)
		err_set_errno(e, r, "cannot take out memory at 0x%" PRIx64,
			      base);
	return r;
}

size_t kvm_peek(struct kvm *k, gpa_t gpa, void *buf, size_t len)
{
	const struct kvm_slot *s;
	size_t n = 0;

	pthread_mutex_lock(&k->slots_lock);
	s = kvm_find_slot(k, gpa, 1);
	if (s) {
		n = (size_t)MIN((uint64_t)len, s->base + s->len - gpa);
		memcpy(buf, s->host + (gpa - s->base), n);
	}
	pthread_mutex_unlock(&k->slots_lock);
	return n;
}

/* Intel hosts run real mode with a TSS, and an identity map, of their own. */
static int kvm_set_hole(struct kvm *k, struct err *e)
{
	uint64_t map = KVM_HOLE_BASE;
	int r = kvm_vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &map);

	if (!r && ioctl(k->vm_fd, KVM_SET_TSS_ADDR, map + KVM_PAGE) < 0)
		r = -errno;
	if (r)
		return err_set_errno(e, r, "KVM refuses its pages at 0x%llx",
				     KVM_HOLE_BASE);
	return 0;
}

static int kvm_enable_cap(struct kvm *k, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	return kvm_vm_ioctl(k, KVM_ENABLE_CAP, &c);
}

static int kvm_start_split(struct kvm *k, struct err *e)
{
	int r;

	if (!kvm_check_cap(k, KVM_CAP_SPLIT_IRQCHIP))
		return err_set(e, -ENOTSUP,
			       "this host's KVM has no split irqchip: use "
			       "kernel-irqchip=on");
	r = kvm_enable_cap(k, KVM_CAP_SPLIT_IRQCHIP, k->config.gsis);
	if (r)
		return err_set_errno(
			e, r, "KVM refuses a split irqchip with %u lines",
			k->config.gsis);
	return 0;
}

static int kvm_start_full(struct kvm *k, struct err *e)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int r = kvm_vm_ioctl(k, KVM_CREATE_IRQCHIP, NULL);

	if (r)
		return err_set_errno(e, r, "KVM cannot make its irqchip");
	r = kvm_irqs_add_chip(k, e);
	if (r || !k->config.pit)
		return r;
	r = kvm_vm_ioctl(k, KVM_CREATE_PIT2, &pit);
	return r ? err_set_errno(e, r, "KVM cannot make its PIT") : 0;
}

int kvm_start_irqchip(struct kvm *k, struct err *e)
{
	int r = kvm_set_hole(k, e);

	if (r || k->config.irqchip == KVM_IRQCHIP_NONE)
		return r;
	if (k->config.irqchip == KVM_IRQCHIP_FULL)
		r = kvm_start_full(k, e);
	else
		r = kvm_start_split(k, e);
	if (r)
		return r;
	/* APIC ids past 255; harmless to a guest without x2APIC. */
	if (kvm_enable_cap(k, KVM_CAP_X2APIC_API,
			   KVM_X2APIC_API_USE_32BIT_IDS |
				   KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		log_on(LOG_KVM, "no 32-bit APIC ids: at most 255 vCPUs");
	return 0;
}

unsigned kvm_max_vcpus(const struct kvm *k)
{
	int max = kvm_check_cap(k, KVM_CAP_MAX_VCPUS);

	if (max <= 0)
		max = kvm_check_cap(k, KVM_CAP_NR_VCPUS);
	return max > 0 ? (unsigned)max : 4; /* api.rst, 4.7 */
}

bool kvm_has_cap(const struct kvm *k, int cap)
{
	return kvm_check_cap(k, cap) > 0;
}

uint64_t kvm_tsc_hz(const struct kvm *k)
{
	int khz = ioctl(k->vm_fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint64_t)khz * 1000 : 0;
}
