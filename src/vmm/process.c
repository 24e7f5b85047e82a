/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becomes a daemon, keeps the pid file, names the process.
 *
 * Threads: main.
 * Syscalls: main: dup3 write ftruncate close
 */
#include "vmm/process.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/config.h"

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

static int write_pid(struct process *p, const char *path, struct err *e)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[16];
	int len;

	p->pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (p->pid_fd < 0)
		return err_set_errno(e, -errno, "-pidfile: cannot open '%s'",
				     path);
	if (fcntl(p->pid_fd, F_OFD_SETLK, &lock)) {
		close(p->pid_fd);
		p->pid_fd = -1; /* not ours to empty */
		return err_set(e, -EBUSY,
			       "-pidfile: '%s' is held by another process",
			       path);
	}
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(p->pid_fd, 0) || write(p->pid_fd, text, len) != len)
		return err_set_errno(e, -errno, "-pidfile: cannot write '%s'",
				     path);
	return 0;
}

static const char *name_member(const struct vm_config *c, const char *key)
{
	struct json_object *v;

	if (!c->names || !json_object_object_get_ex(c->names, key, &v))
		return NULL;
	return json_object_get_string(v);
}

int process_begin(struct process *p, const struct vm_config *c, struct err *e)
{
	const char *name = name_member(c, "process");
	int r = 0;

	if (name)
		(void)prctl(PR_SET_NAME, name, 0, 0, 0); /* cut at 15 bytes */
	if (c->daemonize)
		r = daemonize(p, e);
	if (!r && c->pidfile)
		r = write_pid(p, c->pidfile, e);
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
	if (p->pid_fd > 0)
		/* A stale number is worse than an empty file. */
		(void)!ftruncate(p->pid_fd, 0);
}
