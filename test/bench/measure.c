/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program in a root of its own; says when it began and ended, and how
 * much memory it held.
 *
 * usage: measure ROOT GUEST_MIB PROGRAM ARGUMENT…
 *
 * Prints one line to descriptor 3: nanoseconds of CLOCK_MONOTONIC just before
 * the exec and after the end, for how many of them the machine was idle (in
 * steps of 10 ms), the exit status, and two sizes in KiB. With GUEST_MIB of 0
 * nothing but the clock is looked at and the sizes are 0. Otherwise the sizes
 * are the largest that were seen, each for itself, of all mappings but the
 * guest's memory: what is resident, and what of that is anonymous (no page of
 * a file: heap, stacks, written data). They are read from smaps every 10 ms
 * and once more in the process's exit, before its memory goes. A run of
 * adjacent mappings is the guest's memory when it spans at least half of
 * GUEST_MIB.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_NS 10000000

struct usage {
	unsigned long resident_kib;
	unsigned long anonymous_kib;
	bool guest_seen;
};

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The fourth and fifth figures of the first line: idle, waiting for I/O. */
static int64_t idle_ns(void)
{
	long long user, nice, system, idle = 0, wait = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (!f)
		return 0;
	if (fscanf(f, "cpu %lld %lld %lld %lld %lld", &user, &nice, &system,
		   &idle, &wait) != 5)
		idle = wait = 0;
	(void)fclose(f);
	return (idle + wait) * (1000000000 / sysconf(_SC_CLK_TCK));
}

static void die(const char *what)
{
	(void)fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
	_exit(125);
}

/* Not chroot: under that a program may not make user namespaces. */
static void enter(const char *root)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(root, root, NULL, MS_BIND | MS_REC, NULL) || chdir(root) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) ||
	    chdir("/"))
		die(root);
}

static void max_of(unsigned long *a, unsigned long b)
{
	if (b > *a)
		*a = b;
}

static void note_usage(struct usage *peak, const struct usage *u)
{
	max_of(&peak->resident_kib, u->resident_kib);
	max_of(&peak->anonymous_kib, u->anonymous_kib);
	peak->guest_seen |= u->guest_seen;
}

/* Mappings next to each other, all of them for reading and writing. */
struct run {
	unsigned long end, kib;
	struct usage usage;
};

/* The guest's memory may be in several mappings, but in one run. */
static void end_run(struct usage *u, struct run *r, unsigned long guest_kib)
{
	if (r->kib >= guest_kib / 2) {
		u->guest_seen = true;
	} else {
		u->resident_kib += r->usage.resident_kib;
		u->anonymous_kib += r->usage.anonymous_kib;
	}
	*r = (struct run){0};
}

/* A line of smaps; one of addresses is the first of each mapping. */
static void count_line(struct usage *u, struct run *r, const char *line,
		       unsigned long guest_kib)
{
	unsigned long start, end, kib;
	char perms[5];

	if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3) {
		if (start != r->end || strncmp(perms, "rw", 2) != 0)
			end_run(u, r, guest_kib);
		r->end = strncmp(perms, "rw", 2) ? 0 : end;
		r->kib += (end - start) >> 10;
	} else if (sscanf(line, "Rss: %lu", &kib) == 1) {
		r->usage.resident_kib += kib;
	} else if (sscanf(line, "Anonymous: %lu", &kib) == 1) {
		r->usage.anonymous_kib += kib;
	}
}

static void sample(struct usage *peak, pid_t pid, unsigned long guest_kib)
{
	struct usage u = {0};
	struct run run = {0};
	char line[512];
	FILE *f;

	(void)snprintf(line, sizeof(line), "/proc/%d/smaps", (int)pid);
	f = fopen(line, "re");
	if (!f)
		return; /* it has just ended */
	while (fgets(line, sizeof(line), f))
		count_line(&u, &run, line, guest_kib);
	end_run(&u, &run, guest_kib);
	(void)fclose(f);
	note_usage(peak, &u);
}

/* The process stops in its exit, with its memory still there. */
static int follow(pid_t pid, unsigned long guest_kib, struct usage *peak)
{
	const struct timespec pause = {.tv_nsec = SAMPLE_NS};
	int status;
	pid_t p;

	for (;;) {
		p = waitpid(pid, &status, WNOHANG);
		if (p < 0)
			die("waitpid");
		if (!p) {
			sample(peak, pid, guest_kib);
			(void)nanosleep(&pause, NULL);
			continue;
		}
		if (!WIFSTOPPED(status))
			return status;
		if (status >> 16 == PTRACE_EVENT_EXIT)
			sample(peak, pid, guest_kib);
		/* a signal that it was stopped for goes on to it */
		if (ptrace(PTRACE_CONT, pid, NULL,
			   status >> 16 ? 0L : (long)WSTOPSIG(status)))
			die("ptrace");
	}
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid");
	}
	return status;
}

/* The child begins when the parent has closed the pipe. */
static pid_t start(char **argv, int64_t *began_ns, int go[2])
{
	pid_t pid = fork();
	char c;

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	enter(argv[1]);
	(void)close(go[1]);
	if (read(go[0], &c, 1) || close(go[0]))
		die("pipe");
	*began_ns = now_ns();
	(void)execv(argv[3], argv + 3);
	die(argv[3]);
	return -1;
}

int main(int argc, char **argv)
{
	unsigned long guest_kib =
		argc < 4 ? 0 : strtoul(argv[2], NULL, 10) << 10;
	struct usage peak = {0};
	int64_t *began_ns, end_ns, idle;
	int go[2], status;
	pid_t pid;

	if (argc < 4) {
		(void)fputs("usage: measure ROOT GUEST_MIB PROGRAM ...\n",
			    stderr);
		return 125;
	}
	began_ns = mmap(NULL, sizeof(*began_ns), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (began_ns == MAP_FAILED || pipe(go))
		die("set-up");
	pid = start(argv, began_ns, go);
	if (guest_kib && ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT))
		die("ptrace");
	idle = idle_ns();
	(void)close(go[0]);
	(void)close(go[1]);
	status = guest_kib ? follow(pid, guest_kib, &peak) : wait_for(pid);
	end_ns = now_ns();
	idle = idle_ns() - idle;
	status = WIFEXITED(status) ? WEXITSTATUS(status)
				   : 128 + WTERMSIG(status);
	if (guest_kib && !peak.guest_seen && !status) {
		(void)fputs("measure: no mapping looks like the guest's "
			    "memory\n",
			    stderr);
		return 125;
	}
	(void)dprintf(3, "%lld %lld %lld %d %lu %lu\n", (long long)*began_ns,
		      (long long)end_ns, (long long)idle, status,
		      peak.resident_kib, peak.anonymous_kib);
	return 0;
}
