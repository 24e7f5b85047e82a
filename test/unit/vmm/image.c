/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/image and vmm/image_cache through the loader: a kernel from the cache is
 * byte for byte the kernel that was unpacked, whatever memory it goes into;
 * and a cache that is stale, damaged, full or not ours does no harm.
 */
#include "vmm/image_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "bus/gmem.h"
#include "test/lib/kernel.h"
#include "test/lib/test.h"
#include "vmm/loader.h"

#define RAM_LEN  (64ULL << 20)
#define HUGE     (2ULL << 20)
#define TEXT_LEN 0x700000ULL /* three huge pages to copy, and an end */
#define DATA_AT  0x800000ULL
#define DATA_LEN 0x31000ULL
#define PATH_LEN 512

static const struct test_seg segs[] = {
	{0x1000, TEXT_LEN, 0, TEXT_LEN},
	{0x1000 + TEXT_LEN, DATA_LEN, DATA_AT, 0x80000},
};

/* Every page of the text and of the data has a place to relocate. */
static size_t make_table(uint8_t *to)
{
	size_t n = 0;

	store_le32(to + 4 * n++, 0);
	for (uint64_t at = DATA_AT; at < DATA_AT + DATA_LEN; at += 0x1000)
		store_le32(to + 4 * n++, (uint32_t)(0x81000010 + at));
	store_le32(to + 4 * n++, 0);
	store_le32(to + 4 * n++, 0x81000300);
	store_le32(to + 4 * n++, 0);
	for (uint64_t at = 0x5000; at < TEXT_LEN; at += 0x1000)
		store_le32(to + 4 * n++, (uint32_t)(0x81000020 + at));
	return 4 * n;
}

static uint8_t *make_bzimage(size_t *len)
{
	size_t elf_len;
	uint8_t *elf = test_elf(segs, 2, NULL, 0, &elf_len), *k;

	elf = realloc(elf, elf_len + 0x10000);
	assert_non_null(elf);
	elf_len += make_table(elf + elf_len);
	k = test_kernel(CODEC_LZ4, elf, elf_len, len);
	free(elf);
	return k;
}

/* A directory with a kernel file and a cache, and memory to load into. */
struct rig {
	char dir[32], kernel[64], cache[64];
	struct image_cache images;
	struct gmem gm;
	uint8_t *map, *ram;
	struct e820_entry e820;
	struct boot_config c;
	struct vcpu_boot boot;
	struct err e;
};

static void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void rig_open_kernel(struct rig *r)
{
	r->c.kernel_fd = open(r->kernel, O_RDONLY | O_CLOEXEC);
	assert_true(r->c.kernel_fd >= 0);
}

static void rig_init(struct rig *r, const void *kernel, size_t len)
{
	*r = (struct rig){.dir = "/tmp/vireo-image-XXXXXX"};
	assert_non_null(mkdtemp(r->dir));
	(void)snprintf(r->kernel, sizeof(r->kernel), "%s/kernel", r->dir);
	(void)snprintf(r->cache, sizeof(r->cache), "%s/cache", r->dir);
	assert_int_equal(mkdir(r->cache, 0700), 0);
	write_file(r->kernel, kernel, len);
	r->e820 = (struct e820_entry){0x100000, RAM_LEN - 0x100000, E820_RAM};
	r->c = (struct boot_config){
		.kernel = "k",
		.initrd_fd = -1,
		.cmdline = "quiet",
		.kaslr = true,
		.seed = 3,
		.fresh = true,
		.overlay = true,
		.e820 = &r->e820,
		.e820_count = 1,
	};
	rig_open_kernel(r);
}

static void rig_drop_ram(struct rig *r)
{
	if (r->map)
		munmap(r->map, RAM_LEN + HUGE);
	r->gm = (struct gmem){.count = 0};
}

static void rig_new_ram(struct rig *r)
{
	rig_drop_ram(r);
	r->map = mmap(NULL, RAM_LEN + HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(r->map, MAP_FAILED);
	r->ram = (uint8_t *)(((uintptr_t)r->map + HUGE - 1) & ~(HUGE - 1));
	assert_int_equal(gmem_add(&r->gm, 0, RAM_LEN, r->ram, &r->e), 0);
}

/* One start of the program: the cache is opened, the kernel loaded. */
static void start(struct rig *r)
{
	image_cache_close(&r->images);
	if (image_cache_open(&r->images, r->cache, &r->e))
		fail_msg("%s", r->e.text);
	r->images.racy_ns = 0;
	r->c.images = &r->images;
	rig_new_ram(r);
	if (boot_load(&r->gm, &r->c, &r->boot, &r->e))
		fail_msg("%s", r->e.text);
}

static bool is_cached(const struct rig *r)
{
	return r->images.image.size;
}

static unsigned count_images(const struct rig *r, char *ret_name)
{
	DIR *d = opendir(r->cache);
	struct dirent *de;
	unsigned n = 0;

	assert_non_null(d);
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		n++;
		if (ret_name)
			(void)snprintf(ret_name, PATH_LEN, "%s/%s", r->cache,
				       de->d_name);
	}
	closedir(d);
	return n;
}

