/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examines the host by trying, not by guessing: makes a VM and runs kernel
 * instructions in it, a ring, a TAP interface, a user namespace.
 *
 * Each examination is a child process of its own, so that what it changes ends
 * with it, and none can hold up the others: one that has not answered in time
 * is killed, and its result is unknown.
 *
 * Threads: main, alone (and in a child the vCPU of the test VM).
 */
#include "vmm/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <liburing.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"
#include "kvm/kvm.h"
#include "kvm/probe.h"

#define KERNELS_REMEDY "use a host with VT-x or AMD-V, or test/lab/lab"

/* Slower than this, ring 0 is not run but interpreted. */
#define DOCTOR_INTERPRETED 20000000ULL

enum status { STATUS_OK, STATUS_LIMITED, STATUS_MISSING, STATUS_UNKNOWN };

/* What the user reads, and scripts. */
static const char *const status_words[] = {
	[STATUS_OK] = "ok",
	[STATUS_LIMITED] = "limited",
	[STATUS_MISSING] = "missing",
	[STATUS_UNKNOWN] = "unknown",
};

/* What a child hands back. */
struct finding {
	enum status status;
	char text[1024];
};

PRINTF_LIKE(3, 4)
static void find(struct finding *f, enum status status, const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* A number in a file of /proc or /sys; -1 where there is none. */
static long read_number(const char *path)
{
	AUTO_FILE FILE *f = fopen(path, "re");
	long n;

	return f && fscanf(f, "%ld", &n) == 1 ? n : -1;
}

static const char *const kind_names[] = {
	[KVM_KIND_UNKNOWN] = "of unknown kind",
	[KVM_KIND_VMX] = "Intel VT-x (kvm_intel)",
	[KVM_KIND_SVM] = "AMD-V (kvm_amd)",
	[KVM_KIND_PVM] = "page tables only (kvm_pvm)",
};

/* "cmpxchg16b, int3": the instructions that do not work. */
static void list_failures(const struct kvm_probe_report *r, char *buf,
			  size_t len)
{
	size_t n = 0;

	buf[0] = 0;
	for (size_t i = 0; kvm_probes[i].name; i++) {
		if (r->results[i] == KVM_PROBE_OK || n >= len)
			continue;
		n += (size_t)snprintf(
			buf + n, len - n, "%s%s%s", n ? ", " : "",
			kvm_probes[i].name,
			r->results[i] == KVM_PROBE_HANGS ? " (hangs)" : "");
	}
}

int doctor_check_linux(struct err *e)
{
	struct kvm_probe_report r;
	char failed[512];

	if (kvm_host_kind(NULL) != KVM_KIND_PVM || kvm_probe_run(&r, NULL) ||
	    r.is_slow || !r.failures)
		return 0;
	list_failures(&r, failed, sizeof(failed));
	if (*r.report)
		log_on(LOG_KVM, "tried: %s", r.report);
	return err_set(e, -ENOTSUP,
		       "this host's KVM cannot run unmodified kernels: it "
		       "interprets their code and fails at %s; " KERNELS_REMEDY
		       " ('vireo doctor' examines the host, -d kvm shows "
		       "registers)",
		       failed);
}

/* The message sends its reader here. */
static void drop_hint(char *text)
{
	static const char hint[] = "; see 'vireo doctor'";
	char *at = strstr(text, hint), *rest;

	if (!at)
		return;
	rest = at + strlen(hint);
	memmove(at, rest, strlen(rest) + 1);
}

static void examine_kvm(struct finding *f)
{
	const struct kvm_config c = {.irqchip = KVM_IRQCHIP_NONE};
	struct kvm *kvm = NULL;
	struct err e = {0};

	if (kvm_new(&c, &kvm, &e)) {
		drop_hint(e.text);
		find(f, STATUS_MISSING, "%s", e.text);
		return;
	}
	kvm_free(kvm);
	find(f, STATUS_OK, "/dev/kvm, %s", kind_names[kvm_host_kind(NULL)]);
}

static void examine_kernels(struct finding *f)
{
	struct kvm_probe_report r;
	char failed[512];

	if (kvm_probe_run(&r, NULL)) {
		find(f, STATUS_MISSING, "they need KVM");
	} else if (r.is_slow) {
		find(f, STATUS_UNKNOWN,
		     "the host was too busy to find out; try again");
	} else if (r.failures) {
		list_failures(&r, failed, sizeof(failed));
		find(f, STATUS_MISSING,
		     "no unmodified kernel can run: KVM here fails at "
		     "%s; " KERNELS_REMEDY,
		     failed);
	} else if (r.instructions_per_s < DOCTOR_INTERPRETED) {
		find(f, STATUS_LIMITED,
		     "they run, but only %" PRIu64
		     " thousand kernel instructions a second: ring 0 is "
		     "interpreted",
		     r.instructions_per_s / 1000);
	} else {
		find(f, STATUS_OK, "unmodified kernels run, ring 0 natively");
	}
}

static void examine_io_uring(struct finding *f)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);
	long disabled = read_number("/proc/sys/kernel/io_uring_disabled");

	if (!r) {
		io_uring_queue_exit(&ring);
		find(f, STATUS_OK, "used for all I/O");
	} else if (disabled > 0) {
		find(f, STATUS_LIMITED,
		     "kernel.io_uring_disabled=%ld: epoll is used instead; "
		     "'sudo sysctl kernel.io_uring_disabled=0' allows it",
		     disabled);
	} else {
		find(f, STATUS_LIMITED,
		     "%s: epoll is used instead; a container's seccomp filter "
		     "may forbid it, or the kernel lacks CONFIG_IO_URING",
		     strerror(-r));
	}
}

