/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block nodes against a model: many requests at once, at random places, with
 * memory in random pieces, and what is read must be what was written.
 *
 * The model is the disk's bytes. Requests that are under way together do not
 * overlap, as a guest's would not that cares; so each has one right result.
 *
 * And once more on a host that does less than it is asked for: the loop's
 * functions are wrapped, and interrupt, cut and refuse what they please.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/num.h"
#include "test/lib/loop.h"
#include "test/lib/loopdev.h"

#define SECTOR  512U
#define SECTORS 2048U
#define DISK    (SECTORS * SECTOR)
#define DEPTH   32U
#define LONGEST 300U /* sectors of a request: more than a bounce buffer */
#define PIECES  8U
#define OPS     2000U
#define SLACK   64U /* between pieces */

struct slot {
	struct blk_req r;
	struct iovec iov[PIECES];
	unsigned char *memory;
	unsigned first, count; /* sectors */
	bool is_busy;
};

static struct model {
	/* Of a sloppy host: transfers are cut to multiples of it. 0: a host
	 * that does as it is told. */
	size_t cut;
	struct loop *l;
	struct blk_graph graph;
	struct blk_node *n;
	unsigned char bytes[DISK];
	bool is_known[SECTORS]; /* not so after a discard */
	struct slot slots[DEPTH];
	unsigned busy;
	uint32_t seed;
	struct err why;
} m;

static unsigned pick(unsigned n)
{
	m.seed = m.seed * 1664525U + 1013904223U;
	return (m.seed >> 8) % n;
}

/* --- the host --- */

/* The linker's: `--wrap=loop_readv` and so on (test/test.mk). */
#define WRAP_VECTOR(name)                                                      \
	void __real_##name(struct loop *l, struct loop_io *io, int file,       \
			   const struct iovec *iov, unsigned n, uint64_t off); \
	void __wrap_##name(struct loop *l, struct loop_io *io, int file,       \
			   const struct iovec *iov, unsigned n, uint64_t off); \
	void __wrap_##name(struct loop *l, struct loop_io *io, int file,       \
			   const struct iovec *iov, unsigned n, uint64_t off)  \
	{                                                                      \
		if (host_interrupts(l, io))                                    \
			return;                                                \
		iov = host_cuts(iov, &n);                                      \
		__real_##name(l, io, file, iov, n, off);                       \
	}

static bool host_interrupts(struct loop *l, struct loop_io *io)
{
	if (!m.cut || pick(6))
		return false;
	loop_complete(l, io, pick(2) ? -EINTR : -EAGAIN);
	return true;
}

/* A part of the first piece, or all of it. */
static const struct iovec *host_cuts(const struct iovec *iov, unsigned *n)
{
	static struct iovec cut[4 * DEPTH]; /* in turn: the last are not used */
	static unsigned next;
	struct iovec *v = &cut[next++ % ARRAY_SIZE(cut)];

	if (!m.cut || pick(3))
		return iov;
	*v = *iov;
	v->iov_len = align_down(1 + pick((unsigned)iov->iov_len), m.cut);
	if (!v->iov_len)
		return iov;
	*n = 1;
	return v;
}

WRAP_VECTOR(loop_readv)
WRAP_VECTOR(loop_writev)

void __real_loop_fdatasync(struct loop *l, struct loop_io *io, int file);
void __wrap_loop_fdatasync(struct loop *l, struct loop_io *io, int file);
void __real_loop_fallocate(struct loop *l, struct loop_io *io, int file,
			   int mode, uint64_t offset, uint64_t len);
void __wrap_loop_fallocate(struct loop *l, struct loop_io *io, int file,
			   int mode, uint64_t offset, uint64_t len);

void __wrap_loop_fdatasync(struct loop *l, struct loop_io *io, int file)
{
	if (!host_interrupts(l, io))
		__real_loop_fdatasync(l, io, file);
}

/* Has it in the beginning, and then no more. */
void __wrap_loop_fallocate(struct loop *l, struct loop_io *io, int file,
			   int mode, uint64_t offset, uint64_t len)
{
	if (host_interrupts(l, io))
		return;
	if (m.cut && !pick(32))
		loop_complete(l, io, -EOPNOTSUPP);
	else
		__real_loop_fallocate(l, io, file, mode, offset, len);
}

/* --- requests --- */

static unsigned char *model_at(const struct slot *s)
{
	return m.bytes + s->first * SECTOR;
}

/* Compares (or gives) the memory of a request with the model's bytes. */
static void slot_check(const struct slot *s)
{
	const unsigned char *want = model_at(s);
	unsigned at = 0;

	for (unsigned i = 0; i < s->r.niov; i++) {
		const unsigned char *p = s->iov[i].iov_base;

		for (size_t k = 0; k < s->iov[i].iov_len; k++, at++)
			if (m.is_known[s->first + at / SECTOR] &&
			    p[k] != want[at])
				fail_msg("byte %u of sectors %u+%u", at,
					 s->first, s->count);
	}
}

