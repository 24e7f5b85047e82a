/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads boot files by pread, or maps them and gives pages back behind the
 * reader.
 *
 * Theory of operation: a mapping saves the copy of a read, but a file that
 * another process truncates raises SIGBUS at the next access. The handler puts
 * a page of zeros there, so that the reader runs on and sees bytes that are
 * not a kernel, and filemap_is_whole() tells. It acts on the calling thread's
 * mapping alone; any other SIGBUS goes to the handler that was there before.
 *
 * Threads: main.
 * Syscalls: main: fstat, pread64, mmap, munmap, madvise; all: rt_sigaction
 */
#include "vmm/filemap.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/num.h"

#define FILEMAP_PAGE 4096U
#define FILEMAP_DROP (512U * KIB) /* given back at a time */

/* What the handler may repair: the mapping that this thread reads. */
static _Thread_local struct {
	volatile uintptr_t base;
	volatile size_t len;
	volatile sig_atomic_t hit;
} filemap_guard;

static pthread_once_t filemap_guard_once = PTHREAD_ONCE_INIT;
static struct sigaction filemap_guard_old;

int boot_file_init(struct boot_file *f, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set_errno(e, -errno, "cannot be read");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "not a regular file");
	if (!st.st_size)
		return err_set(e, -EINVAL, "the file is empty");
	*f = (struct boot_file){.fd = fd, .size = (uint64_t)st.st_size};
	return 0;
}

int boot_file_read(const struct boot_file *f, uint64_t off, void *buf,
		   uint64_t len, struct err *e)
{
	char *to = buf;

	while (len) {
		ssize_t n = pread(f->fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, -errno, "cannot be read");
		if (!n)
			return err_set(e, -EINVAL,
				       "it ends at byte %" PRIu64
				       ", is it truncated?",
				       off);
		to += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static void filemap_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	if (info->si_code == BUS_ADRERR &&
	    at - filemap_guard.base < filemap_guard.len &&
	    mmap((void *)align_down(at, FILEMAP_PAGE), FILEMAP_PAGE, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != MAP_FAILED) {
		filemap_guard.hit = 1;
		errno = saved;
		return;
	}
	/* Not ours: the access is repeated, for the handler that was there. */
	(void)sigaction(sig, &filemap_guard_old, NULL);
	if (info->si_code <= 0)
		(void)raise(sig); /* no access, somebody sent it */
}

static void filemap_guard_install(void)
{
	struct sigaction sa = {.sa_sigaction = filemap_sigbus,
			       .sa_flags = SA_SIGINFO};

	(void)sigemptyset(&sa.sa_mask);
	/* Cannot fail for SIGBUS. */
	(void)sigaction(SIGBUS, &sa, &filemap_guard_old);
}

int filemap_open(struct filemap *m, const struct boot_file *f, uint64_t off,
		 size_t len, struct err *e)
{
	size_t lead = (size_t)(off % FILEMAP_PAGE);
	void *base;

	*m = (struct filemap){0};
	if (!len || !range_ok(off, len, f->size))
		return err_set(e, -EINVAL,
			       "it has no %zu bytes at %" PRIu64
			       ", is it truncated?",
			       len, off);
	(void)pthread_once(&filemap_guard_once, filemap_guard_install);
	base = mmap(NULL, lead + len, PROT_READ, MAP_PRIVATE, f->fd,
		    (off_t)(off - lead));
	if (base == MAP_FAILED)
		return err_set_errno(e, -errno, "cannot be mapped");
	/* Pages are read ahead of the reader; a refusal costs only time. */
	(void)madvise(base, lead + len, MADV_SEQUENTIAL);
	*m = (struct filemap){.data = (const uint8_t *)base + lead,
			      .len = len,
			      .base = base,
			      .base_len = lead + len};
	filemap_guard.hit = 0;
	filemap_guard.base = (uintptr_t)base;
	filemap_guard.len = m->base_len;
	return 0;
}

void filemap_close(struct filemap *m)
{
	if (!m->base)
		return;
	filemap_guard.len = 0;
	(void)munmap(m->base, m->base_len);
	*m = (struct filemap){0};
}

void filemap_drop(struct filemap *m, size_t upto)
{
	size_t lead, end;

	if (!m->base)
		return;
	lead = m->base_len - m->len;
	end = (size_t)align_down(lead + upto, FILEMAP_PAGE);
	if (end < m->dropped + FILEMAP_DROP)
		return;
	/* A refusal costs only memory. */
	(void)madvise((char *)m->base + m->dropped, end - m->dropped,
		      MADV_DONTNEED);
	m->dropped = end;
}

bool filemap_is_whole(const struct filemap *m)
{
	return !m->base || !filemap_guard.hit;
}

int boot_file_copy(const struct boot_file *f, uint64_t off, void *to,
		   uint64_t len, struct err *e)
{
	struct filemap m;
	bool whole;
	int rc = filemap_open(&m, f, off, len, e);

	if (rc)
		return rc;
	for (uint64_t done = 0, n; done < len; done += n) {
		n = MIN(FILEMAP_DROP, len - done);
		memcpy((char *)to + done, m.data + done, n);
		filemap_drop(&m, done + n);
	}
	whole = filemap_is_whole(&m);
	filemap_close(&m);
	if (!whole)
		return err_set(e, -EINVAL, "the file shrank while it was read");
	return 0;
}
