/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a kernel: finds out what it is, chooses places for it and its initrd,
 * and has the parts written, or mapped from the image that an earlier start
 * has left.
 *
 * Three kinds. A bzImage whose payload vireo unpacks is entered at the 64-bit
 * entry of the kernel proper; a bzImage of another format at that of its own
 * decompressor (32-bit where it has no other). An ELF kernel is entered by the
 * 64-bit boot protocol if it is Linux, or has no PVH note; else by PVH.
 *
 * Spec: Linux Documentation/x86/boot.rst, protocols 2.10 to 2.15.
 * Threads: main.
 * Syscalls: main: madvise; set-up: mincore
 */
#include "vmm/loader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/bootmem.h"
#include "vmm/bootparams.h"
#include "vmm/bzimage.h"
#include "vmm/decompress.h"
#include "vmm/elf.h"
#include "vmm/entry.h"
#include "vmm/filemap.h"
#include "vmm/image_cache.h"
#include "vmm/kaslr.h"
#include "vmm/pvh.h"
#include "vmm/vmlinux.h"

#define LOADER_FLOOR      MIB /* below are tables, ROMs, boot data */
#define LOADER_PAGE       4096U
#define LOADER_ALIGN_MIN  (2 * MIB) /* x86-64 maps itself in such pages */
#define LOADER_DRAWS      4   /* random places tried before the preferred one */
#define LOADER_CODE32     MIB /* of a kernel that cannot be relocated */
#define LOADER_ENTRY64    0x200 /* from the start of the packed kernel */
#define LOADER_CMDLINE    2047U /* of an ELF kernel, which does not say */
#define LOADER_INITRD_MAX 0x7fffffffULL /* ditto */

enum loader_kind {
	LOADER_UNPACKED, /* bzImage, unpacked by us */
	LOADER_PACKED,   /* bzImage, unpacks itself */
	LOADER_ELF,
};

struct loader {
	const struct gmem *gm;
	const struct boot_config *c;
	struct boot_file kernel, initrd;
	enum loader_kind kind;
	struct bzimage bz;    /* LOADER_UNPACKED, LOADER_PACKED */
	struct vmlinux vm;    /* LOADER_UNPACKED */
	struct elf_image elf; /* LOADER_ELF */
	struct elf_notes notes;
	const struct image *image; /* of either of the two; NULL: none */
	/* Places. */
	struct bootmem ram;
	struct kaslr_rng rng;
	bool kaslr; /* random addresses by vireo */
	struct vmlinux_plan plan;
	struct bootmem_shape shape; /* what loading writes */
	uint64_t length;            /* of the kernel once it is loaded */
	gpa_t preferred, origin;
	bool movable;
	struct boot_initrd at;     /* the initrd */
	uint8_t buf[BZIMAGE_HEAD]; /* the kernel file's start; its notes */
};

static_assert(BZIMAGE_HEAD == ELF_HEAD, "one buffer for both");

