/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of its own that waits for the end of this one.
 *
 * Theory of operation. The jail has no unlink: a path cannot be checked by
 * seccomp, so whoever may remove one file may remove any. Therefore a child,
 * forked before the jail, does it. It holds the directories and the files open,
 * waits for the end of a pipe, which comes when its parent is gone (or closes
 * it), removes what is still the same file under its name, and ends, for which
 * a parent that lives waits. Nothing is ever sent to it, so what takes over the
 * parent cannot talk it into anything.
 *
 * That a file is the same is seen by device and inode number, which no other
 * file can have while this one is held open. A lock file may have gone to a
 * successor meanwhile, who then holds its lock.
 *
 * Threads: main; the child has no other.
 * Syscalls: main: close, wait4; set-up: openat, pipe2, clone
 */
#include "vmm/sweeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/types.h"

#define LOCK_TRIES 20U

struct sweep_file {
	int dir_fd, fd;
	char *name;
	bool is_lock;
};

/* --- the child --- */

static bool sweep_is_same(const struct sweep_file *f)
{
	struct stat held, found;

	return !fstat(f->fd, &held) &&
	       !fstatat(f->dir_fd, f->name, &found, AT_SYMLINK_NOFOLLOW) &&
	       held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

/* A killed parent's lock goes a moment after its end of the pipe; a
 * successor's does not go. */
static bool sweep_lock(const struct sweep_file *f)
{
	const struct timespec moment = {.tv_nsec = (long)(5 * NS_PER_MS)};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (!fcntl(f->fd, F_OFD_SETLK, &lock))
			return true;
		(void)nanosleep(&moment, NULL);
	}
	return false;
}

static void sweep_one(const struct sweep_file *f)
{
	if ((!f->is_lock || sweep_lock(f)) && sweep_is_same(f))
		(void)unlinkat(f->dir_fd, f->name, 0);
}

static bool sweeper_needs(const struct sweeper *s, int fd)
{
	for (size_t i = 0; i < s->count; i++)
		if (fd == s->files[i].dir_fd || fd == s->files[i].fd)
			return true;
	return fd == s->alive_fd;
}

/* Terminals, pipes, images and devices end with their user. */
static void sweeper_close_others(const struct sweeper *s)
{
	int last = s->alive_fd;

	for (size_t i = 0; i < s->count; i++) {
		last = MAX(last, s->files[i].dir_fd);
		last = MAX(last, s->files[i].fd);
	}
	for (int fd = 0; fd < last; fd++)
		if (!sweeper_needs(s, fd))
			close(fd);
	(void)syscall(SYS_close_range, last + 1, ~0U, 0);
}

/* Out of reach of what the terminal sends its group; SIGTERM, as init's to
 * all, must not come between either. */
static void NORETURN sweeper_run(const struct sweeper *s)
{
	sigset_t all;
	ssize_t n;
	char c;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	(void)setsid();
	(void)!chdir("/");
	(void)prctl(PR_SET_NAME, "vireo-sweeper", 0, 0, 0);
	sweeper_close_others(s);
	do
		n = read(s->alive_fd, &c, 1);
	while (n < 0 && errno == EINTR);
	for (size_t i = 0; i < s->count; i++)
		sweep_one(&s->files[i]);
	_exit(0);
}

/* --- its parent --- */

static int sweep_file_open(struct sweep_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	/* With the slash: of "/x" it is all there is. */
	AUTO_FREE char *dir =
		slash ? strndup(path, (size_t)(name - path)) : strdup(".");

	f->name = strdup(name);
	if (!dir || !f->name)
		return -ENOMEM;
	f->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		return -errno;
	f->fd = openat(f->dir_fd, name,
		       (f->is_lock ? O_RDWR : O_PATH) | O_NOFOLLOW | O_CLOEXEC);
	return f->fd < 0 ? -errno : 0;
}

static void sweep_file_close(struct sweep_file *f)
{
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	if (f->fd >= 0)
		close(f->fd);
	free(f->name);
}

int sweeper_add(struct sweeper *s, const char *path, bool is_lock,
		struct err *e)
{
	struct sweep_file *grown =
		realloc(s->files, (s->count + 1) * sizeof(*grown));
	int r;

	if (!grown)
		return err_set(e, -ENOMEM, "out of memory");
	s->files = grown;
	grown += s->count;
	*grown = (struct sweep_file){
		.dir_fd = -1, .fd = -1, .is_lock = is_lock};
	r = sweep_file_open(grown, path);
	if (r) {
		sweep_file_close(grown);
		return err_set_errno(e, r, "cannot hold on to '%s'", path);
	}
	s->count++;
	return 0;
}

static void sweeper_forget(struct sweeper *s)
{
	while (s->count)
		sweep_file_close(&s->files[--s->count]);
	free(s->files);
	s->files = NULL;
}

static int sweeper_fork_failed(const int alive[2], struct err *e)
{
	int r = -errno;

	for (int i = 0; i < 2; i++)
		if (alive[i] >= 0)
			close(alive[i]);
	return err_set_errno(e, r, "cannot make a process that removes files "
				   "at the end");
}

int sweeper_start(struct sweeper *s, struct err *e)
{
	int alive[2] = {-1, -1};

	if (!s->count)
		return 0;
	s->pid = pipe2(alive, O_CLOEXEC) ? -1 : fork();
	if (s->pid < 0)
		return sweeper_fork_failed(alive, e);
	s->alive_fd = alive[s->pid ? 1 : 0];
	if (!s->pid)
		sweeper_run(s);
	close(alive[0]);
	sweeper_forget(s);
	return 0;
}

void sweeper_finish(struct sweeper *s)
{
	if (s->pid > 0) {
		close(s->alive_fd);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
		s->pid = 0;
	}
	/* If it was not started: set-up failed, and there is no jail yet. */
	for (size_t i = 0; i < s->count; i++)
		sweep_one(&s->files[i]);
	sweeper_forget(s);
}
