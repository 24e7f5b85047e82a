/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the loading of kernels, from any file to registers, into memory with
 * holes: nothing outside RAM is touched (it is not mapped), the entry is in
 * RAM, and segments are where they belong. LZ4 streams are compared with
 * liblz4, too.
 *
 * The first byte says what the rest is, the second picks options:
 *   0: a kernel file
 *   1: the payload of a bzImage, behind the size it unpacks to
 *   2: what is packed into one, behind a byte that picks the format
 *   3: a description of what is packed: format, segments, relocations
 *   4: an LZ4 block, behind the size it unpacks to
 */
#include <elf.h>
#include <ftw.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/kernel.h"
#include "vmm/elf.h"
#include "vmm/image_cache.h"
#include "vmm/loader.h"
#include "vmm/lz4.h"

#define RAM_BYTES    (64 * MIB)
#define USED_BYTES   (64 * KIB) /* from TEST_LINK on, by an earlier start */
#define INPUT_MAX    (256 * KIB)
#define UNPACK_MAX   (4 * MIB)
#define SEGS_MAX     4U
#define WORDS_MAX    ((size_t)64) /* of a relocation table */
#define INITRD_BYTES 5000

enum shape { FILE_RAW, FILE_PAYLOAD, FILE_PACKED, FILE_RECIPE, LZ4_BLOCK };

enum option {
	OPT_KASLR = 1,
	OPT_USED = 2, /* not the first start */
	OPT_INITRD = 4,
	OPT_NOKASLR = 8, /* says the command line */
	OPT_TIGHT = 16,  /* RAM ends soon behind where kernels prefer to be */
	OPT_HOLE = 32,   /* RAM has a hole there */
	OPT_TABLE = 64,  /* recipes: a relocation table follows */
	OPT_CACHE = 128, /* once more, from the image that the first left */
};

/* What loading has to work with; made once. */
static struct {
	struct gmem gm;
	uint8_t *ram;
	int kernel_fd, initrd_fd;
	char cache[32]; /* directory of kernel images */
} rig = {.cache = "/tmp/vireo-fuzz-XXXXXX"};

/* The rest of an input. */
struct input {
	const uint8_t *data;
	size_t len;
};

static uint8_t take_u8(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->data++;
}

static uint32_t take_u16(struct input *in)
{
	uint32_t low = take_u8(in);

	return low | (uint32_t)take_u8(in) << 8;
}