/* Of what other kind is it, if that can be told? */
static const char *loader_foreign(const uint8_t *head, size_t len)
{
	static const struct {
		unsigned off;
		const char *magic, *what;
	} kinds[] = {
		{56, "ARM\x64", "a kernel for arm64"},
		{56, "RSC\x05", "a kernel for RISC-V"},
		{0x24, "\x18\x28\x6f\x01", "a kernel for 32-bit ARM"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (range_ok(kinds[i].off, 4, len) &&
		    !memcmp(head + kinds[i].off, kinds[i].magic, 4))
			return kinds[i].what;
	return NULL;
}

static int loader_not_kernel(const uint8_t *head, size_t len, struct err *e)
{
	const char *what = loader_foreign(head, len);

	if (what)
		return err_set(e, -ENOEXEC, "%s; vireo runs x86-64 ones", what);
	if (codec_detect(head, len) != CODEC_NONE)
		return err_set(e, -EINVAL,
			       "not a bzImage or ELF kernel: a %s file, unpack "
			       "it first",
			       codec_name(codec_detect(head, len)));
	return err_set(e, -EINVAL,
		       "not a bzImage or ELF kernel: neither header is in its "
		       "first %zu bytes",
		       len);
}

static bool loader_find_image(struct loader *l)
{
	if (l->c->images)
		l->image =
			image_cache_find(l->c->images, &l->kernel, l->c->fresh);
	return l->image;
}

static int loader_open_bzimage(struct loader *l, size_t len, struct err *e)
{
	struct err why = {0};
	int rc = bzimage_parse(l->buf, len, l->kernel.size, &l->bz, e);

	if (rc)
		return err_prefix(e, "not a usable bzImage: ");
	l->kind = LOADER_PACKED;
	if (!(l->bz.xloadflags & XLF_KERNEL_64))
		return 0;
	if (loader_find_image(l)) {
		l->kind = LOADER_UNPACKED;
		l->vm.elf = l->image->info.elf;
		l->vm.unpacked = l->image->info.unpacked;
		l->vm.has_table = l->image->info.table_len;
		return 0;
	}
	rc = vmlinux_open(&l->vm, &l->kernel, &l->bz, &why);
	if (rc == -ENOTSUP) {
		log_on(LOG_BOOT, "the kernel unpacks itself: %s", why.text);
		return 0;
	}
	if (rc)
		return err_set(e, rc, "%s", why.text);
	l->kind = LOADER_UNPACKED;
	return 0;
}

static int loader_read_notes(struct loader *l, struct err *e)
{
	for (unsigned i = 0; i < l->elf.note_count; i++) {
		size_t len = MIN(l->elf.notes[i].len, sizeof(l->buf));
		int rc = boot_file_read(&l->kernel, l->elf.notes[i].off, l->buf,
					len, e);

		if (rc)
			return rc;
		elf_notes_parse(l->buf, len, &l->notes);
	}
	return 0;
}

static bool loader_is_pvh(const struct loader *l)
{
	return l->kind == LOADER_ELF && l->notes.has_pvh && !l->notes.is_linux;
}

static int loader_open_elf(struct loader *l, size_t len, struct err *e)
{
	int rc;

	l->kind = LOADER_ELF;
	if (loader_find_image(l)) {
		l->elf = l->image->info.elf;
		l->notes = l->image->info.notes;
		return 0;
	}
	rc = elf_parse(l->buf, len, l->kernel.size, &l->elf, e);
	if (rc)
		return err_prefix(e, "not a usable ELF kernel: ");
	rc = loader_read_notes(l, e);
	if (rc)
		return rc;
	if (loader_is_pvh(l) && !elf_has_address(&l->elf, l->notes.pvh_entry))
		return err_set(e, -EINVAL,
			       "not a usable ELF kernel: its PVH entry is in "
			       "no segment");
	return 0;
}

static int loader_open_kernel(struct loader *l, struct err *e)
{
	size_t len;
	int rc = boot_file_init(&l->kernel, l->c->kernel_fd, e);

	if (rc)
		return rc;
	len = MIN(l->kernel.size, sizeof(l->buf));
	rc = boot_file_read(&l->kernel, 0, l->buf, len, e);
	if (rc)
		return rc;
	if (elf_probe(l->buf, len))
		return loader_open_elf(l, len, e);
	if (bzimage_probe(l->buf, len))
		return loader_open_bzimage(l, len, e);
	return loader_not_kernel(l->buf, len, e);
}

static int loader_open_initrd(struct loader *l, struct err *e)
{
	if (l->c->initrd_fd < 0)
		return 0;
	return boot_file_init(&l->initrd, l->c->initrd_fd, e);
}

/* Added where the kernel randomises and the user does not want it. */
static const char *loader_suffix(const struct loader *l)
{
	return l->kind == LOADER_PACKED && !l->c->kaslr ? " nokaslr" : NULL;
}

static int loader_check_cmdline(const struct loader *l, struct err *e)
{
	size_t max = l->kind == LOADER_ELF ? LOADER_CMDLINE : l->bz.cmdline_max;
	size_t len = strlen(l->c->cmdline);

	if (loader_suffix(l))
		len += strlen(loader_suffix(l));
	if (len > max)
		return err_set(e, -E2BIG,
			       "the command line has %zu bytes, this kernel "
			       "takes %zu: shorten -append",
			       len, max);
	return 0;
}

/* What a kernel needs that is not unpacked by us. */
static void loader_shape_other(struct loader *l)
{
	const struct bzimage *bz = &l->bz;

	if (l->kind == LOADER_ELF) {
		l->preferred = l->elf.low;
		l->length = l->elf.high - l->elf.low;
	} else if (bz->relocatable) {
		l->movable = true;
		l->preferred = bz->pref_address;
		l->length = MAX(bz->init_size, bz->kernel_size);
	} else {
		/* It is loaded low and moves itself. */
		l->preferred = LOADER_CODE32;
		l->length =
			MAX(bz->pref_address + bz->init_size - LOADER_CODE32,
			    bz->kernel_size);
	}
	l->shape = (struct bootmem_shape){
		.len = l->length,
		.align = l->kind == LOADER_PACKED ? bz->alignment : 1,
		.floor = l->preferred,
	};
}

static int loader_shape_unpacked(struct loader *l, bool upwards, struct err *e)
{
	uint64_t align = MAX((uint64_t)l->bz.alignment, LOADER_ALIGN_MIN);
	int rc;

	l->movable = l->bz.relocatable;
	l->preferred = l->vm.elf.low;
	l->length = l->vm.elf.high - l->vm.elf.low;
	l->shape = (struct bootmem_shape){
		.len = l->length, .align = align, .floor = l->preferred};
	if (l->image)
		return 0;
	rc = vmlinux_plan(&l->vm, align, upwards, &l->plan, e);
	if (!rc)
		l->shape = l->plan.shape;
	return rc;
}

/* The initrd's highest place, given the kernel's. */
static bool loader_place_initrd(struct loader *l, gpa_t origin)
{
	struct bootmem ram = l->ram;
	uint64_t max = LOADER_INITRD_MAX, len = l->initrd.size;
	bool above = l->kind == LOADER_ELF ||
		     (l->bz.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G);

	if (!len)
		return true;
	if (l->kind != LOADER_ELF)
		max = l->bz.initrd_max;
	bootmem_take(&ram, origin, l->length);
	if (!bootmem_highest(&ram, len, LOADER_PAGE, max + 1, &l->at.base) &&
	    (!above || loader_is_pvh(l) ||
	     !bootmem_highest(&ram, len, LOADER_PAGE, UINT64_MAX, &l->at.base)))
		return false;
	l->at.len = len;
	return true;
}

/* Is it entered in 32-bit mode? */
static bool loader_is_32bit(const struct loader *l)
{
	return l->kind == LOADER_PACKED && !(l->bz.xloadflags & XLF_KERNEL_64);
}

static bool loader_place_at(struct loader *l, gpa_t origin)
{
	if (loader_is_32bit(l) && origin + l->length > 4 * GIB)
		return false;
	if (!bootmem_is_free(&l->ram, origin - l->shape.lead, l->shape.len) ||
	    !bootmem_is_free(&l->ram, origin, l->length) ||
	    !loader_place_initrd(l, origin))
		return false;
	l->origin = origin;
	return true;
}

static bool loader_place_random(struct loader *l)
{
	uint64_t slots = bootmem_slots(&l->ram, &l->shape);

	for (unsigned i = 0; slots && i < LOADER_DRAWS; i++) {
		uint64_t n = kaslr_rng_below(&l->rng, slots);

		if (loader_place_at(l, bootmem_slot(&l->ram, &l->shape, n)))
			return true;
	}
	return false;
}

/* At random, else where it prefers to be, else at the lowest place. */
static bool loader_place_shape(struct loader *l)
{
	if (l->kaslr && !kaslr_is_pinned(l->c->cmdline) &&
	    loader_place_random(l))
		return true;
	if (loader_place_at(l, l->preferred))
		return true;
	return l->movable && bootmem_slots(&l->ram, &l->shape) &&
	       loader_place_at(l, bootmem_slot(&l->ram, &l->shape, 0));
}

static int loader_no_room(const struct loader *l, struct err *e)
{
	uint64_t mib = (l->length + l->initrd.size + MIB - 1) / MIB;

	return err_set(e, -E2BIG,
		       "the kernel needs %" PRIu64 " MiB from 0x%" PRIx64
		       " on%s, which the guest's memory has no room for: "
		       "raise -m",
		       mib, l->preferred,
		       l->initrd.size ? " with its initrd" : "");
}

static int loader_place(struct loader *l, struct err *e)
{
	int rc = bootmem_init(&l->ram, l->gm, l->c->e820, l->c->e820_count,
			      LOADER_FLOOR, e);

	if (!rc && l->c->kaslr)
		rc = kaslr_rng_init(&l->rng, l->c->seed, e);
	if (rc)
		return rc;
	if (l->kind != LOADER_UNPACKED) {
		loader_shape_other(l);
		return loader_place_shape(l) ? 0 : loader_no_room(l, e);
	}
	l->kaslr = l->c->kaslr && l->vm.has_table && l->bz.relocatable &&
		   !kaslr_is_refused(l->c->cmdline);
	for (unsigned upwards = 0; upwards < 2; upwards++)
		if (!loader_shape_unpacked(l, upwards, e) &&
		    loader_place_shape(l))
			return 0;
	return loader_no_room(l, e);
}

/* Spare memory for a decoder: the highest that loading does not write. */
static void loader_take_scratch(struct loader *l, struct vmlinux_place *p)
{
	struct bootmem ram = l->ram;
	uint64_t len = align_up(l->vm.unpacked + MIB, LOADER_PAGE);
	gpa_t at;

	if (l->vm.codec != CODEC_XZ && l->vm.codec != CODEC_LZMA)
		return;
	bootmem_take(&ram, l->origin - l->shape.lead, l->shape.len);
	if (!bootmem_highest(&ram, len, LOADER_PAGE, UINT64_MAX, &at))
		return;
	p->scratch = gmem_ptr(l->gm, at, len);
	p->scratch_len = p->scratch ? len : 0;
}

/* Was this memory never touched, so that it may be given back? Memory that the
 * user wants allocated in advance is in core. */
static bool loader_is_untouched(const struct loader *l, void *page)
{
	unsigned char in_core = 1;

	return l->c->fresh && page && !mincore(page, LOADER_PAGE, &in_core) &&
	       !(in_core & 1);
}

/* By how much virtual addresses move. */
static uint64_t loader_draw_delta(struct loader *l)
{
	uint64_t slots = kaslr_virtual_slots(
		l->vm.elf.low, MAX(l->length, l->vm.unpacked), l->shape.align);

	if (!l->kaslr || !slots)
		return 0;
	return kaslr_rng_below(&l->rng, slots) * l->shape.align;
}

/* Before it is relocated. */
static void loader_keep(const struct loader *l, const struct image_source *s)
{
	if (l->c->images && l->c->fresh)
		image_cache_store(l->c->images, s);
}

static int loader_unpack(struct loader *l, struct vmlinux_job *job,
			 struct err *e)
{
	struct vmlinux_place p = {
		.gmem = l->gm, .origin = l->origin, .fresh = l->c->fresh};
	bool give_back;
	int rc;

	loader_take_scratch(l, &p);
	give_back = loader_is_untouched(l, p.scratch);
	rc = vmlinux_unpack(&l->vm, &l->plan, &p, job, e);
	if (give_back)
		/* A refusal costs only memory. */
		(void)madvise(p.scratch, p.scratch_len, MADV_DONTNEED);
	return rc;
}

static int loader_load_unpacked(struct loader *l, uint64_t delta, struct err *e)
{
	struct vmlinux_job job;
	int rc = loader_unpack(l, &job, e);

	if (rc)
		return rc;
	loader_keep(l, &(struct image_source){.elf = &l->vm.elf,
					      .unpacked = l->vm.unpacked,
					      .origin = job.origin,
					      .table = job.table,
					      .table_len = job.table_len});
	return vmlinux_finish(&job, delta, e);
}

/* Reads a piece of a file into guest memory. */
static int loader_read(const struct loader *l, const struct boot_file *f,
		       uint64_t off, gpa_t to, uint64_t len, struct err *e)
{
	struct unpack_out out = {.data = gmem_ptr(l->gm, to, len),
				 .len = len,
				 .fresh = l->c->fresh};

	if (!len)
		return 0;
	if (!out.data)
		return err_set(e, -E2BIG, "the memory is in pieces");
	unpack_populate(&out, 0, len);
	return boot_file_copy(f, off, out.data, len, e);
}

static int loader_load_packed(const struct loader *l, struct err *e)
{
	return loader_read(l, &l->kernel, l->bz.setup_size, l->origin,
			   l->bz.kernel_size, e);
}

/* Reads what segments have in the file, and zeroes what they have not. */
static int loader_read_segs(const struct loader *l, const struct boot_file *f,
			    const struct elf_image *elf, struct err *e)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_seg *s = &elf->segs[i];
		gpa_t at = l->origin + (s->paddr - elf->low);
		int rc = loader_read(l, f, s->off, at, s->file_len, e);

		if (!rc && !l->c->fresh)
			rc = gmem_set(l->gm, at + s->file_len, 0,
				      s->mem_len - s->file_len);
		if (rc)
			return rc;
	}
	return 0;
}

