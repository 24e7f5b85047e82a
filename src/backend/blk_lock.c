/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image locks: nobody writes to an image that another process uses.
 *
 * Shared locks on single bytes of the image say what its user does and what
 * it does not tolerate from others, so that one byte-range conflict test
 * answers each question. The bytes are those that QEMU and its tools use, so
 * that they and vireo respect each other: byte 100 + p, the permission p is
 * used; byte 200 + p, the permission p is denied to others.
 *
 * Locks belong to an open file description (F_OFD_SETLK) and end with it. They
 * have one of their own: what is registered with a ring lives on until the
 * kernel has taken the ring apart, some time after the process was killed and
 * its parent told, and who starts it again would find the image in use. The
 * requests themselves end before the process does.
 *
 * Threads: main.
 * Syscalls: set-up: openat, newfstatat, fcntl, close
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/blk_file.h"
#include "base/cleanup.h"

/* The permissions that matter here; their numbers are the others'. */
enum lock_perm { PERM_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3, PERMS };

#define USED_BASE   100
#define DENIED_BASE 200

static int lock_byte(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK,
			     .l_whence = SEEK_SET,
			     .l_start = byte,
			     .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* Has somebody else locked the byte? 0, -EBUSY or another -errno. */
static int lock_test(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = byte,
			     .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : -EBUSY;
}

static bool lock_uses(enum lock_perm p, bool writes)
{
	return p == PERM_READ || (p == PERM_WRITE && writes);
}

/* A guest's disk changes under nobody, whether it writes or only reads. */
static bool lock_denies(enum lock_perm p)
{
	return p == PERM_WRITE || p == PERM_RESIZE;
}

static int lock_take(int fd, bool writes)
{
	int r = 0;

	for (enum lock_perm p = 0; p < PERMS && !r; p++) {
		if (lock_uses(p, writes))
			r = lock_byte(fd, USED_BASE + (off_t)p);
		if (!r && lock_denies(p))
			r = lock_byte(fd, DENIED_BASE + (off_t)p);
	}
	return r;
}

/* After lock_take(): two that start together both see each other. */
static int lock_check(int fd, bool writes)
{
	int r = 0;

	for (enum lock_perm p = 0; p < PERMS && !r; p++) {
		if (lock_uses(p, writes))
			r = lock_test(fd, DENIED_BASE + (off_t)p);
		if (!r && lock_denies(p))
			r = lock_test(fd, USED_BASE + (off_t)p);
	}
	return r;
}

/* File systems without locks: NFS without lockd, some FUSE ones. */
static bool lock_is_unsupported(int r)
{
	return r == -EINVAL || r == -ENOLCK || r == -EOPNOTSUPP || r == -ENOSYS;
}

/* The file that is open already, again: a descriptor or -errno. */
static int lock_open(const struct blk_file *f)
{
	AUTO_FD int fd =
		open(f->filename, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat ours, other;

	if (fd < 0 || fstat(fd, &other) || fstat(f->fd, &ours))
		return -errno;
	/* Somebody has put another file in its place. */
	if (other.st_dev != ours.st_dev || other.st_ino != ours.st_ino)
		return -ESTALE;
	return take_fd(fd);
}

static int lock_try(struct blk_file *f)
{
	bool writes = !f->node.read_only;
	int r;

	f->lock_fd = lock_open(f);
	r = f->lock_fd < 0 ? f->lock_fd : lock_take(f->lock_fd, writes);
	return r ? r : lock_check(f->lock_fd, writes);
}

int blk_lock(struct blk_file *f, struct err *e)
{
	int r;

	if (f->locking == OOA_OFF)
		return 0;
	r = lock_try(f);
	if (r == -EBUSY || r == -EAGAIN)
		return err_set(e, -EBUSY,
			       "'%s' is in use by another process%s (end that "
			       "process, or give locking=off if both may use "
			       "it)",
			       f->filename,
			       f->node.read_only ? " that may write to it"
						 : "");
	if (lock_is_unsupported(r) && f->locking == OOA_AUTO)
		return 0;
	return r ? err_set_errno(e, r, "cannot lock '%s'", f->filename) : 0;
}