static uint32_t take_u32(struct input *in)
{
	uint32_t low = take_u16(in);

	return low | take_u16(in) << 16;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* New memory, in place of what was there. */
static void map_ram(int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *at = mmap(rig.ram, RAM_BYTES, prot,
			flags | (rig.ram ? MAP_FIXED : 0), -1, 0);

	check(at != MAP_FAILED);
	rig.ram = at;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void remove_cache(void)
{
	(void)nftw(rig.cache, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void rig_init(void)
{
	uint8_t initrd[INITRD_BYTES];
	struct err e;

	if (rig.ram)
		return;
	map_ram(PROT_NONE);
	check(mkdtemp(rig.cache));
	check(!atexit(remove_cache));
	rig.kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	rig.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	check(rig.kernel_fd >= 0 && rig.initrd_fd >= 0);
	memset(initrd, 0x77, sizeof(initrd));
	check(write(rig.initrd_fd, initrd, sizeof(initrd)) == INITRD_BYTES);
	check(!gmem_add(&rig.gm, 0, RAM_BYTES, rig.ram, &e));
}

/* --- memory --- */

static unsigned make_e820(unsigned options, struct e820_entry *map)
{
	uint64_t end = options & OPT_TIGHT ? TEST_LINK + 64 * KIB : RAM_BYTES;
	unsigned n = 0;

	map[n++] = (struct e820_entry){0, 0xa0000, E820_RAM};
	if (options & OPT_HOLE) {
		map[n++] = (struct e820_entry){MIB, 7 * MIB, E820_RAM};
		map[n++] = (struct e820_entry){TEST_LINK + 8 * KIB,
					       end - TEST_LINK - 8 * KIB,
					       E820_RAM};
	} else {
		map[n++] = (struct e820_entry){MIB, end - MIB, E820_RAM};
	}
	return n;
}

/* Whatever is not RAM cannot be touched; RAM is zero, or has been used. */
static void prepare_memory(unsigned options, const struct e820_entry *map,
			   unsigned n)
{
	map_ram(PROT_NONE);
	for (unsigned i = 0; i < n; i++)
		check(!mprotect(rig.ram + map[i].base, map[i].len,
				PROT_READ | PROT_WRITE));
	if (options & OPT_USED)
		memset(rig.ram + TEST_LINK + 8 * KIB, 0xa5,
		       USED_BYTES - 8 * KIB);
}

static bool is_ram(const struct boot_config *c, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; i < c->e820_count; i++)
		if (at >= c->e820[i].base &&
		    range_ok(at - c->e820[i].base, len, c->e820[i].len))
			return true;
	return false;
}

/* --- what has been loaded --- */

static void check_segment(const uint8_t *elf, const Elf64_Phdr *p,
			  uint64_t moved)
{
	const uint8_t *at = rig.ram + p->p_paddr + moved;

	check(!memcmp(at, elf + p->p_offset, p->p_filesz));
	for (uint64_t i = p->p_filesz; i < p->p_memsz; i++)
		check(!at[i]);
}

/* The file as it is in the input, where nothing was relocated. */
static void check_image(const uint8_t *elf, uint64_t rip)
{
	uint64_t moved;
	Elf64_Ehdr h;
	Elf64_Phdr p;

	memcpy(&h, elf, sizeof(h));
	moved = rip - h.e_entry;
	if (moved >= RAM_BYTES)
		return; /* a virtual address as entry */
	for (unsigned i = 0; i < h.e_phnum; i++) {
		memcpy(&p, elf + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD && p.p_memsz)
			check_segment(elf, &p, moved);
	}
}

static void check_entry(const struct boot_config *c, const struct vcpu_boot *b)
{
	check(is_ram(c, b->rip, 1));
	check(is_ram(c, b->gdt, b->gdt_limit + 1U));
	check(is_ram(c, b->rsi, 4096));
	if (b->long_mode)
		check(is_ram(c, b->cr3, 4096) && load_le64(rig.ram + b->cr3));
}

/* elf: what was packed; it may be anything. */
static void load(unsigned options, struct image_cache *images, const void *elf,
		 size_t elf_len)
{
	struct e820_entry map[4];
	struct boot_config c = {
		.kernel = "k",
		.initrd = "i",
		.kernel_fd = rig.kernel_fd,
		.initrd_fd = options & OPT_INITRD ? rig.initrd_fd : -1,
		.cmdline = options & OPT_NOKASLR ? "quiet nokaslr" : "quiet",
		.kaslr = options & OPT_KASLR,
		.fresh = !(options & OPT_USED),
		.overlay = true,
		.images = images,
		.seed = options + 1,
		.e820 = map,
		.e820_count = make_e820(options, map),
	};
	struct vcpu_boot boot;
	struct err e = {0};

	prepare_memory(options, map, c.e820_count);
	if (boot_load(&rig.gm, &c, &boot, &e)) {
		check(*e.text);
		return;
	}
	check_entry(&c, &boot);
	if (elf_probe(elf, elf_len) && !(options & OPT_KASLR) && boot.long_mode)
		check_image(elf, boot.rip);
}

static void open_cache(struct image_cache *images)
{
	struct err e;

	check(!image_cache_open(images, rig.cache, &e));
	images->racy_ns = 0; /* the file changed just now */
}

/* A first start leaves an image, the next one, or a reset, maps it. */
static void load_cached(unsigned options, const void *elf, size_t elf_len)
{
	struct image_cache images;

	open_cache(&images);
	load(options & ~(unsigned)OPT_USED, &images, elf, elf_len);
	if (!(options & OPT_USED)) {
		image_cache_close(&images);
		open_cache(&images);
	}
	load(options, &images, elf, elf_len);
	image_cache_close(&images);
}

static void load_file(unsigned options, const void *file, size_t len,
		      const void *elf, size_t elf_len)
{
	check(!ftruncate(rig.kernel_fd, 0));
	check(pwrite(rig.kernel_fd, file, len, 0) == (ssize_t)len);
	if (options & OPT_CACHE)
		load_cached(options, elf, elf_len);
	else
		load(options, NULL, elf, elf_len);
}

/* --- what the input is --- */

static void fuzz_raw(unsigned options, struct input *in)
{
	load_file(options, in->data, in->len, in->data, in->len);
}

static void fuzz_payload(unsigned options, struct input *in)
{
	uint32_t size = take_u32(in);
	size_t len;
	uint8_t *file = test_bzimage(in->data, in->len, size, true, &len);

	load_file(options, file, len, NULL, 0);
	free(file);
}

static void load_packed(unsigned options, unsigned format, const uint8_t *elf,
			size_t elf_len)
{
	/* LZ4 most of the time: the others' packers are slow. */
	enum codec codec = format < CODEC_ZSTD ? 1 + format : CODEC_LZ4;
	size_t len;
	uint8_t *file = test_kernel(codec, elf, elf_len, &len);

	load_file(options, file, len, elf, elf_len);
	free(file);
}

static void fuzz_packed(unsigned options, struct input *in)
{
	unsigned format = take_u8(in);

	load_packed(options, format, in->data, in->len);
}

/* Segments with gaps of any kind between them, in the file and in memory. */
static unsigned describe_segments(struct input *in, struct test_seg *segs)
{
	unsigned n = 1 + take_u8(in) % SEGS_MAX;
	uint64_t off = 1024, at = 0;

	for (unsigned i = 0; i < n; i++) {
		off += take_u16(in);
		at += take_u16(in) * 16;
		segs[i] = (struct test_seg){
			.off = off, .file_len = take_u16(in), .at = at};
		segs[i].mem_len = segs[i].file_len + take_u16(in);
		off += segs[i].file_len;
		at += segs[i].mem_len;
	}
	return n;
}

/* The ELF file with a table of words behind it, most of them in the image. */
static uint8_t *add_table(struct input *in, uint8_t *elf, size_t *len)
{
	size_t words = MIN(in->len / 2, WORDS_MAX);
	uint8_t *all = realloc(elf, *len + words * 4);

	check(all);
	for (size_t i = 0; i < words; i++) {
		uint32_t word = take_u16(in);

		if (word)
			word += 0x80000000U + (uint32_t)TEST_LINK;
		store_le32(all + *len + i * 4, word);
	}
	*len += words * 4;
	return all;
}

static void fuzz_recipe(unsigned options, struct input *in)
{
	struct test_seg segs[SEGS_MAX];
	unsigned format = take_u8(in), n = describe_segments(in, segs);
	size_t len;
	uint8_t *elf = test_elf(segs, n, NULL, 0, &len);

	if (options & OPT_TABLE)
		elf = add_table(in, elf, &len);
	load_packed(options, format, elf, len);
	free(elf);
}

/* What both decoders take is the same to both. */
static void fuzz_lz4(unsigned options, struct input *in)
{
	size_t size = take_u32(in) % UNPACK_MAX, head = in->len + 8;
	uint8_t *frame = malloc(head), *theirs = malloc(size + 1);
	struct filemap map = {.data = frame, .len = head};
	struct unpack_out out = {.data = rig.ram + TEST_LINK + (options >> 4),
				 .len = size,
				 .fresh = !(options & OPT_USED)};
	struct err e;
	int n;

	check(frame && theirs);
	store_le32(frame, 0x184c2102);
	store_le32(frame + 4, (uint32_t)in->len);
	memcpy(frame + 8, in->data, in->len);
	map_ram(PROT_READ | PROT_WRITE);
	n = LZ4_decompress_safe((char *)frame + 8, (char *)theirs, (int)in->len,
				(int)size);
	if (!lz4_unpack(&map, &out, &e) && n == (int)size)
		check(!memcmp(out.data, theirs, size));
	free(frame);
	free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const shapes[])(unsigned options, struct input *in) = {
		[FILE_RAW] = fuzz_raw,       [FILE_PAYLOAD] = fuzz_payload,
		[FILE_PACKED] = fuzz_packed, [FILE_RECIPE] = fuzz_recipe,
		[LZ4_BLOCK] = fuzz_lz4,
	};
	struct input in = {data, MIN(len, INPUT_MAX)};
	unsigned shape, options;

	rig_init();
	shape = take_u8(&in) % ARRAY_SIZE(shapes);
	options = take_u8(&in);
	shapes[shape](options, &in);
	return 0;
}
