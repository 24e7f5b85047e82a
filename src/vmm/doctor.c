/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examines the host by trying, not by guessing: makes a VM and runs kernel
 * instructions in it, a ring, a TAP interface, a user namespace.
 *
 * Threads: main, alone (and the vCPU of the test VM).
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
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "kvm/kvm.h"
#include "kvm/probe.h"

/* Slower than this, ring 0 is not run but interpreted. */
#define DOCTOR_INTERPRETED 20000000ULL

static void say(FILE *out, const char *name, const char *status,
		const char *fmt, ...) PRINTF_LIKE(4, 5);

static void say(FILE *out, const char *name, const char *status,
		const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "%-12s %-8s ", name, status);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
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

static bool examine_kernels(FILE *out, const struct kvm_probe_report *r)
{
	char failed[512];

	if (r->failures) {
		list_failures(r, failed, sizeof(failed));
		say(out, "kernels", "missing",
		    "no unmodified kernel can run: KVM here fails at %s; use "
		    "a host with VT-x or AMD-V, or test/lab/lab",
		    failed);
		return false;
	}
	if (r->instructions_per_s < DOCTOR_INTERPRETED) {
		say(out, "kernels", "limited",
		    "they run, but only %" PRIu64
		    " thousand kernel instructions a second: ring 0 is "
		    "interpreted",
		    r->instructions_per_s / 1000);
		return true;
	}
	say(out, "kernels", "ok", "unmodified kernels run, ring 0 natively");
	return true;
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

static bool examine_kvm(FILE *out)
{
	enum kvm_kind kind = kvm_host_kind(NULL);
	struct kvm_probe_report report;
	struct err e = {0};

	if (kvm_probe_run(&report, &e)) {
		drop_hint(e.text);
		say(out, "kvm", "missing", "%s", e.text);
		say(out, "kernels", "missing", "they need KVM");
		return false;
	}
	say(out, "kvm", "ok", "/dev/kvm, %s", kind_names[kind]);
	return examine_kernels(out, &report);
}

static void examine_io_uring(FILE *out)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);
	long disabled = read_number("/proc/sys/kernel/io_uring_disabled");

	if (!r) {
		io_uring_queue_exit(&ring);
		say(out, "io_uring", "ok", "used for all I/O");
	} else if (disabled > 0) {
		say(out, "io_uring", "limited",
		    "kernel.io_uring_disabled=%ld: epoll is used instead; "
		    "'sysctl kernel.io_uring_disabled=0' allows it",
		    disabled);
	} else {
		say(out, "io_uring", "limited",
		    "%s: epoll is used instead; a container's seccomp filter "
		    "may forbid it, or the kernel lacks CONFIG_IO_URING",
		    strerror(-r));
	}
}

static void examine_tap(FILE *out)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		say(out, "tap", "missing", "/dev/net/tun: %s; %s",
		    strerror(errno),
		    errno == ENOENT ? "'modprobe tun', or pass the device to "
				      "the container"
				    : "'chmod 666 /dev/net/tun'");
		return;
	}
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "vireodoc%%d");
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		say(out, "tap", "ok", "interfaces can be made");
	else
		say(out, "tap", "limited",
		    "no interface can be made (%s); have one made for you: "
		    "'sudo ip tuntap add dev tap0 mode tap user $USER'",
		    strerror(errno));
}

/* unshare() in a child, since it is not to be undone: 0 or -errno. */
static int try_user_namespace(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) ? errno & 0x7f : 0);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static const char *user_namespace_remedy(void)
{
	if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "'sysctl kernel.unprivileged_userns_clone=1'";
	if (read_number("/proc/sys/kernel/"
			"apparmor_restrict_unprivileged_userns") == 1)
		return "'sysctl kernel.apparmor_restrict_unprivileged_userns=0'"
		       ", or an AppArmor profile that allows userns";
	if (read_number("/proc/sys/user/max_user_namespaces") == 0)
		return "'sysctl user.max_user_namespaces=10000'";
	return "a container's seccomp filter may forbid them, or the kernel "
	       "lacks CONFIG_USER_NS";
}

static void examine_user_namespaces(FILE *out)
{
	int r = try_user_namespace();

	if (!r)
		say(out, "userns", "ok", "the jail works without root");
	else
		say(out, "userns", "missing",
		    "%s: the jail has no mount tree of its own unless root; "
		    "%s",
		    strerror(-r), user_namespace_remedy());
}

static void examine_landlock(FILE *out)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0)
		say(out, "landlock", "ok", "ABI %ld", abi);
	else if (errno == EOPNOTSUPP)
		say(out, "landlock", "missing",
		    "not enabled: boot with 'landlock' first in lsm=");
	else
		say(out, "landlock", "missing",
		    "%s: needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK",
		    strerror(errno));
}

static void examine_seccomp(FILE *out)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		say(out, "seccomp", "ok", "filters that kill the process");
	else
		say(out, "seccomp", "missing",
		    "%s: needs Linux 4.14 with CONFIG_SECCOMP_FILTER; "
		    "vireo then runs with -sandbox off only",
		    strerror(errno));
}

static void examine_huge_pages(FILE *out)
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
		say(out, "hugepages", "missing",
		    "the kernel lacks CONFIG_HUGETLBFS");
	else if (!total)
		say(out, "hugepages", "limited",
		    "none free; 'sysctl vm.nr_hugepages=N' reserves N of "
		    "them for hugetlb=on");
	else
		say(out, "hugepages", "ok", "free: %s", text);
}

static void examine_device(FILE *out, const char *name, const char *path,
			   const char *module)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		say(out, name, "ok", "%s", path);
	else
		say(out, name, "missing", "%s: %s; '%s%s'", path,
		    strerror(errno),
		    errno == EACCES ? "chmod 666 " : "modprobe ",
		    errno == EACCES ? path : module);
}

int doctor_run(FILE *out)
{
	bool boots = examine_kvm(out);

	examine_io_uring(out);
	examine_tap(out);
	examine_user_namespaces(out);
	examine_landlock(out);
	examine_seccomp(out);
	examine_huge_pages(out);
	examine_device(out, "vhost-net", "/dev/vhost-net", "vhost_net");
	examine_device(out, "vhost-vsock", "/dev/vhost-vsock", "vhost_vsock");
	return boots ? 0 : 1;
}
