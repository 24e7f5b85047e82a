/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: anonymous, a memfd, or a file.
 *
 * Threads: main.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/object.h"
#include "base/mman.h"
#include "base/num.h"

#define HUGETLBFS_MAGIC_NR 0x958458f6
#define MEMFD_HUGE_SHIFT   26

#define MEMORY_PROPS(share_default)                                            \
	PROP_BOOL(struct memory_backend, dump, "dump", true,                   \
		  "take it into core dumps"),                                  \
	PROP_BOOL(struct memory_backend, merge, "merge", false,                \
		  "let the host merge equal pages"),                           \
	PROP_BOOL(struct memory_backend, prealloc, "prealloc", false,          \
		  "populate all of it at the start"),                          \
	PROP_BOOL(struct memory_backend, share, "share", share_default,        \
		  "map it shared, for other processes to see"),                \
	PROP_SIZE(struct memory_backend, bytes, "size", 0, 0, 1ULL << 46,      \
		  "size, a multiple of the page size")

static struct memory_backend *memory_of(struct object *o)
{
	return container_of(o, struct memory_backend, obj);
}

/* Of the pages behind it: hugetlb pages are what fstatfs says. */
static uint64_t page_bytes(int fd)
{
	struct statfs fs;

	if (fd >= 0 && !fstatfs(fd, &fs) &&
	    (uint32_t)fs.f_type == HUGETLBFS_MAGIC_NR)
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_huge(const struct memory_backend *m)
{
	return page_bytes(m->fd) != page_bytes(-1);
}

static int check_size(const struct memory_backend *m, struct err *e)
{
	uint64_t page = page_bytes(m->fd);

	if (!m->bytes)
		return err_set(e, -EINVAL, "property 'size' is required");
	if (m->bytes % page)
		return err_set(e, -EINVAL,
			       "size %" PRIu64 " is not a multiple of the page "
			       "size %" PRIu64,
			       m->bytes, page);
	return 0;
}

/* What the user asked for beyond the bytes; the host may lack KSM. */
static int advise(struct memory_backend *m, struct err *e)
{
	/* A forked child (vmm/sweeper.c) has no use for it; a refusal costs
	 * only time. */
	(void)madvise(m->host, m->bytes, MADV_DONTFORK);
	if (m->merge && madvise(m->host, m->bytes, MADV_MERGEABLE))
		return err_set_errno(e, -errno, "merge=on");
	if (!m->dump && madvise(m->host, m->bytes, MADV_DONTDUMP))
		return err_set_errno(e, -errno, "dump=off");
	if (m->prealloc && madvise(m->host, m->bytes, MADV_POPULATE_WRITE))
		return err_set_errno(e, -errno,
				     "prealloc=on: cannot populate %" PRIu64
				     " MiB",
				     m->bytes / MIB);
	return 0;
}

/* Of ordinary pages, which the host can find later, none is reserved; what is
 * missing in a pool of huge pages would be a SIGBUS in the guest's midst. */
static int map_flags(const struct memory_backend *m)
{
	return (m->share ? MAP_SHARED : MAP_PRIVATE) |
	       (is_huge(m) ? 0 : MAP_NORESERVE) |
	       (m->fd < 0 ? MAP_ANONYMOUS : 0);
}

static int refuse_map(const struct memory_backend *m, int r, struct err *e)
{
	err_set_errno(e, r, "cannot map %" PRIu64 " MiB", m->bytes / MIB);
	if (is_huge(m) && r == -ENOMEM)
		err_append(e, " (the pool of huge pages has too few: see "
			      "sysctl vm.nr_hugepages)");
	return r;
}

static int map_memory(struct memory_backend *m, struct err *e)
{
	void *host;
	int r = check_size(m, e);

	if (r)
		return r;
	host = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, map_flags(m), m->fd,
		    0);
	if (host == MAP_FAILED)
		return refuse_map(m, -errno, e);
	m->host = host;
	return advise(m, e);
}

bool memory_is_plain(const struct memory_backend *m)
{
	return m->fd < 0 && !m->share && !m->prealloc && !m->merge && m->dump;
}

static void memory_fini(struct object *o)
{
	struct memory_backend *m = memory_of(o);

	if (m->host)
		munmap(m->host, m->bytes);
	if (m->has_fd)
		close(m->fd);
}

static int ram_complete(struct object *o, struct err *e)
{
	struct memory_backend *m = memory_of(o);

	m->fd = -1;
	return map_memory(m, e);
}

/* log2 of the huge page size for memfd_create(2), 0 for the host's default. */
static int huge_shift(uint64_t bytes, unsigned *ret, struct err *e)
{
	*ret = 0;
	if (!bytes)
		return 0;
	if (!is_pow2(bytes))
		return err_set(e, -EINVAL,
			       "hugetlbsize %" PRIu64 " is not a power of two",
			       bytes);
	*ret = (unsigned)__builtin_ctzll(bytes) << MEMFD_HUGE_SHIFT;
	return 0;
}

