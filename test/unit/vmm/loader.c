/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/loader with small kernels: each kind of file ends up where it must, in
 * clean and in used memory, and whatever is cut or changed is an error that
 * names the file.
 */
#include "vmm/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "bus/gmem.h"
#include "test/lib/kernel.h"
#include "test/lib/test.h"

#define RAM_LEN   (64ULL << 20)
#define ZERO_PAGE 0x7000U

/* In the file further apart than in memory, as Linux has it. */
static const struct test_seg apart[] = {
	{0x1000, 0x1234, 0, 0x2000},
	{0x4000, 0x800, 0x2000, 0x5000},
};
/* The other way around: what is behind the first has to move less. */
static const struct test_seg close_by[] = {
	{0x200, 0x1234, 0, 0x2000},
	{0x1500, 0x800, 0x8000, 0x5000},
};

struct rig {
	struct gmem gm;
	uint8_t *ram;
	struct e820_entry e820[2];
	struct boot_config c;
	struct vcpu_boot boot;
	struct err e;
};

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static void rig_init(struct rig *r, const void *kernel, size_t len)
{
	*r = (struct rig){.boot = {.rip = 0}};
	r->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(r->ram, MAP_FAILED);
	assert_int_equal(gmem_add(&r->gm, 0, RAM_LEN, r->ram, &r->e), 0);
	r->e820[0] = (struct e820_entry){0, 0xa0000, E820_RAM};
	r->e820[1] =
		(struct e820_entry){0x100000, RAM_LEN - 0x100000, E820_RAM};
	r->c = (struct boot_config){
		.kernel = "k",
		.initrd = "i",
		.kernel_fd = file_of(kernel, len),
		.initrd_fd = -1,
		.cmdline = "quiet",
		.fresh = true,
		.seed = 1,
		.e820 = r->e820,
		.e820_count = 2,
	};
}

static void rig_fini(struct rig *r)
{
	close(r->c.kernel_fd);
	if (r->c.initrd_fd >= 0)
		close(r->c.initrd_fd);
	munmap(r->ram, RAM_LEN);
}

static int load(struct rig *r)
{
	return boot_load(&r->gm, &r->c, &r->boot, &r->e);
}

static void load_ok(struct rig *r)
{
	if (load(r))
		fail_msg("%s", r->e.text);
}

/* Are the segments at origin, zero behind what the file has? */
static void check_segs(const struct rig *r, gpa_t origin, const uint8_t *elf,
		       const struct test_seg *segs)
{
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *at = r->ram + origin + segs[i].at;

		assert_memory_equal(at, elf + segs[i].off, segs[i].file_len);
		for (uint64_t b = segs[i].file_len; b < segs[i].mem_len; b++)
			assert_int_equal(at[b], 0);
	}
}

static void check_entry64(const struct rig *r, gpa_t rip)
{
	assert_true(r->boot.long_mode);
	assert_int_equal(r->boot.rip, rip);
	assert_int_equal(r->boot.rsi, ZERO_PAGE);
	assert_int_equal(r->boot.cs, 0x10);
	assert_int_equal(r->boot.ds, 0x18);
	/* Identity: the page that maps the entry. */
	assert_int_equal(r->boot.cr3 & 0xfff, 0);
	assert_int_equal(load_le64(r->ram + r->boot.cr3) & 3, 3);
}

static void unpacks_and_enters(void **state)
{
	static const enum codec codecs[] = {CODEC_GZIP, CODEC_BZIP2,
					    CODEC_LZMA, CODEC_XZ,
					    CODEC_LZ4,  CODEC_ZSTD};
	static const struct test_seg *const layouts[] = {apart, close_by};

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		const struct test_seg *segs = layouts[i / 6];
		size_t elf_len, len;
		uint8_t *elf = test_elf(segs, 2, NULL, 0, &elf_len);
		uint8_t *k = test_kernel(codecs[i % 6], elf, elf_len, &len);
		struct rig r;

		rig_init(&r, k, len);
		load_ok(&r);
		check_segs(&r, TEST_LINK, elf, segs);
		check_entry64(&r, TEST_LINK + 0x40);
		/* Again, over a used guest. */
		memset(r.ram, 0xa5, 32 << 20);
		r.c.fresh = false;
		load_ok(&r);
		check_segs(&r, TEST_LINK, elf, segs);
		rig_fini(&r);
		free(k);
		free(elf);
	}
}

