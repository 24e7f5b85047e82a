/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/decompress, vmm/lz4: every format, exact sizes, and no byte written
 * outside, whatever the input.
 */
#include "vmm/decompress.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/endian.h"
#include "test/lib/kernel.h"
#include "test/lib/test.h"

#define GUARD 4096U

static const enum codec all[] = {CODEC_GZIP, CODEC_BZIP2, CODEC_LZMA,
				 CODEC_XZ,   CODEC_LZ4,   CODEC_ZSTD};
#define ALL (sizeof(all) / sizeof(all[0]))

/* Unpacks into zeroed memory between guards; *ret_data is to be unmapped. */
struct unpacked {
	struct unpack_out out;
	struct err e;
	uint8_t *map;
	size_t map_len;
};

static bool is_filled(const uint8_t *p, size_t len, uint8_t byte)
{
	return p[0] == byte && !memcmp(p, p + 1, len - 1);
}

static int unpack(struct unpacked *u, enum codec c, const uint8_t *in,
		  size_t in_len, size_t len, bool fresh)
{
	struct filemap map = {.data = in, .len = in_len};
	int rc;

	*u = (struct unpacked){.map_len = len + 3 * GUARD};
	u->map = mmap(NULL, u->map_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(u->map, MAP_FAILED);
	u->out = (struct unpack_out){
		.data = u->map + GUARD, .len = len, .fresh = fresh};
	if (!fresh)
		memset(u->map, 0xee, u->map_len);
	rc = decompress(c, &map, &u->out, &u->e);
	assert_true(is_filled(u->map, GUARD, fresh ? 0 : 0xee));
	assert_true(is_filled(u->map + GUARD + len, u->map_len - GUARD - len,
			      fresh ? 0 : 0xee));
	return rc;
}

static void unpacked_fini(struct unpacked *u)
{
	munmap(u->map, u->map_len);
}

static void check_round(enum codec c, const uint8_t *data, size_t len)
{
	size_t packed_len;
	uint8_t *packed = test_pack(c, data, len, &packed_len);
	struct unpacked u;

	assert_int_equal(codec_detect(packed, packed_len), c);
	for (unsigned fresh = 0; fresh < 2; fresh++) {
		if (unpack(&u, c, packed, packed_len, len, fresh))
			fail_msg("%s: %s", codec_name(c), u.e.text);
		assert_memory_equal(u.out.data, data, len);
		unpacked_fini(&u);
	}
	free(packed);
}

static void unpacks_every_format(void **state)
{
	static const size_t sizes[] = {8,     64,      500,     4096,
				       65537, 3000000, 17000000};
	uint8_t *data = calloc(1, 17000000);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test_fill(data, sizes[i], i);
		/* Long runs, in the middle and up to the end. */
		if (sizes[i] > 1000000) {
			memset(data + 300001, 0, 200003);
			memset(data + 600000, 'x', 100000);
			memset(data + sizes[i] - 99999, 0, 99999);
		}
		for (size_t c = 0; c < ALL; c++)
			/* Only LZ4 has blocks of 8 MiB to get wrong. */
			if (all[c] == CODEC_LZ4 || sizes[i] < 8000000)
				check_round(all[c], data, sizes[i]);
	}
	free(data);
}

static void leaves_zeros_alone(void **state)
{
	size_t len = 20U << 20, packed_len;
	uint8_t *data = calloc(1, len), *packed;
	size_t zero = 0;
	struct unpacked u;

	(void)state;
	assert_non_null(data);
	test_fill(data, 1U << 20, 1);
	test_fill(data + (9U << 20), 1U << 20, 2);
	packed = test_pack(CODEC_LZ4, data, len, &packed_len);
	assert_int_equal(unpack(&u, CODEC_LZ4, packed, packed_len, len, true),
			 0);
	assert_memory_equal(u.out.data, data, len);
	assert_in_range(u.out.hole_count, 2, UNPACK_HOLES_MAX);
	for (unsigned i = 0; i < u.out.hole_count; i++) {
		const uint8_t *at = u.out.data + u.out.holes[i].off;

		zero += u.out.holes[i].len;
		assert_int_equal((uintptr_t)at % 4096, 0);
	}
	assert_in_range(zero, 17U << 20, 18U << 20);
	unpacked_fini(&u);
	free(packed);
	free(data);
}