static int loader_load_elf(const struct loader *l, struct err *e)
{
	int rc = loader_read_segs(l, &l->kernel, &l->elf, e);
	const uint8_t *origin = gmem_ptr(l->gm, l->origin, l->length);

	if (!rc && origin)
		loader_keep(l, &(struct image_source){.elf = &l->elf,
						      .notes = &l->notes,
						      .origin = origin});
	return rc;
}

/* Maps the image where that may be done: false. */
static bool loader_map_image(const struct loader *l)
{
	uint64_t len = image_map_len(l->image);
	void *to = gmem_ptr(l->gm, l->origin, len);

	if (!l->c->overlay || !to ||
	    image_cache_map(l->c->images, l->image, to))
		return false;
	if (l->c->fresh || len >= l->length)
		return true;
	return !gmem_set(l->gm, l->origin + len, 0, l->length - len);
}

static int loader_load_image(const struct loader *l, uint64_t delta,
			     struct err *e)
{
	const struct boot_file f = {.fd = l->image->fd, .size = l->image->size};
	int rc = 0;

	if (!loader_map_image(l))
		rc = loader_read_segs(l, &f, &l->image->info.elf, e);
	if (rc || !delta)
		return rc;
	return image_relocate(l->image, gmem_ptr(l->gm, l->origin, l->length),
			      delta, e);
}