/* An ELF file and a table behind it; one place of each sort in segment 0. */
static uint8_t *elf_with_table(size_t *len)
{
	static const uint32_t words[] = {0,          0x81000100, 0,
					 0x81000200, 0,          0x81000300};
	uint8_t *elf = test_elf(apart, 2, NULL, 0, len);
	uint8_t *all = malloc(*len + sizeof(words));

	assert_non_null(all);
	memcpy(all, elf, *len);
	for (unsigned i = 0; i < 6; i++)
		store_le32(all + *len + i * 4, words[i]);
	*len += sizeof(words);
	free(elf);
	return all;
}

static void randomises(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = elf_with_table(&elf_len);
	uint8_t *k = test_kernel(CODEC_LZ4, elf, elf_len, &len);
	const uint8_t *seg = elf + apart[0].off;
	unsigned moved = 0;

	(void)state;
	for (unsigned seed = 1; seed < 40; seed++) {
		uint64_t delta, origin;
		uint8_t *at;
		struct rig r;

		rig_init(&r, k, len);
		r.c.kaslr = true;
		r.c.seed = seed;
		load_ok(&r);
		origin = r.boot.rip - 0x40;
		at = r.ram + origin;
		delta = load_le64(at + 0x100) - load_le64(seg + 0x100);
		assert_int_equal(origin % 0x200000, 0);
		assert_in_range(origin, TEST_LINK, RAM_LEN - 0x7000);
		assert_int_equal(delta % 0x200000, 0);
		assert_in_range(delta, 0, (1 << 30) - TEST_LINK - 0x7000);
		assert_int_equal(load_le32(at + 0x200),
				 (uint32_t)(load_le32(seg + 0x200) - delta));
		assert_int_equal(load_le32(at + 0x300),
				 (uint32_t)(load_le32(seg + 0x300) + delta));
		assert_int_equal(r.ram[ZERO_PAGE + 0x211] & 2, 2);
		moved += origin != TEST_LINK && delta;
		rig_fini(&r);
	}
	assert_in_range(moved, 30, 39);
	free(k);
	free(elf);
}

static void stays_where_it_is_told(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = elf_with_table(&elf_len);
	uint8_t *k = test_kernel(CODEC_LZ4, elf, elf_len, &len);
	struct rig r;

	(void)state;
	for (unsigned seed = 1; seed < 10; seed++) {
		rig_init(&r, k, len);
		r.c.seed = seed;
		r.c.kaslr = true;
		r.c.cmdline = "quiet nokaslr";
		load_ok(&r);
		check_segs(&r, TEST_LINK, elf, apart);
		assert_int_equal(r.ram[ZERO_PAGE + 0x211] & 2, 0);
		r.c.cmdline = "mem=60M";
		r.c.fresh = false;
		load_ok(&r);
		assert_int_equal(r.boot.rip, TEST_LINK + 0x40);
		rig_fini(&r);
	}
	free(k);
	free(elf);
}

/*
 * What follows the segments in the file passes the end of memory unless they
 * are unpacked lower and moved up; less memory than that is an error.
 */
static void fits_tight_memory(void **state)
{
	static const struct test_seg segs[] = {
		{0x1000, 0x1000, 0, 0x1000},
		{0x4000, 0x800, 0x1000, 0x800},
	};
	size_t elf_len, len;
	uint8_t *elf = test_elf(segs, 2, NULL, 0, &elf_len);
	uint8_t *all = calloc(1, elf_len + 0x1000), *k;

	(void)state;
	assert_non_null(all);
	memcpy(all, elf, elf_len);
	k = test_kernel(CODEC_LZ4, all, elf_len + 0x1000, &len);
	for (uint64_t end = 0x1000; end <= 0x6000; end += 0x1000) {
		struct rig r;

		rig_init(&r, k, len);
		r.e820[1].len = TEST_LINK + end - r.e820[1].base;
		memset(r.ram + TEST_LINK + end, 0xa5, 4096);
		if (end < 0x3000) {
			assert_int_equal(load(&r), -E2BIG);
			assert_non_null(strstr(r.e.text, "-m"));
		} else {
			load_ok(&r);
			check_segs(&r, TEST_LINK, elf, segs);
		}
		assert_int_equal(r.ram[TEST_LINK + end], 0xa5);
		assert_int_equal(r.ram[TEST_LINK + end + 4095], 0xa5);
		rig_fini(&r);
	}
	free(all);
	free(k);
	free(elf);
}