static void slot_fill(const struct slot *s)
{
	unsigned at = 0;

	for (unsigned i = 0; i < s->r.niov; i++) {
		unsigned char *p = s->iov[i].iov_base;

		for (size_t k = 0; k < s->iov[i].iov_len; k++, at++)
			p[k] = (unsigned char)pick(256);
		memcpy(model_at(s) + at - s->iov[i].iov_len, p,
		       s->iov[i].iov_len);
	}
}

static void slot_done(struct blk_req *r, int result)
{
	struct slot *s = container_of(r, struct slot, r);

	assert_int_equal(result, 0);
	if (r->op == BLK_READ)
		slot_check(s);
	s->is_busy = false;
	m.busy--;
}

/* Memory in up to PIECES pieces, some of them aligned as O_DIRECT wants. */
static void slot_pieces(struct slot *s)
{
	unsigned char *p = s->memory + (pick(2) ? pick(SLACK) : 0);
	size_t left = s->count * SECTOR;
	bool is_whole = pick(2);

	s->r.niov = 0;
	while (left) {
		size_t len = 1 + pick((unsigned)left);

		if (is_whole)
			len = MIN(align_up(len, 4096), left);
		if (s->r.niov == PIECES - 1)
			len = left;
		s->iov[s->r.niov++] = (struct iovec){p, len};
		p += len + (is_whole ? 0 : pick(SLACK));
		left -= len;
	}
}

static bool overlaps(const struct slot *s)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		const struct slot *o = &m.slots[i];

		if (o != s && o->is_busy &&
		    ranges_overlap(s->first, s->count, o->first, o->count))
			return true;
	}
	return false;
}

/* What it leaves in the model. */
static void slot_note(const struct slot *s)
{
	if (s->r.op == BLK_WRITE)
		slot_fill(s);
	if (s->r.op == BLK_WRITE_ZEROES)
		memset(model_at(s), 0, s->count * SECTOR);
	for (unsigned i = 0; i < s->count && s->r.op != BLK_READ; i++)
		m.is_known[s->first + i] = s->r.op != BLK_DISCARD;
}

static void slot_submit(struct slot *s, enum blk_op op, unsigned flags)
{
	s->r = (struct blk_req){
		.op = op,
		.flags = flags,
		.offset = s->first * SECTOR,
		.bytes = s->count * SECTOR,
		.iov = s->iov,
		.done = slot_done,
	};
	if (op == BLK_READ || op == BLK_WRITE)
		slot_pieces(s);
	slot_note(s);
	s->is_busy = true;
	m.busy++;
	blk_submit(m.n, &s->r);
}

/* A place for it, half of the time of whole blocks. */
static void slot_place(struct slot *s)
{
	s->count = 1 + pick(pick(4) ? 16 : LONGEST);
	s->first = pick(SECTORS - s->count);
	if (pick(2))
		return;
	s->first &= ~7U;
	s->count = MIN((s->count + 7) & ~7U, SECTORS - s->first);
}

static void slot_start(struct slot *s)
{
	static const enum blk_op ops[] = {
		BLK_READ,  BLK_READ,    BLK_WRITE,        BLK_WRITE,
		BLK_WRITE, BLK_DISCARD, BLK_WRITE_ZEROES,
	};
	enum blk_op op = ops[pick(ARRAY_SIZE(ops))];
	unsigned flags = pick(2) ? 0 : BLK_MAY_UNMAP;

	s->first = s->count = 0;
	if (!pick(512)) {
		slot_submit(s, BLK_FLUSH, 0);
		return;
	}
	slot_place(s);
	if (!overlaps(s) && (op != BLK_WRITE_ZEROES || m.n->caps.write_zeroes))
		slot_submit(s, op, flags | (pick(512) ? 0 : BLK_FUA));
}

/* All of the disk, once no other request is under way. */
static void check_all(void)
{
	struct slot *s = &m.slots[0];

	for (s->first = 0; s->first < SECTORS; s->first += s->count) {
		s->count = MIN(LONGEST, SECTORS - s->first);
		slot_submit(s, BLK_READ, 0);
		blk_drain(m.n);
	}
}

static void run(void)
{
	for (unsigned n = 0; n < OPS; n++) {
		struct slot *s = &m.slots[pick(DEPTH)];

		if (!s->is_busy)
			slot_start(s);
		if (!pick(8) || m.busy == DEPTH)
			test_loop_step(m.l, 0);
	}
	blk_drain(m.n);
	assert_int_equal(m.busy, 0);
	check_all();
}

static void make_disk(char *path)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (unsigned i = 0; i < DISK; i++)
		m.bytes[i] = (unsigned char)(i * 131 + i / 512);
	assert_int_equal(write(fd, m.bytes, DISK), DISK);
	close(fd);
	memset(m.is_known, true, sizeof(m.is_known));
}