static void empty_cache(struct rig *r)
{
	char path[PATH_LEN];

	while (count_images(r, path))
		assert_int_equal(unlink(path), 0);
}

static void rig_fini(struct rig *r)
{
	image_cache_close(&r->images);
	rig_drop_ram(r);
	close(r->c.kernel_fd);
	empty_cache(r);
	unlink(r->kernel);
	rmdir(r->cache);
	rmdir(r->dir);
}

/* The same seed without a cache: the same kernel has to be there. */
static void same_as_unpacked(struct rig *r)
{
	struct vcpu_boot boot = r->boot;
	uint8_t *was = r->map, *ram = r->ram;

	r->map = NULL;
	r->c.images = NULL;
	rig_new_ram(r);
	assert_int_equal(boot_load(&r->gm, &r->c, &r->boot, &r->e), 0);
	assert_int_equal(boot.rip, r->boot.rip);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = r->boot.rip - 0x40 + segs[i].at;

		assert_memory_equal(ram + at, r->ram + at, segs[i].mem_len);
	}
	munmap(was, RAM_LEN + HUGE);
	r->c.images = &r->images;
}

static void maps_what_was_unpacked(void **state)
{
	size_t len;
	uint8_t *k = make_bzimage(&len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	/* The places differ with and without a table behind the kernel. */
	r.c.cmdline = "mem=64M";
	start(&r);
	assert_true(is_cached(&r));
	assert_null(r.images.mapped);
	for (unsigned overlay = 0; overlay < 2; overlay++) {
		r.c.overlay = overlay;
		start(&r);
		assert_int_equal(r.images.mapped != NULL, overlay);
		same_as_unpacked(&r);
	}
	assert_int_equal(count_images(&r, NULL), 1);
	rig_fini(&r);
	free(k);
}

/* In the jail: the same image again, at another place, over a used guest. */
static void survives_resets(void **state)
{
	size_t len;
	uint8_t *k = make_bzimage(&len), *first;
	struct rig r;
	gpa_t origin;

	(void)state;
	rig_init(&r, k, len);
	start(&r);
	start(&r);
	first = r.images.mapped;
	r.c.fresh = false;
	close(r.images.dir); /* nothing is opened */
	r.images.dir = open("/dev/null", O_RDONLY);
	for (unsigned seed = 1; seed < 6; seed++) {
		origin = r.boot.rip - 0x40;
		memset(r.ram + origin, 0xa5, DATA_AT + 0x80000);
		r.c.seed = seed;
		assert_int_equal(boot_load(&r.gm, &r.c, &r.boot, &r.e), 0);
		origin = r.boot.rip - 0x40;
		assert_ptr_equal(r.images.mapped, r.ram + origin);
		for (uint64_t at = DATA_LEN; at < 0x80000; at++)
			if (r.ram[origin + DATA_AT + at])
				fail_msg("0x%lx is not zero", (long)at);
	}
	assert_ptr_not_equal(r.images.mapped, first);
	rig_fini(&r);
	free(k);
}

static void keeps_elf_kernels(void **state)
{
	size_t len;
	uint8_t *elf = test_elf(segs, 2, NULL, 0, &len);
	struct rig r;

	(void)state;
	rig_init(&r, elf, len);
	start(&r);
	start(&r);
	assert_non_null(r.images.mapped);
	same_as_unpacked(&r);
	rig_fini(&r);
	free(elf);
}

static void follows_the_file(void **state)
{
	size_t len;
	uint8_t *k = make_bzimage(&len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	start(&r);
	write_file(r.kernel, k, len); /* as it was, but who knows */
	start(&r);
	assert_null(r.images.mapped);
	start(&r);
	assert_non_null(r.images.mapped);
	assert_int_equal(count_images(&r, NULL), 2);
	rig_fini(&r);
	free(k);
}

static void forgets_recent_files(void **state)
{
	size_t len;
	uint8_t *k = make_bzimage(&len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	assert_int_equal(image_cache_open(&r.images, r.cache, &r.e), 0);
	r.c.images = &r.images;
	rig_new_ram(&r);
	assert_int_equal(boot_load(&r.gm, &r.c, &r.boot, &r.e), 0);
	assert_int_equal(count_images(&r, NULL), 0);
	rig_fini(&r);
	free(k);
}

/* Each word of the header in turn, and each length of the file. */
static void distrusts_damage(void **state)
{
	size_t len;
	uint8_t *k = make_bzimage(&len);
	uint8_t good[512], bad[512];
	char path[PATH_LEN];
	struct rig r;
	struct stat st;
	int fd;

	(void)state;
	rig_init(&r, k, len);
	start(&r);
	count_images(&r, path);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, good, sizeof(good), 0), sizeof(good));
	for (unsigned at = 0; at < sizeof(good); at += 4) {
		memcpy(bad, good, sizeof(bad));
		store_le32(bad + at, load_le32(bad + at) ^ 0x80000001);
		assert_int_equal(pwrite(fd, bad, sizeof(bad), 0), sizeof(bad));
		start(&r);
		/* Unpacked, or what the header says does not matter here. */
		assert_int_equal(r.boot.long_mode, true);
		close(fd);
		empty_cache(&r);
		start(&r);
		count_images(&r, path);
		fd = open(path, O_RDWR);
	}
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t cut = 0; cut < st.st_size; cut += st.st_size / 16 + 1) {
		assert_int_equal(ftruncate(fd, cut), 0);
		start(&r);
		assert_null(r.images.mapped);
		close(fd);
		count_images(&r, path);
		fd = open(path, O_RDWR);
	}
	close(fd);
	rig_fini(&r);
	free(k);
}