static void tells_the_kernel(void **state)
{
	static const char dtb[] = "a device tree";
	size_t elf_len, len;
	uint8_t *elf = test_elf(apart, 2, NULL, 0, &elf_len);
	uint8_t *k = test_kernel(CODEC_GZIP, elf, elf_len, &len);
	uint8_t initrd[5000];
	const uint8_t *bp, *data;
	uint64_t at;
	struct rig r;

	(void)state;
	test_fill(initrd, sizeof(initrd), 5);
	rig_init(&r, k, len);
	r.c.initrd_fd = file_of(initrd, sizeof(initrd));
	r.c.cmdline = "console=ttyS0 x";
	r.c.rsdp = 0xe1230;
	r.c.dtb = dtb;
	r.c.dtb_size = sizeof(dtb);
	load_ok(&r);
	bp = r.ram + ZERO_PAGE;
	assert_memory_equal(bp + 0x202, "HdrS", 4);
	assert_int_equal(load_le64(bp + 0x70), 0xe1230);
	assert_int_equal(bp[0x1e8], 2);
	assert_int_equal(load_le64(bp + 0x2d0 + 20), 0x100000);
	assert_int_equal(load_le32(bp + 0x2d0 + 36), E820_RAM);
	assert_int_equal(bp[0x210], 0xff);
	assert_string_equal((char *)r.ram + load_le32(bp + 0x228),
			    "console=ttyS0 x");
	at = load_le32(bp + 0x218);
	assert_int_equal(at % 4096, 0);
	assert_int_equal(load_le32(bp + 0x21c), sizeof(initrd));
	assert_in_range(at, RAM_LEN - 0x2000, RAM_LEN - 0x1000);
	assert_memory_equal(r.ram + at, initrd, sizeof(initrd));
	data = r.ram + load_le64(bp + 0x250);
	assert_int_equal(load_le32(data + 8), 9); /* random seed */
	assert_int_equal(load_le32(data + 12), 32);
	data = r.ram + load_le64(data);
	assert_int_equal(load_le32(data + 8), 2); /* device tree */
	assert_memory_equal(data + 16, dtb, sizeof(dtb));
	assert_int_equal(load_le64(data), 0);
	rig_fini(&r);
	free(k);
	free(elf);
}