static void loader_log(const struct loader *l, uint64_t delta)
{
	static const char *const how[] = {
		[LOADER_UNPACKED] = "unpacked, entered by 64-bit protocol",
		[LOADER_PACKED] = "unpacks itself",
		[LOADER_ELF] = "ELF, entered by 64-bit protocol",
	};

	log_on(LOG_BOOT,
	       "kernel: %s%s, at 0x%" PRIx64
	       ", virtual addresses moved by 0x%" PRIx64,
	       loader_is_pvh(l) ? "ELF, entered by PVH" : how[l->kind],
	       l->image ? ", from the cache" : "", l->origin, delta);
}

static int loader_load_kernel(struct loader *l, struct err *e)
{
	uint64_t delta = l->kind == LOADER_UNPACKED ? loader_draw_delta(l) : 0;

	loader_log(l, delta);
	if (l->image)
		return loader_load_image(l, delta, e);
	switch (l->kind) {
	case LOADER_UNPACKED:
		return loader_load_unpacked(l, delta, e);
	case LOADER_PACKED:
		return loader_load_packed(l, e);
	case LOADER_ELF:
		break;
	}
	return loader_load_elf(l, e);
}

static int loader_load_initrd(const struct loader *l, struct err *e)
{
	if (!l->at.len)
		return 0;
	log_on(LOG_BOOT, "initrd: %" PRIu64 " bytes at 0x%" PRIx64, l->at.len,
	       l->at.base);
	return loader_read(l, &l->initrd, 0, l->at.base, l->at.len, e);
}