static void lives_without_room(void **state)
{
	const struct rlimit tight = {3 << 20, RLIM_INFINITY};
	struct rlimit before;
	size_t len;
	uint8_t *k = make_bzimage(&len);
	struct rig r;

	(void)state;
	rig_init(&r, k, len);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	start(&r);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(is_cached(&r));
	assert_int_equal(count_images(&r, NULL), 0);
	rig_fini(&r);
	free(k);
}

static void keeps_a_few(void **state)
{
	size_t len;
	uint8_t *elf = test_elf(segs, 2, NULL, 0, &len);
	char path[PATH_LEN];
	struct rig r;

	(void)state;
	rig_init(&r, elf, len);
	(void)snprintf(path, PATH_LEN, "%s/new-1", r.cache);
	write_file(path, "left by a crash", 15);
	assert_int_equal(
		utimensat(AT_FDCWD, path, (struct timespec[2]){{0}}, 0), 0);
	for (unsigned i = 0; i < 11; i++) {
		write_file(r.kernel, elf, len);
		start(&r);
		assert_true(is_cached(&r));
	}
	assert_int_equal(count_images(&r, NULL), 8);
	rig_fini(&r);
	free(elf);
}

static void chooses_the_place(void **state)
{
	struct image_cache c;
	struct err e = {0};
	size_t len;
	uint8_t *elf = test_elf(segs, 2, NULL, 0, &len);
	char path[PATH_LEN];
	struct rig r;

	(void)state;
	rig_init(&r, elf, len);
	assert_int_equal(image_cache_open(&c, "off", &e), 0);
	assert_false(c.is_on);
	assert_int_equal(image_cache_open(&c, "/nowhere", &e), -ENOENT);
	assert_non_null(strstr(e.text, "kernel-cache: "));
	assert_int_equal(chmod(r.cache, 0770), 0);
	assert_int_equal(image_cache_open(&c, r.cache, &e), -EPERM);
	assert_int_equal(chmod(r.cache, 0700), 0);
	assert_int_equal(setenv("XDG_CACHE_HOME", r.cache, 1), 0);
	assert_int_equal(image_cache_open(&c, "auto", &e), 0);
	assert_true(c.is_on);
	image_cache_close(&c);
	(void)snprintf(path, PATH_LEN, "%s/vireo", r.cache);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(setenv("XDG_CACHE_HOME", "/nowhere", 1), 0);
	assert_int_equal(image_cache_open(&c, "auto", &e), 0);
	assert_false(c.is_on);
	rig_fini(&r);
	free(elf);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(maps_what_was_unpacked),
	cmocka_unit_test(survives_resets),
	cmocka_unit_test(keeps_elf_kernels),
	cmocka_unit_test(follows_the_file),
	cmocka_unit_test(forgets_recent_files),
	cmocka_unit_test(distrusts_damage),
	cmocka_unit_test(lives_without_room),
	cmocka_unit_test(keeps_a_few),
	cmocka_unit_test(chooses_the_place),
};

TEST_MAIN(tests)
