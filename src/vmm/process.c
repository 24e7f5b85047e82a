/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becomes a daemon, keeps the pid file, names the process, sets what the C
 * library and the kernel hold for all of it.
 *
 * Threads: main.
 * Syscalls: main: dup3, write, close
 */
#include "vmm/process.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"
#include "vmm/config.h"
#include "vmm/vm.h"

#define PID_TRIES 20U

/* Like a closed descriptor, O_PATH takes neither reads nor writes. */
void process_open_std(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/", O_PATH);
}

int process_flush_stdout(struct err *e)
{
	/* The reason of an earlier failure is forgotten. */
	if (ferror(stdout))
		return err_set(e, -EIO, "cannot write to standard output");
	if (fflush(stdout))
		return err_set_errno(e, -errno,
				     "cannot write to standard output");
	return 0;
}

/* The parent's side: exits as the child says, or as it died. */
static void NORETURN wait_for_child(int ready_fd, pid_t child)
{
	char ok;
	int status;

	if (read(ready_fd, &ok, 1) == 1)
		_exit(0);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	_exit(1);
}

static int daemonize(struct process *p, struct err *e)
{
	int ready[2];
	pid_t child;

	p->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (p->null_fd < 0)
		return err_set_errno(e, -errno, "cannot open /dev/null");
	if (pipe2(ready, O_CLOEXEC))
		return err_set_errno(e, -errno, "-daemonize: cannot make a "
						"pipe");
	child = fork();
	if (child < 0)
		return err_set_errno(e, -errno, "-daemonize: cannot fork");
	if (child) {
		close(ready[1]);
		wait_for_child(ready[0], child);
	}
	close(ready[0]);
	p->ready_fd = ready[1];
	if (setsid() < 0)
		return err_set_errno(e, -errno, "-daemonize: setsid");
	return 0;
}

/* Locks the file: 0, -EAGAIN where another process has it, -ESTALE where it
 * was removed meanwhile. */
static int lock_pid_file(int fd, const char *path)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat held, found;

	if (fcntl(fd, F_OFD_SETLK, &lock))
		return errno == EACCES ? -EAGAIN : -errno;
	if (fstat(fd, &held) || lstat(path, &found) ||
	    held.st_dev != found.st_dev || held.st_ino != found.st_ino)
		return -ESTALE;
	return 0;
}

/*
 * A predecessor's sweeper holds the lock for the moment in which it removes
 * the file; others hold it for long.
 */
static int open_pid_file(const char *path, int *ret)
{
	const struct timespec moment = {.tv_nsec = (long)(5 * NS_PER_MS)};
	int r = -EAGAIN;

	for (unsigned i = 0; i < PID_TRIES; i++) {
		int fd = open(path,
			      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				      O_NONBLOCK | O_NOCTTY,
			      0644);

		if (fd < 0)
			return -errno;
		r = lock_pid_file(fd, path);
		if (!r) {
			*ret = fd;
			return 0;
		}
		close(fd);
		if (r == -EAGAIN)
			(void)nanosleep(&moment, NULL);
		else if (r != -ESTALE)
			return r;
	}
	return r;
}

static int write_pid(struct process *p, const char *path, struct err *e)
{
	char text[16];
	int len, r = open_pid_file(path, &p->pid_fd);

	if (r == -EAGAIN)
		return err_set(e, -EBUSY,
			       "-pidfile: '%s' is held by another process",
			       path);
	if (r == -ELOOP)
		return err_set(e, r, "-pidfile: '%s' is a symbolic link", path);
	if (r)
		return err_set_errno(e, r, "-pidfile: cannot open '%s'", path);
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(p->pid_fd, 0) || write(p->pid_fd, text, len) != len)
		return err_set_errno(e, -errno, "-pidfile: cannot write '%s'",
				     path);
	return sweeper_add(&p->sweeper, path, true, e);
}

static const char *name_member(const struct vm_config *c, const char *key)
{
	struct json_object *v;

	if (!c->names || !json_object_object_get_ex(c->names, key, &v))
		return NULL;
	return json_object_get_string(v);
}

/* Writes that nobody takes fail, and whoever made them handles that. */
static void ignore_write_signals(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

/* Each virtqueue has two files; the usual limit is for what uses select(). */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Another heap a thread would cost memory and no lock is contended; and to
 * make one the C library counts the host's processors, which the jail kills. */
static void use_one_heap(void)
{
#ifdef M_ARENA_MAX
	(void)mallopt(M_ARENA_MAX, 1);
#endif
}

int process_begin(struct process *p, const struct vm_config *c, struct err *e)
{
	const char *name = name_member(c, "process");
	int r = 0;

	p->config = c;
	ignore_write_signals();
	raise_file_limit();
	use_one_heap();
	if (name)
		(void)prctl(PR_SET_NAME, name, 0, 0, 0); /* cut at 15 bytes */
	if (c->daemonize)
		r = daemonize(p, e);
	if (!r && c->pidfile)
		r = write_pid(p, c->pidfile, e);
	return r;
}

int process_settle(struct process *p, struct vm *vm, struct err *e)
{
	int r = vm_sweep(vm, &p->sweeper, e);

	if (!r)
		r = sweeper_start(&p->sweeper, e);
	/* A daemon holds no directory; what it needs of this one is open. */
	if (!r && p->config->daemonize && chdir("/"))
		r = err_set_errno(e, -errno, "-daemonize: cannot leave the "
					     "working directory");
	return r;
}

int process_ready(struct process *p, struct err *e)
{
	if (p->ready_fd <= 0)
		return 0;
	for (int fd = 0; fd < 3; fd++)
		if (dup3(p->null_fd, fd, 0) < 0)
			return err_set_errno(e, -errno,
					     "-daemonize: cannot leave the "
					     "terminal");
	if (write(p->ready_fd, "", 1) != 1)
		return err_set_errno(e, -errno,
				     "-daemonize: cannot tell the parent");
	close(p->ready_fd);
	p->ready_fd = -1;
	return 0;
}

void process_end(struct process *p)
{
	/* The sweeper takes the lock. */
	if (p->pid_fd > 0)
		close(p->pid_fd);
	sweeper_finish(&p->sweeper);
}
