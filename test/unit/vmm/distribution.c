/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/loader over Debian's kernels: the image in memory, bit for bit, against
 * one that is worked out in another way: unpacked by the command line tools of
 * test/lab/kernels, relocated from the table's end as the kernel's own
 * decompressor does (arch/x86/boot/compressed/misc.c, handle_relocations).
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "bus/gmem.h"
#include "test/lib/test.h"
#include "vmm/image_cache.h"
#include "vmm/loader.h"

#define RAM_LEN  (512ULL << 20)
#define MAP_BASE 0xffffffff80000000ULL /* where kernels are linked */
#define ALIGN    (2ULL << 20)

/* What a kernel unpacks to. */
struct vmlinux {
	const uint8_t *file;
	size_t len;
	uint64_t low, high, entry; /* physical, as linked */
};

struct expected {
	uint8_t *image; /* from low to high */
	size_t len;
	uint64_t low;
};

/* A line that test/lab/kernels prints. */
static bool ask(const char *what, const char *kind, char *line, size_t len)
{
	const char *srcdir = getenv("srcdir");
	char command[1024];
	FILE *f;

	(void)snprintf(command, sizeof(command),
		       "'%s/test/lab/kernels' %s %s 2>/dev/null",
		       srcdir ? srcdir : ".", what, kind);
	f = popen(command, "r");
	assert_non_null(f);
	if (!fgets(line, (int)len, f))
		*line = 0;
	line[strcspn(line, "\n")] = 0;
	return !pclose(f) && *line;
}

static const void *map_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	p = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static const Elf64_Phdr *segments(const struct vmlinux *v, unsigned *n)
{
	const Elf64_Ehdr *h = (const void *)v->file;

	*n = h->e_phnum;
	return (const void *)(v->file + h->e_phoff);
}

static void vmlinux_init(struct vmlinux *v, const char *path)
{
	const Elf64_Phdr *p;
	unsigned n;

	*v = (struct vmlinux){.low = UINT64_MAX};
	v->file = map_file(path, &v->len);
	v->entry = ((const Elf64_Ehdr *)(const void *)v->file)->e_entry;
	p = segments(v, &n);
	for (unsigned i = 0; i < n; i++) {
		if (p[i].p_type != PT_LOAD)
			continue;
		if (p[i].p_paddr < v->low)
			v->low = p[i].p_paddr;
		if (p[i].p_paddr + p[i].p_memsz > v->high)
			v->high = p[i].p_paddr + p[i].p_memsz;
	}
}

static void expected_init(struct expected *x, const struct vmlinux *v)
{
	const Elf64_Phdr *p;
	unsigned n;

	x->low = v->low;
	x->len = v->high - v->low;
	x->image = calloc(1, x->len);
	assert_non_null(x->image);
	p = segments(v, &n);
	for (unsigned i = 0; i < n; i++)
		if (p[i].p_type == PT_LOAD)
			memcpy(x->image + (p[i].p_paddr - v->low),
			       v->file + p[i].p_offset, p[i].p_filesz);
}

/* The place that a word of the table names. */
static uint8_t *place(const struct expected *x, const uint8_t *word)
{
	uint64_t address = (uint64_t)(int64_t)(int32_t)load_le32(word);
	uint64_t off = address - MAP_BASE - x->low;

	assert_true(off < x->len - 8);
	return x->image + off;
}

/* From the end: 32-bit places, 32-bit ones to subtract from, 64-bit ones; a
 * zero before each. The number of places. */
static size_t relocate(const struct expected *x, const struct vmlinux *v,
		       uint64_t delta)
{
	const uint8_t *end = v->file + v->len, *word = end;
	uint8_t *at;

	while (load_le32(word -= 4)) {
		at = place(x, word);
		store_le32(at, load_le32(at) + (uint32_t)delta);
	}
	while (load_le32(word -= 4)) {
		at = place(x, word);
		store_le32(at, load_le32(at) - (uint32_t)delta);
	}
	while (load_le32(word -= 4)) {
		at = place(x, word);
		store_le64(at, load_le64(at) + delta);
	}
	return (size_t)(end - word) / 4 - 3;
}

/* By how much virtual addresses were moved, from the last 64-bit place. */
static uint64_t find_delta(const struct expected *x, const struct vmlinux *v,
			   const uint8_t *loaded)
{
	const uint8_t *word = v->file + v->len;
	const uint8_t *at;

	for (unsigned lists = 0; lists < 2; lists += !load_le32(word))
		word -= 4;
	at = place(x, word - 4);
	return load_le64(loaded + (at - x->image)) - load_le64(at);
}