/* All slots' memory; registered with the ring, if so asked. */
static unsigned char *make_memory(bool is_registered)
{
	const size_t each = LONGEST * SECTOR + PIECES * SLACK;
	const size_t len = DEPTH * align_up(each, 4096);
	struct iovec iov = {NULL, len};

	iov.iov_base = aligned_alloc(4096, len);
	assert_non_null(iov.iov_base);
	memset(iov.iov_base, 0, len);
	for (unsigned i = 0; i < DEPTH; i++)
		m.slots[i].memory = (unsigned char *)iov.iov_base +
				    i * align_up(each, 4096);
	if (is_registered && loop_engine_of(m.l) == LOOP_URING)
		assert_int_equal(loop_buffers(m.l, &iov, 1), 0);
	return iov.iov_base;
}

/* Options end in the key of the path. False: the host has not got that; m.why
 * tells. */
static bool agrees(void **state, const char *options, const char *path,
		   bool is_registered)
{
	struct json_object *conf;
	unsigned char *memory;
	char text[256];
	bool is_open;

	m.l = test_loop_plain(state);
	m.seed = 12345;
	m.busy = 0;
	memset(m.slots, 0, sizeof(m.slots));
	memory = make_memory(is_registered);
	blk_graph_init(&m.graph);
	(void)snprintf(text, sizeof(text), "%s%s", options, path);
	assert_int_equal(keyval_parse(text, NULL, 0, &conf, &m.why), 0);
	is_open = !blk_open(&m.graph, conf, "-blockdev", &m.n, &m.why);
	json_object_put(conf);
	if (is_open) {
		assert_int_equal(blk_bind(m.n, m.l, NULL), 0);
		run();
	}
	blk_graph_fini(&m.graph);
	loop_free(m.l);
	free(memory);
	return is_open;
}

/* cut: of struct model. */
static void on_file(void **state, const char *options, bool is_registered,
		    size_t cut)
{
	char path[] = "/var/tmp/vireo-model-XXXXXX";
	bool ran;

	m.cut = cut;
	make_disk(path);
	ran = agrees(state, options, path, is_registered);
	unlink(path);
	if (!ran)
		test_skip("%s", m.why.text);
}

static void on_device(void **state, const char *options, size_t cut)
{
	char path[] = "/var/tmp/vireo-model-XXXXXX";
	struct loopdev d;
	bool ran = false;

	m.cut = cut;
	make_disk(path);
	if (loopdev_new(&d, path))
		(void)err_set(&m.why, -ENODEV, "no loop device");
	else
		ran = agrees(state, options, d.path, false);
	if (d.fd >= 0)
		close(d.fd);
	unlink(path);
	if (!ran)
		test_skip("%s", m.why.text);
}

#define FILE_OPTIONS   "driver=file,discard=unmap,filename="
#define DIRECT_OPTIONS "driver=file,discard=unmap,cache.direct=on,filename="
#define DEVICE_OPTIONS "driver=host_device,discard=unmap,filename="
#define DIRECT_DEVICE_OPTIONS                                                  \
	"driver=host_device,discard=unmap,cache.direct=on,filename="
#define OVERLAY_OPTIONS                                                        \
	"driver=overlay,file.driver=file,file.read-only=on,file.filename="

static void file_agrees(void **state)
{
	on_file(state, FILE_OPTIONS, false, 0);
}

static void registered_memory_agrees(void **state)
{
	on_file(state, FILE_OPTIONS, true, 0);
}

static void direct_file_agrees(void **state)
{
	on_file(state, DIRECT_OPTIONS, true, 0);
}

static void overlay_agrees(void **state)
{
	on_file(state, OVERLAY_OPTIONS, false, 0);
}

static void device_agrees(void **state)
{
	on_device(state, DEVICE_OPTIONS, 0);
}

static void direct_device_agrees(void **state)
{
	on_device(state, DIRECT_DEVICE_OPTIONS, 0);
}

static void sloppy_file_agrees(void **state)
{
	on_file(state, FILE_OPTIONS, false, 1);
}

static void sloppy_direct_file_agrees(void **state)
{
	on_file(state, DIRECT_OPTIONS, false, 4096);
}

static void sloppy_overlay_agrees(void **state)
{
	on_file(state, OVERLAY_OPTIONS, false, 1);
}

static void sloppy_direct_device_agrees(void **state)
{
	on_device(state, DIRECT_DEVICE_OPTIONS, 4096);
}

static const struct CMUnitTest tests[] = {
	ON_BOTH_ENGINES(file_agrees),
	ON_BOTH_ENGINES(registered_memory_agrees),
	ON_BOTH_ENGINES(direct_file_agrees),
	ON_BOTH_ENGINES(overlay_agrees),
	ON_BOTH_ENGINES(device_agrees),
	ON_BOTH_ENGINES(direct_device_agrees),
	ON_BOTH_ENGINES(sloppy_file_agrees),
	ON_BOTH_ENGINES(sloppy_direct_file_agrees),
	ON_BOTH_ENGINES(sloppy_overlay_agrees),
	ON_BOTH_ENGINES(sloppy_direct_device_agrees),
};

TEST_MAIN(tests)