static void lets_it_unpack_itself(void **state)
{
	static const uint8_t odd[100] = "what is this";
	size_t len;
	uint8_t *k = test_bzimage(odd, sizeof(odd), 5000, true, &len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	load_ok(&r);
	check_entry64(&r, TEST_LINK + 0x200);
	assert_memory_equal(r.ram + TEST_LINK, k + 1024, len - 1024);
	/* -M kaslr=off has to reach it. */
	assert_string_equal((char *)r.ram + 0x20000, "quiet nokaslr");
	r.c.kaslr = true;
	load_ok(&r);
	assert_string_equal((char *)r.ram + 0x20000, "quiet");
	rig_fini(&r);
	/* Not 64-bit: the 32-bit entry. */
	store_le16(k + 0x236, 0);
	rig_init(&r, k, len);
	load_ok(&r);
	assert_false(r.boot.long_mode);
	assert_int_equal(r.boot.rip, TEST_LINK);
	assert_int_equal(r.boot.cr0 & 0x80000001, 1);
	rig_fini(&r);
	free(k);
}

static const uint8_t pvh[] = {4, 0, 0,   0,   4,   0, 0,    0, 18, 0,
			      0, 0, 'X', 'e', 'n', 0, 0x80, 0, 0,  1};
static const uint8_t both[] = {
	4, 0,    0,   0,   4,   0,   0,   0, 18, 0, 0, 0, 'X', 'e', 'n',
	0, 0x80, 0,   0,   1,   6,   0,   0, 0,  4, 0, 0, 0,   0,   1,
	0, 0,    'L', 'i', 'n', 'u', 'x', 0, 0,  0, 0, 0, 0,   0};

static void enters_elf(void **state)
{
	size_t len;
	uint8_t *elf = test_elf(apart, 2, pvh, sizeof(pvh), &len);
	struct rig r;

	(void)state;
	rig_init(&r, elf, len);
	r.c.fresh = false;
	memset(r.ram + TEST_LINK, 0xa5, 0x8000);
	load_ok(&r);
	check_segs(&r, TEST_LINK, elf, apart);
	assert_false(r.boot.long_mode);
	assert_int_equal(r.boot.rip, TEST_LINK + 0x80);
	assert_int_equal(load_le32(r.ram + r.boot.rbx), 0x336ec578);
	assert_string_equal((char *)r.ram + load_le64(r.ram + r.boot.rbx + 24),
			    "quiet");
	assert_int_equal(load_le32(r.ram + r.boot.rbx + 48), 2);
	rig_fini(&r);
	free(elf);
	elf = test_elf(apart, 2, both, sizeof(both), &len);
	rig_init(&r, elf, len);
	load_ok(&r);
	check_entry64(&r, TEST_LINK + 0x40);
	assert_int_equal(load_le16(r.ram + ZERO_PAGE + 0x1fe), 0xaa55);
	rig_fini(&r);
	free(elf);
}

static int refuse_linux(struct err *e)
{
	return err_set(e, -ENOTSUP, "no Linux here");
}

static int load_where_linux_is_refused(const uint8_t *file, size_t len)
{
	struct rig r;
	int rc;

	rig_init(&r, file, len);
	r.c.check_linux = refuse_linux;
	rc = load(&r);
	if (rc)
		assert_string_equal(r.e.text, "-kernel 'k': no Linux here");
	rig_fini(&r);
	return rc;
}

static void asks_before_linux(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = test_elf(apart, 2, pvh, sizeof(pvh), &elf_len);
	uint8_t *k = test_kernel(CODEC_LZ4, elf, elf_len, &len);

	(void)state;
	assert_int_equal(load_where_linux_is_refused(elf, elf_len), 0);
	assert_int_equal(load_where_linux_is_refused(k, len), -ENOTSUP);
	free(k);
	free(elf);
	elf = test_elf(apart, 2, both, sizeof(both), &elf_len);
	assert_int_equal(load_where_linux_is_refused(elf, elf_len), -ENOTSUP);
	free(elf);
}

static void refuse(const void *data, size_t len, int rc, const char *text)
{
	struct rig r;

	rig_init(&r, data, len);
	assert_int_equal(load(&r), rc);
	if (strncmp(r.e.text, "-kernel 'k': ", 13) || !strstr(r.e.text, text))
		fail_msg("'%s' has no '%s'", r.e.text, text);
	rig_fini(&r);
}

static void refuses_other_files(void **state)
{
	uint8_t file[4096] = "#!/bin/sh\n";
	size_t len;
	uint8_t *elf = test_elf(apart, 2, NULL, 0, &len);

	(void)state;
	refuse("", 0, -EINVAL, "empty");
	refuse("x", 1, -EINVAL, "not a bzImage or ELF kernel");
	refuse(file, sizeof(file), -EINVAL, "not a bzImage or ELF kernel");
	memcpy(file + 56, "ARM\x64", 4);
	refuse(file, sizeof(file), -ENOEXEC, "arm64");
	memcpy(file, "\x1f\x8b\x08", 3);
	memset(file + 56, 0, 4);
	refuse(file, sizeof(file), -EINVAL, "gzip");
	elf[18] = 183; /* machine */
	refuse(elf, len, -ENOEXEC, "machine 183");
	elf[18] = 62;
	elf[4] = 1;
	refuse(elf, len, -ENOEXEC, "32-bit");
	free(elf);
}

static void refuses_bad_headers(void **state)
{
	static const struct {
		unsigned off, width;
		uint64_t value;
		const char *text;
	} bad[] = {
		{0x206, 2, 0x209, "2.09"},
		{0x211, 1, 0, "zImage"},
		{0x230, 4, 3, "alignment"},
		{0x230, 4, 0, "alignment"},
		{0x260, 4, 0, "init_size"},
		{0x260, 4, 0x7fffffff, "init_size"},
		{0x258, 8, 0x1000, "preferred"},
		{0x258, 8, 1ULL << 40, "preferred"},
		{0x248, 4, 0x7fffffff, "payload"},
		{0x24c, 4, 0x7fffffff, "payload"},
		{0x1f4, 4, 0x7fffffff, "truncated"},
		{0x1f1, 1, 255, "truncated"},
		{0x201, 1, 0, "header"},
	};
	size_t elf_len, len;
	uint8_t *elf = test_elf(apart, 2, NULL, 0, &elf_len);
	uint8_t *k = test_kernel(CODEC_GZIP, elf, elf_len, &len);

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t value[8], old[8];

		store_le64(value, bad[i].value);
		memcpy(old, k + bad[i].off, 8);
		memcpy(k + bad[i].off, value, bad[i].width);
		refuse(k, len, -EINVAL, bad[i].text);
		memcpy(k + bad[i].off, old, 8);
	}
	free(k);
	free(elf);
}

