/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the VM of a payload and watches over its run.
 */
#include "test/lib/payload.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/endian.h"
#include "test/lib/test.h"

/* The lab's processor is slow, and shared. */
#define PAYLOAD_SECONDS 600 /* end a hang */

#define PML4      0x1000UL
#define PDPT      0x2000UL
#define PD        0x3000UL /* four of them */
#define GDT       0x7000UL
#define PAGE_LINK 0x7UL /* present, writable, user */
#define PAGE_2MIB 0x87UL

#define CR0_64  0x80000033UL /* PG, NE, ET, MP, PE */
#define CR4_64  0x620UL      /* PAE, OSFXSR, OSXMMEXCPT */
#define EFER_64 0x500UL      /* LME, LMA */

void payload_need_kvm(void)
{
	const struct kvm_config c = {.irqchip = KVM_IRQCHIP_NONE};
	struct kvm *k = NULL;
	struct err e = {0};

	if (kvm_new(&c, &k, &e)) {
		printf("1..0 # SKIP %s\n", e.text);
		exit(77);
	}
	kvm_free(k);
}

static void payload_finish(struct payload *p, const struct payload_end *end)
{
	pthread_mutex_lock(&p->lock);
	if (!p->end.has_code && !p->end.has_event)
		p->end = *end;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
}

static uint64_t payload_read(void *opaque, unsigned index, bool is_port,
			     uint64_t addr, unsigned size)
{
	struct payload *p = opaque;

	(void)index;
	if (!p->config.read)
		return ~0ULL;
	return p->config.read(p->config.opaque, is_port, addr, size);
}

static void payload_write(void *opaque, unsigned index, bool is_port,
			  uint64_t addr, unsigned size, uint64_t value)
{
	struct payload *p = opaque;
	struct payload_end end = {.has_code = true, .code = (uint32_t)value};

	if (is_port && addr == PAYLOAD_EXIT_PORT) {
		vcpu_pause(p->cpus[index]);
		payload_finish(p, &end);
	} else if (p->config.write) {
		p->config.write(p->config.opaque, is_port, addr, size, value);
	}
}

static void payload_eoi(void *opaque, unsigned vector)
{
	struct payload *p = opaque;

	if (p->config.eoi)
		p->config.eoi(p->config.opaque, vector);
}

static void payload_event(void *opaque, unsigned index, enum vcpu_event ev,
			  const char *text)
{
	struct payload_end end = {.has_event = true, .event = ev};

	(void)index;
	if (text)
		(void)snprintf(end.report, sizeof(end.report), "%s", text);
	payload_finish(opaque, &end);
}

static void payload_must(int r, const struct err *e)
{
	if (r)
		fail_msg("%s", e->text);
}

static void payload_new_cpus(struct payload *p)
{
	struct err e = {0};

	for (unsigned i = 0; i < p->config.cpus; i++)
		payload_must(
			vcpu_new(p->kvm, p->model, i, &p->ops, &p->cpus[i], &e),
			&e);
}

struct payload *payload_new(const struct payload_config *c)
{
	struct payload *p = calloc(1, sizeof(*p));
	const struct kvm_config kc = {.irqchip = c->irqchip, .gsis = 24};
	struct cpu_config cc = {.sockets = 1, .dies = 1, .threads = 1};
	struct err e = {0};

	assert_non_null(p);
	p->config = *c;
	p->config.cpus = c->cpus ? c->cpus : 1;
	cc.cpus = cc.cores = p->config.cpus;
	p->ops = (struct vcpu_ops){
		.read = payload_read,
		.write = payload_write,
		.eoi = payload_eoi,
		.event = payload_event,
		.opaque = p,
	};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ended, NULL);
	p->ram = mmap(NULL, PAYLOAD_RAM, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p->ram, MAP_FAILED);
	payload_must(kvm_new(&kc, &p->kvm, &e), &e);
	payload_must(kvm_add_memory(p->kvm, 0, PAYLOAD_RAM, p->ram, false, &e),
		     &e);
	payload_must(kvm_start_irqchip(p->kvm, &e), &e);
	cc.cpu = c->cpu;
	if (c->cpu)
		payload_must(cpu_model_new(p->kvm, &cc, &p->model, &e), &e);
	payload_new_cpus(p);
	return p;
}