static int loader_write_params(const struct loader *l, struct err *e)
{
	const struct bootparams p = {
		.bz = l->kind == LOADER_ELF ? NULL : &l->bz,
		.initrd = l->at,
		.code32 = l->kind == LOADER_PACKED ? l->origin : 0,
		.kaslr = l->kaslr,
		.suffix = loader_suffix(l),
	};

	if (loader_is_pvh(l))
		return pvh_write(l->gm, l->c, &l->at, e);
	return bootparams_write(l->gm, l->c, &p, e);
}

static int loader_enter(const struct loader *l, struct vcpu_boot *ret,
			struct err *e)
{
	gpa_t entry = l->origin;

	if (loader_is_pvh(l))
		return entry_pvh(l->gm, l->notes.pvh_entry, ret, e);
	if (l->kind == LOADER_UNPACKED)
		entry += l->vm.elf.entry - l->vm.elf.low;
	else if (l->kind == LOADER_ELF)
		entry = l->elf.entry;
	else if (loader_is_32bit(l))
		return entry_32(l->gm, entry, ret, e);
	else
		entry += LOADER_ENTRY64;
	return entry_64(l->gm, entry, l->origin, l->length, ret, e);
}

static int loader_check_linux(const struct loader *l, struct err *e)
{
	if (!l->c->check_linux ||
	    (l->kind == LOADER_ELF && !l->notes.is_linux))
		return 0;
	return l->c->check_linux(e);
}