static void truncated_is_an_error(void **state)
{
	uint8_t data[3000];

	(void)state;
	test_fill(data, sizeof(data), 7);
	for (size_t c = 0; c < ALL; c++) {
		size_t len;
		uint8_t *packed = test_pack(all[c], data, sizeof(data), &len);

		for (size_t cut = 0; cut < len; cut++) {
			/* A copy of that size, for the sanitizers. */
			uint8_t *copy = malloc(cut ? cut : 1);
			struct unpacked u;
			int rc;

			assert_non_null(copy);
			memcpy(copy, packed, cut);
			rc = unpack(&u, all[c], copy, cut, sizeof(data), false);
			/* The index behind xz blocks need not be there. */
			if (all[c] != CODEC_XZ || cut < len / 2)
				assert_int_equal(rc, -EINVAL);
			if (rc)
				assert_string_not_equal(u.e.text, "");
			unpacked_fini(&u);
			free(copy);
		}
		free(packed);
	}
}

static void another_size_is_an_error(void **state)
{
	static const long off[] = {-2999, -1000, -1, 1, 1000, 100000};
	uint8_t data[3000];

	(void)state;
	test_fill(data, sizeof(data), 8);
	for (size_t c = 0; c < ALL; c++) {
		size_t len;
		uint8_t *packed = test_pack(all[c], data, sizeof(data), &len);

		for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
			struct unpacked u;

			assert_int_equal(unpack(&u, all[c], packed, len,
						(size_t)(3000 + off[i]), false),
					 -EINVAL);
			unpacked_fini(&u);
		}
		free(packed);
	}
}

static void prefix_is_the_start(void **state)
{
	static const size_t sizes[] = {1, 64, 4096, 65536};
	size_t len = 300000;
	uint8_t *data = malloc(len), *buf = malloc(65536);

	(void)state;
	assert_non_null(data);
	assert_non_null(buf);
	test_fill(data, len, 9);
	memset(data + 100, 0, 3000);
	for (size_t c = 0; c < ALL; c++) {
		size_t packed_len;
		uint8_t *packed = test_pack(all[c], data, len, &packed_len);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct filemap map = {.data = packed,
					      .len = packed_len};
			struct err e = {0};

			assert_int_equal(decompress_prefix(all[c], &map, buf,
							   sizes[i], &e),
					 0);
			assert_memory_equal(buf, data, sizes[i]);
		}
		free(packed);
	}
	free(buf);
	free(data);
}

/* Changed bytes: an error or some result, and never a byte outside. */
static void survives_changes(void **state)
{
	uint8_t data[3000];
	uint64_t rnd = 1;

	(void)state;
	test_fill(data, sizeof(data), 10);
	for (size_t c = 0; c < ALL; c++) {
		size_t len;
		uint8_t *packed = test_pack(all[c], data, sizeof(data), &len);

		for (unsigned i = 0; i < 500; i++) {
			struct unpacked u;
			size_t at;
			uint8_t old;

			rnd = rnd * 6364136223846793005ULL + 1;
			at = (size_t)(rnd >> 33) % len;
			old = packed[at];
			packed[at] ^= (uint8_t)(1 + (rnd >> 20) % 255);
			(void)unpack(&u, all[c], packed, len, sizeof(data),
				     false);
			unpacked_fini(&u);
			packed[at] = old;
		}
		free(packed);
	}
}

/* What our decoder takes, liblz4's takes, and the result is the same. */
static void agrees_with_liblz4(void **state)
{
	static uint8_t theirs[6000];
	uint8_t data[6000];
	unsigned taken = 0;
	uint64_t rnd = 2;
	size_t len;
	uint8_t *packed;

	(void)state;
	test_fill(data, sizeof(data), 11);
	memset(data + 1000, 'a', 700);
	packed = test_pack(CODEC_LZ4, data, sizeof(data), &len);
	for (unsigned i = 0; i < 5000; i++) {
		struct unpacked u;
		size_t at;
		uint8_t old;

		rnd = rnd * 6364136223846793005ULL + 1;
		at = 8 + (size_t)(rnd >> 33) % (len - 8);
		old = packed[at];
		packed[at] = (uint8_t)(rnd >> 20);
		if (!unpack(&u, CODEC_LZ4, packed, len, sizeof(data), false)) {
			assert_int_equal(LZ4_decompress_safe((char *)packed + 8,
							     (char *)theirs,
							     (int)(len - 8),
							     sizeof(theirs)),
					 sizeof(data));
			assert_memory_equal(u.out.data, theirs, sizeof(data));
			taken++;
		}
		unpacked_fini(&u);
		packed[at] = old;
	}
	assert_in_range(taken, 20, 5000);
	free(packed);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(unpacks_every_format),
	cmocka_unit_test(leaves_zeros_alone),
	cmocka_unit_test(truncated_is_an_error),
	cmocka_unit_test(another_size_is_an_error),
	cmocka_unit_test(prefix_is_the_start),
	cmocka_unit_test(survives_changes),
	cmocka_unit_test(agrees_with_liblz4),
};

TEST_MAIN(tests)