void payload_free(struct payload *p)
{
	for (unsigned i = 0; i < p->config.cpus; i++)
		vcpu_free(p->cpus[i]);
	cpu_model_free(p->model);
	kvm_free(p->kvm);
	munmap(p->ram, PAYLOAD_RAM);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Tests are in BUILD/test/…/x. */
void build_path(const char *name, char *buf, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", buf, len - 1);
	char *end;

	assert_true(n > 0);
	buf[n] = 0;
	end = strstr(buf, "/test/");
	assert_non_null(end);
	len -= (size_t)(end - buf);
	assert_true((size_t)snprintf(end, len, "/%s", name) < len);
}

static int payload_open(const char *name)
{
	char file[64], path[PATH_MAX];

	(void)snprintf(file, sizeof(file), "test/guest/%s", name);
	build_path(file, path, sizeof(path));
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void payload_read_at(int fd, void *buf, size_t len, uint64_t off)
{
	assert_int_equal(pread(fd, buf, len, (off_t)off), len);
}

static void payload_load_elf(struct payload *p)
{
	AUTO_FD int fd = payload_open(p->config.name);
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (fd < 0)
		fail_msg("cannot open payload '%s': %s", p->config.name,
			 strerror(errno));
	payload_read_at(fd, &eh, sizeof(eh), 0);
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		payload_read_at(fd, &ph, sizeof(ph),
				eh.e_phoff + i * sizeof(ph));
		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		assert_true(ph.p_paddr >= PAYLOAD_BASE);
		assert_true(ph.p_paddr + ph.p_memsz < PAYLOAD_RAM / 2);
		memset(p->ram + ph.p_paddr, 0, ph.p_memsz);
		payload_read_at(fd, p->ram + ph.p_paddr, ph.p_filesz,
				ph.p_offset);
	}
	p->entry = eh.e_entry;
}

static void payload_map(struct payload *p)
{
	store_le64(p->ram + PML4, PDPT | PAGE_LINK);
	for (uint64_t i = 0; i < 4; i++)
		store_le64(p->ram + PDPT + 8 * i,
			   (PD + 0x1000 * i) | PAGE_LINK);
	for (uint64_t i = 0; i < 4 * 512; i++)
		store_le64(p->ram + PD + 8 * i, i * 0x200000 | PAGE_2MIB);
}

/* Code and data, for ring 0 at 0x8 and 0x10, for ring 3 at 0x18 and 0x20. */
static void payload_segments(struct payload *p)
{
	static const uint64_t gdt[] = {0, 0x00af9b000000ffff,
				       0x00cf93000000ffff, 0x00affb000000ffff,
				       0x00cff3000000ffff};

	memcpy(p->ram + GDT, gdt, sizeof(gdt));
}

void payload_load(struct payload *p)
{
	bool ring0 = p->config.ring0;
	struct vcpu_boot b = {
		.rsp = PAYLOAD_RAM - 64,
		.rsi = p->config.arg,
		.cr0 = CR0_64,
		.cr3 = PML4,
		.cr4 = CR4_64,
		.efer = EFER_64,
		.gdt = GDT,
		.gdt_limit = 5 * 8 - 1,
		.cs = ring0 ? 0x8 : 0x18,
		.ds = ring0 ? 0x10 : 0x20,
		.long_mode = true,
		.cpl = ring0 ? 0 : 3,
	};
	struct err e = {0};

	payload_load_elf(p);
	payload_map(p);
	payload_segments(p);
	b.rip = p->entry;
	memset(&p->end, 0, sizeof(p->end));
	payload_must(vcpu_set_boot(p->cpus[0], &b, &e), &e);
}

void payload_start(struct payload *p)
{
	struct err e = {0};

	for (unsigned i = 0; i < p->config.cpus; i++) {
		int r = vcpu_start(p->cpus[i], &e);

		if (r != -EBUSY)
			payload_must(r, &e);
	}
	for (unsigned i = 0; i < p->config.cpus; i++)
		vcpu_resume(p->cpus[i]);
}

void payload_wait(struct payload *p, struct payload_end *ret)
{
	struct timespec deadline;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PAYLOAD_SECONDS;
	pthread_mutex_lock(&p->lock);
	while (!p->end.has_code && !p->end.has_event && !r)
		r = pthread_cond_timedwait(&p->ended, &p->lock, &deadline);
	*ret = p->end;
	pthread_mutex_unlock(&p->lock);
	if (r)
		fail_msg("payload '%s' does not end", p->config.name);
	for (unsigned i = 0; i < p->config.cpus; i++) {
		vcpu_pause(p->cpus[i]);
		vcpu_wait_paused(p->cpus[i]);
	}
}

void payload_pass(struct payload *p)
{
	struct payload_end end;

	payload_load(p);
	payload_start(p);
	payload_wait(p, &end);
	if (end.has_event)
		fail_msg("payload '%s' stopped: event %d %s", p->config.name,
			 (int)end.event, end.report);
	if (end.code)
		fail_msg("payload '%s' failed in line %u", p->config.name,
			 end.code);
}

_Atomic uint64_t *payload_mailbox(struct payload *p, unsigned i)
{
	return (_Atomic uint64_t *)(void *)(p->ram + PAYLOAD_MAILBOX) + i;
}