static int memfd_open(struct memory_backend *m, struct err *e)
{
	unsigned flags = MFD_CLOEXEC, shift;
	int r = huge_shift(m->hugetlbsize, &shift, e);

	if (r)
		return r;
	if (m->hugetlbsize && !m->hugetlb)
		return err_set(e, -EINVAL, "hugetlbsize needs hugetlb=on");
	if (m->hugetlb)
		flags |= MFD_HUGETLB | shift;
	if (m->seal)
		flags |= MFD_ALLOW_SEALING;
	m->fd = memfd_create("vireo-ram", flags);
	if (m->fd < 0)
		return err_set_errno(e, -errno, "cannot make a memfd");
	m->has_fd = true;
	return 0;
}

static int memfd_complete(struct object *o, struct err *e)
{
	struct memory_backend *m = memory_of(o);
	int r = memfd_open(m, e);

	if (!r)
		r = check_size(m, e);
	if (r)
		return r;
	if (ftruncate(m->fd, (off_t)m->bytes))
		return err_set_errno(e, -errno, "cannot make it %" PRIu64
						" MiB large",
				     m->bytes / MIB);
	if (m->seal && fcntl(m->fd, F_ADD_SEALS,
			     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return err_set_errno(e, -errno, "cannot seal the memfd");
	return map_memory(m, e);
}

/* A folder gives a file without a name; a file is used as it is. */
static int file_open(struct memory_backend *m, struct err *e)
{
	struct stat st;
	bool is_dir = !stat(m->path, &st) && S_ISDIR(st.st_mode);

	m->fd = is_dir ? open(m->path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)
		       : open(m->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->fd < 0)
		return err_set_errno(e, -errno, "cannot open '%s'", m->path);
	m->has_fd = true;
	return 0;
}

/* A file that is too short is grown; a longer one keeps its length. */
static int file_fit(struct memory_backend *m, struct err *e)
{
	struct stat st;

	if (fstat(m->fd, &st))
		return err_set_errno(e, -errno, "cannot examine '%s'",
				     m->path);
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return err_set(e, -EINVAL, "'%s' is not a regular file",
			       m->path);
	if (S_ISCHR(st.st_mode) || (uint64_t)st.st_size >= m->bytes)
		return 0;
	if (ftruncate(m->fd, (off_t)m->bytes))
		return err_set_errno(e, -errno, "cannot grow '%s' to %" PRIu64
						" MiB",
				     m->path, m->bytes / MIB);
	return 0;
}

static int file_complete(struct object *o, struct err *e)
{
	struct memory_backend *m = memory_of(o);
	int r = file_open(m, e);

	if (!r)
		r = check_size(m, e);
	if (!r)
		r = file_fit(m, e);
	return r ? r : map_memory(m, e);
}

static const struct prop ram_props[] = {
	MEMORY_PROPS(false),
	PROP_END,
};

static const struct prop memfd_props[] = {
	PROP_BOOL(struct memory_backend, hugetlb, "hugetlb", false,
		  "huge pages of the host's pool"),
	PROP_SIZE(struct memory_backend, hugetlbsize, "hugetlbsize", 0, 0,
		  1ULL << 34, "their size (0: the host's default)"),
	MEMORY_PROPS(true),
	PROP_BOOL(struct memory_backend, seal, "seal", true,
		  "seal its size"),
	PROP_END,
};

static const struct prop file_props[] = {
	PROP_STR_REQUIRED(struct memory_backend, path, "mem-path",
			  "file, or folder for a file without a name"),
	MEMORY_PROPS(false),
	PROP_END,
};

extern const struct object_class memory_ram_class, memory_memfd_class,
	memory_file_class;

const struct object_class memory_ram_class = {
	.name = "memory-backend-ram",
	.summary = "anonymous memory",
	.kind = "memory",
	.size = sizeof(struct memory_backend),
	.props = ram_props,
	.complete = ram_complete,
	.fini = memory_fini,
};

const struct object_class memory_memfd_class = {
	.name = "memory-backend-memfd",
	.summary = "memory that other processes can be given",
	.kind = "memory",
	.size = sizeof(struct memory_backend),
	.props = memfd_props,
	.complete = memfd_complete,
	.fini = memory_fini,
};

const struct object_class memory_file_class = {
	.name = "memory-backend-file",
	.summary = "memory in a file",
	.kind = "memory",
	.size = sizeof(struct memory_backend),
	.props = file_props,
	.complete = file_complete,
	.fini = memory_fini,
};

int memory_anonymous(uint64_t bytes, struct memory_backend **ret,
		     struct err *e)
{
	struct memory_backend *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->obj.class = &memory_ram_class;
	list_init(&m->obj.link);
	m->bytes = bytes;
	m->dump = true;
	r = ram_complete(&m->obj, e);
	if (r) {
		object_free(&m->obj);
		return r;
	}
	*ret = m;
	return 0;
}