/* One way to load it. */
struct variant {
	const char *kernel;
	bool fresh;
	uint64_t seed;              /* 0: no KASLR */
	struct image_cache *images; /* NULL: it is unpacked */
};

static void load(const struct variant *t, uint8_t *ram, struct vcpu_boot *boot)
{
	const struct e820_entry e820[] = {
		{0, 0xa0000, E820_RAM},
		{0x100000, RAM_LEN - 0x100000, E820_RAM},
	};
	struct boot_config c = {
		.kernel = t->kernel,
		.kernel_fd = open(t->kernel, O_RDONLY | O_CLOEXEC),
		.initrd_fd = -1,
		.cmdline = "",
		.kaslr = t->seed,
		.seed = t->seed,
		.fresh = t->fresh,
		.overlay = true,
		.images = t->images,
		.e820 = e820,
		.e820_count = 2,
	};
	struct gmem gm = {.count = 0};
	struct err e = {0};

	assert_true(c.kernel_fd >= 0);
	assert_int_equal(gmem_add(&gm, 0, RAM_LEN, ram, &e), 0);
	if (boot_load(&gm, &c, boot, &e))
		fail_msg("%s", e.text);
	close(c.kernel_fd);
}

static void compare(const struct variant *t, const struct vmlinux *v)
{
	struct vcpu_boot boot;
	struct expected x;
	uint64_t origin, delta = 0;
	uint8_t *ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(ram, MAP_FAILED);
	if (!t->fresh)
		memset(ram + v->low, 0xa5, 2 * (v->high - v->low));
	load(t, ram, &boot);
	origin = boot.rip - (v->entry - v->low);
	assert_true(origin + (v->high - v->low) <= RAM_LEN);
	expected_init(&x, v);
	if (t->seed) {
		delta = find_delta(&x, v, ram + origin);
		assert_int_equal(delta % ALIGN, 0);
		assert_in_range(delta, 0, (1 << 30) - v->high);
		assert_in_range(relocate(&x, v, delta), 10000, 10000000);
	} else {
		assert_int_equal(origin, v->low);
	}
	for (size_t i = 0; i < x.len; i++)
		if (ram[origin + i] != x.image[i])
			fail_msg("seed %d, byte 0x%zx of 0x%zx: %02x, not %02x",
				 (int)t->seed, i, x.len, ram[origin + i],
				 x.image[i]);
	free(x.image);
	munmap(ram, RAM_LEN);
}

/* The first start leaves an image, the others map it. */
static void compare_cached(const char *kernel, const struct vmlinux *v)
{
	char dir[] = "/tmp/vireo-dist-XXXXXX", command[64];
	struct image_cache images;
	struct err e = {0};

	assert_non_null(mkdtemp(dir));
	if (image_cache_open(&images, dir, &e))
		fail_msg("%s", e.text);
	images.racy_ns = 0; /* it may have been downloaded just now */
	compare(&(struct variant){kernel, true, 1, &images}, v);
	assert_true(images.image.size > 0);
	compare(&(struct variant){kernel, false, 0, &images}, v);
	compare(&(struct variant){kernel, false, 2, &images}, v);
	image_cache_close(&images);
	if (image_cache_open(&images, dir, &e))
		fail_msg("%s", e.text);
	compare(&(struct variant){kernel, true, 3, &images}, v);
	image_cache_close(&images);
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void compare_kind(const char *kind, uint64_t seeds)
{
	char kernel[1024], path[1024];
	struct vmlinux v;

	if (!ask("path", kind, kernel, sizeof(kernel)) ||
	    !ask("vmlinux", kind, path, sizeof(path)))
		test_skip("Debian's kernel cannot be downloaded");
	vmlinux_init(&v, path);
	compare(&(struct variant){kernel, true, 0, NULL}, &v);
	compare(&(struct variant){kernel, false, 0, NULL}, &v);
	for (uint64_t seed = 1; seed <= seeds; seed++)
		compare(&(struct variant){kernel, seed % 2, seed, NULL}, &v);
	compare_cached(kernel, &v);
	munmap((void *)(uintptr_t)v.file, v.len);
}

static void cloud_kernel(void **state)
{
	(void)state;
	compare_kind("cloud", 3);
}

static void generic_kernel(void **state)
{
	(void)state;
	compare_kind("generic", 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(cloud_kernel),
	cmocka_unit_test(generic_kernel),
};

TEST_MAIN(tests)