static void examine_tap(struct finding *f)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	AUTO_FD int fd = -1;

	/* Where that can be, the host's network sees nothing of it. */
	(void)unshare(CLONE_NEWNET);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		find(f, STATUS_MISSING, "/dev/net/tun: %s; %s", strerror(errno),
		     errno == EACCES ? "'sudo chmod o+rw /dev/net/tun'"
				     : "'sudo modprobe tun', or pass the "
				       "device to the container");
		return;
	}
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "vireodoc%%d");
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		find(f, STATUS_OK, "interfaces can be made");
	else
		find(f, STATUS_LIMITED,
		     "no interface can be made (%s); have one made for you: "
		     "'sudo ip tuntap add dev tap0 mode tap user $USER'",
		     strerror(errno));
}

static const char *user_namespace_remedy(void)
{
	if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "'sudo sysctl kernel.unprivileged_userns_clone=1'";
	if (read_number("/proc/sys/kernel/"
			"apparmor_restrict_unprivileged_userns") == 1)
		return "'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0'"
		       ", or an AppArmor profile that allows userns";
	if (read_number("/proc/sys/user/max_user_namespaces") == 0)
		return "'sudo sysctl user.max_user_namespaces=10000'";
	return "a container's seccomp filter may forbid them, or the kernel "
	       "lacks CONFIG_USER_NS";
}

static void examine_user_namespaces(struct finding *f)
{
	if (!unshare(CLONE_NEWUSER))
		find(f, STATUS_OK, "the jail works without root");
	else
		find(f, STATUS_MISSING,
		     "%s: the jail has no mount tree of its own unless root; "
		     "%s",
		     strerror(errno), user_namespace_remedy());
}

static void examine_landlock(struct finding *f)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0)
		find(f, STATUS_OK, "ABI %ld", abi);
	else if (errno == EOPNOTSUPP)
		find(f, STATUS_MISSING,
		     "not enabled: boot with 'landlock' first in lsm=");
	else
		find(f, STATUS_MISSING,
		     "%s: needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK",
		     strerror(errno));
}

static void examine_seccomp(struct finding *f)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		find(f, STATUS_OK, "filters that kill the process");
	else
		find(f, STATUS_MISSING,
		     "%s: needs Linux 4.14 with CONFIG_SECCOMP_FILTER; "
		     "vireo then runs with -sandbox off only",
		     strerror(errno));
}

static void examine_huge_pages(struct finding *f)
{
	static const char dir[] = "/sys/kernel/mm/hugepages/hugepages-*";
	char path[512], text[256] = "";
	glob_t found = {.gl_pathc = 0};
	long total = 0;
	size_t len = 0;

	if (glob(dir, 0, NULL, &found))
		found.gl_pathc = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *size = strrchr(found.gl_pathv[i], '-') + 1;
		long n;

		(void)snprintf(path, sizeof(path), "%s/free_hugepages",
			       found.gl_pathv[i]);
		n = read_number(path);
		if (n < 0 || len >= sizeof(text))
			continue;
		total += n;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%ld of %s", len ? ", " : "", n,
					size);
	}
	globfree(&found);
	if (!len)
		find(f, STATUS_MISSING, "the kernel lacks CONFIG_HUGETLBFS");
	else if (!total)
		find(f, STATUS_LIMITED,
		     "none free; 'sudo sysctl vm.nr_hugepages=N' reserves N "
		     "of them for hugetlb=on");
	else
		find(f, STATUS_OK, "free: %s", text);
}

static const struct exam {
	const char *name;
	unsigned seconds; /* until it is given up */
	void (*run)(struct finding *f);
} exams[] = {
	{"kvm", 10, examine_kvm},
	{"kernels", 30, examine_kernels},
	{"io_uring", 5, examine_io_uring},
	{"tap", 5, examine_tap},
	{"userns", 5, examine_user_namespaces},
	{"landlock", 5, examine_landlock},
	{"seccomp", 5, examine_seccomp},
	{"hugepages", 5, examine_huge_pages},
};

static void NORETURN exam_child(const struct exam *x, int fd)
{
	struct finding f = {.status = STATUS_UNKNOWN};

	x->run(&f);
	_exit(send(fd, &f, sizeof(f), MSG_NOSIGNAL) != sizeof(f));
}

/* A child in a system call that cannot be interrupted is left behind. */
static void exam_wait(const struct exam *x, int fd, pid_t pid,
		      struct finding *f)
{
	const struct timeval limit = {.tv_sec = x->seconds};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (recv(fd, f, sizeof(*f), MSG_WAITALL) != sizeof(*f))
		find(f, STATUS_UNKNOWN,
		     errno == EAGAIN ? "no answer within %u seconds"
				     : "the test itself failed",
		     x->seconds);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, WNOHANG);
}

static void exam_run(const struct exam *x, struct finding *f)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		find(f, STATUS_UNKNOWN, "no socket: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (!pid)
		exam_child(x, fds[1]);
	close(fds[1]);
	if (pid < 0)
		find(f, STATUS_UNKNOWN, "cannot fork: %s", strerror(errno));
	else
		exam_wait(x, fds[0], pid, f);
	close(fds[0]);
}

int doctor_run(FILE *out)
{
	struct finding f;
	bool boots = false;

	(void)fflush(out); /* a child has a copy of what is buffered */
	for (size_t i = 0; i < ARRAY_SIZE(exams); i++) {
		exam_run(&exams[i], &f);
		fprintf(out, "%-12s %-8s %s\n", exams[i].name,
			status_words[f.status], f.text);
		if (exams[i].run == examine_kernels)
			boots = f.status <= STATUS_LIMITED;
	}
	return boots ? 0 : 1;
}