static void refuses_every_cut(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = test_elf(apart, 2, NULL, 0, &elf_len);
	uint8_t *k = test_kernel(CODEC_LZ4, elf, elf_len, &len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	for (size_t cut = len; cut--;) {
		assert_int_equal(ftruncate(r.c.kernel_fd, (off_t)cut), 0);
		r.e.text[0] = 0;
		/* The last paragraph is filled up. */
		if (!load(&r))
			assert_true(cut + 16 > len);
		else
			assert_memory_equal(r.e.text, "-kernel 'k': ", 13);
	}
	rig_fini(&r);
	rig_init(&r, elf, elf_len);
	for (size_t cut = elf_len; cut--;) {
		assert_int_equal(ftruncate(r.c.kernel_fd, (off_t)cut), 0);
		assert_int_equal(load(&r), -EINVAL);
	}
	rig_fini(&r);
	free(k);
	free(elf);
}

static void refuses_a_hostile_table(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = elf_with_table(&elf_len), *k;
	struct rig r;

	(void)state;
	store_le32(elf + elf_len - 4, 0x81700000);
	k = test_kernel(CODEC_LZ4, elf, elf_len, &len);
	rig_init(&r, k, len);
	r.c.kaslr = true;
	assert_int_equal(load(&r), -EINVAL);
	assert_non_null(strstr(r.e.text, "relocation table"));
	rig_fini(&r);
	free(k);
	free(elf);
}

static void keeps_the_limits(void **state)
{
	size_t elf_len, len;
	uint8_t *elf = test_elf(apart, 2, NULL, 0, &elf_len);
	uint8_t *k = test_kernel(CODEC_GZIP, elf, elf_len, &len);
	uint8_t initrd[5000] = {1};
	char *text = calloc(1, 100000);
	struct rig r;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 2047);
	store_le32(k + 0x22c, 0x1ffffff);
	rig_init(&r, k, len);
	r.c.cmdline = text;
	r.c.initrd_fd = file_of(initrd, sizeof(initrd));
	load_ok(&r);
	assert_in_range(load_le32(r.ram + ZERO_PAGE + 0x218), 0x100000,
			0x2000000 - sizeof(initrd));
	text[2047] = 'x';
	assert_int_equal(load(&r), -E2BIG);
	assert_non_null(strstr(r.e.text, "2047"));
	r.c.cmdline = "";
	assert_int_equal(ftruncate(r.c.initrd_fd, RAM_LEN), 0);
	assert_int_equal(load(&r), -E2BIG);
	assert_int_equal(ftruncate(r.c.initrd_fd, 0), 0);
	assert_int_equal(load(&r), -EINVAL);
	assert_memory_equal(r.e.text, "-initrd 'i': ", 13);
	rig_fini(&r);
	free(text);
	free(k);
	free(elf);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(unpacks_and_enters),
	cmocka_unit_test(randomises),
	cmocka_unit_test(stays_where_it_is_told),
	cmocka_unit_test(fits_tight_memory),
	cmocka_unit_test(tells_the_kernel),
	cmocka_unit_test(lets_it_unpack_itself),
	cmocka_unit_test(enters_elf),
	cmocka_unit_test(asks_before_linux),
	cmocka_unit_test(refuses_other_files),
	cmocka_unit_test(refuses_bad_headers),
	cmocka_unit_test(refuses_every_cut),
	cmocka_unit_test(refuses_a_hostile_table),
	cmocka_unit_test(keeps_the_limits),
};

TEST_MAIN(tests)