static int loader_open(struct loader *l, struct err *e)
{
	int rc = loader_open_kernel(l, e);

	if (!rc)
		rc = loader_check_linux(l, e);
	if (rc)
		return err_prefix(e, "-kernel '%s': ", l->c->kernel);
	rc = loader_open_initrd(l, e);
	if (rc)
		return err_prefix(e, "-initrd '%s': ", l->c->initrd);
	return loader_check_cmdline(l, e);
}

static int loader_load(struct loader *l, struct err *e)
{
	int rc = loader_load_kernel(l, e);

	if (rc)
		return err_prefix(e, "-kernel '%s': ", l->c->kernel);
	rc = loader_load_initrd(l, e);
	if (rc)
		return err_prefix(e, "-initrd '%s': ", l->c->initrd);
	return loader_write_params(l, e);
}

int boot_load(const struct gmem *gm, const struct boot_config *c,
	      struct vcpu_boot *ret, struct err *e)
{
	AUTO_FREE struct loader *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(e, -ENOMEM, "no memory to load a kernel");
	l->gm = gm;
	l->c = c;
	rc = loader_open(l, e);
	if (!rc)
		rc = loader_place(l, e);
	if (!rc)
		rc = loader_load(l, e);
	if (!rc)
		rc = loader_enter(l, ret, e);
	return rc;
}
