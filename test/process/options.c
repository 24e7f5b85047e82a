/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user gets wrong, and what a host denies: one clear line and status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "test/lib/child.h"

#define WORDS 12

/* The end of all that it said is message, and that is one line. */
static void check_refused(struct child *c, const char *message)
{
	const char *end;

	child_wait(c);
	child_drain(c);
	end = strchr(c->err.text, '\n');
	if (!strstr(c->err.text, message))
		fail_msg("'%s' is not in: %s", message, c->err.text);
	assert_non_null(end);
	assert_int_equal(end[1], 0);
	assert_int_equal(strncmp(c->err.text, "vireo: ", 7), 0);
	child_end(c, 1);
}

static void refuses(void **state)
{
	static const struct {
		const char *message;
		const char *options[WORDS];
	} cases[] = {
		{"-device virtio-blk-devce: 'virtio-blk-devce' is not a valid "
		 "device model name (did you mean 'virtio-blk-device'?)",
		 {"-device", "virtio-blk-devce"}},
		{"Property 'virtio-rng-device.foo' not found",
		 {"-device", "virtio-rng-device,foo"}},
		{"Parameter 'max-bytes' expects integer, not '1\\x0a2'",
		 {"-device", "virtio-rng-device,max-bytes=1\n2"}},
		{"Duplicate ID 'r' for device",
		 {"-device", "virtio-rng-device,id=r", "-device",
		  "{\"driver\":\"virtio-rng-device\",\"id\":\"r\"}"}},
		{"Bus 'nobus' not found",
		 {"-device", "virtio-rng-device,bus=nobus"}},
		{"'virtio-rng-device' needs a bus of type 'virtio-bus'",
		 {"-device", "virtio-rng-device,bus=isa.0"}},
		{"there is no blockdev 'd'",
		 {"-device", "virtio-blk-device,drive=d"}},
		{"-global nope.x=1: 'nope' is not a valid device model name",
		 {"-global", "nope.x=1"}},
		{"-global virtio-rng-device.max-byts=1: Property 'max-byts' "
		 "not found (did you mean 'max-bytes'?)",
		 {"-global", "virtio-rng-device.max-byts=1"}},
		{"-global virtio-rng-device.max-bytes=x: Parameter",
		 {"-global", "virtio-rng-device.max-bytes=x"}},
		{"-object rng-random,id=r,filename=/nonexistent: ",
		 {"-object", "rng-random,id=r,filename=/nonexistent"}},
		{"-object rng-builtin,id=r: duplicate ID 'r'",
		 {"-object", "rng-builtin,id=r", "-object",
		  "rng-builtin,id=r"}},
		{"-chardev stoi,id=c: 'stoi' is not a valid chardev backend",
		 {"-chardev", "stoi,id=c"}},
		{"-chardev null,id=c: duplicate ID 'c'",
		 {"-chardev", "null,id=c", "-chardev", "null,id=c"}},
		{"-serial unix:/nonexistent/s: ",
		 {"-serial", "unix:/nonexistent/s"}},
		{"another chardev has standard input and output",
		 {"-serial", "stdio", "-serial", "stdio"}},
		{"there is no chardev 'x'", {"-serial", "chardev:x"}},
		{"-serial: isa-serial index 4 is not 0 to 3",
		 {"-serial", "null", "-serial", "null", "-serial", "null",
		  "-serial", "null", "-serial", "null"}},
		{"-netdev usr,id=n: ", {"-netdev", "usr,id=n"}},
		{"-netdev tap,id=n,vhost=on: ",
		 {"-netdev", "tap,id=n,vhost=on"}},
		{"-netdev tap,id=n,fd=0: ", {"-netdev", "tap,id=n,fd=0"}},
		{"-blockdev null-co: Parameter 'node-name' is missing",
		 {"-blockdev", "null-co"}},
		{"-blockdev null-co,node-name=d: Duplicate node-name 'd'",
		 {"-blockdev", "null-co,node-name=d", "-blockdev",
		  "null-co,node-name=d"}},
		{"-drive file=/nonexistent: ", {"-drive", "file=/nonexistent"}},
		{"-drive disk.img: expected '=' after 'disk.img'",
		 {"-drive", "disk.img"}},
		{"-dtb: '/dev/null' is not a regular file",
		 {"-dtb", "/dev/null"}},
		{"is not a device tree", {"-dtb", "/etc/passwd"}},
		{"-machine: unsupported machine type 'microvn' (did you mean "
		 "'microvm'?)",
		 {"-M", "microvn"}},
		{"-machine: Property 'microvm.acip' not found (did you mean "
		 "'acpi'?)",
		 {"-M", "microvm,acip=on"}},
		{"-machine: pit=on and pic=on need kernel-irqchip=on",
		 {"-M", "microvm,pit=on"}},
		{"there is no memory 'm'", {"-M", "microvm,memory-backend=m"}},
		{"-cpu: no feature or property 'avx9' (did you mean 'avx'?)",
		 {"-cpu", "host,+avx9"}},
		{"-smp: machine 'microvm' has room for 255 CPUs, not 256",
		 {"-smp", "256"}},
		{"-uuid: 'x' is not a UUID", {"-uuid", "x"}},
		{"-smbios: Property 'smbios.type'", {"-smbios", "type=0"}},
		{"-kernel: cannot open '': ", {"-kernel", ""}},
	};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct child_start s = {.in = -1, .out = -1, .err = -1,
					      .options = cases[i].options};

		child_start_with(&c, &s);
		check_refused(&c, cases[i].message);
	}
}

/* Each of these forms means what it says; the guest answers. */
static void takes(void **state)
{
	static const char *const cases[][WORDS] = {
		{"-serial", "stdio"},
		{"--serial", "stdio", "--nographic", "-no-user-config",
		 "-display", "none"},
		{"-serial", "chardev:c", "-chardev", "stdio,id=c,signal=off"},
		{"-device", "{\"driver\":\"isa-serial\",\"chardev\":\"c\"}",
		 "-chardev", "stdio,id=c"},
		{"-device", "isa-serial", "-global", "isa-serial.chardev=c",
		 "-chardev", "stdio,id=c"},
		{"-serial", "stdio", "-m", "size=9M", "-m", "0x9"},
		{"-serial", "stdio", "-m", "8192K", "-smp",
		 "sockets=1,cores=2", "-smp", "threads=1"},
		{"-serial", "stdio", "-M", "accel=kvm:tcg", "-accel", "tcg"},
		{"-serial", "stdio", "-object",
		 "memory-backend-memfd,id=m,size=8M", "-machine",
		 "memory-backend=m"},
		{"-serial", "stdio", "-sandbox", "spawn=deny", "-d",
		 "guest_errors,unimp"},
		{"-serial", "stdio", "-device",
		 "virtio-blk-device,drive=d,id=a.b-c_1", "-blockdev",
		 "{\"driver\":\"null-co\",\"node-name\":\"d\","
		 "\"size\":1048576}"},
		{"-serial", "stdio", "-name", "guest=a,,b,process=p", "-uuid",
		 "12345678-1234-5678-9abc-def012345678"},
	};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct child_start s = {
			.in = -1, .out = -1, .err = -1, .options = cases[i]};

		child_start_with(&c, &s);
		child_check_alive(&c, "here");
		child_say(&c, "off\n");
		child_end(&c, 0);
	}
}

static void start_bare(struct child *c, int out, void (*prepare)(void),
		       const char *option)
{
	const struct child_start s = {
		.in = -1, .out = out, .err = -1, .prepare = prepare,
		.options = (const char *const[]){option, NULL}, .bare = true};

	child_start_with(c, &s);
}

static void ignore_pipe(void)
{
	signal(SIGPIPE, SIG_IGN);
}

static void help_that_cannot_be_written(void **state)
{
	static const char *const options[] = {"-h", "-version", "doctor"};
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), ends[2];
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		start_bare(&c, full, NULL, options[i]);
		check_refused(&c, "cannot write to standard output");
		start_bare(&c, CHILD_CLOSED, NULL, options[i]);
		check_refused(&c, "cannot write to standard output");
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		close(ends[0]);
		start_bare(&c, ends[1], ignore_pipe, options[i]);
		check_refused(&c, "cannot write to standard output");
		close(ends[1]);
	}
	close(full);
}

static void closed_descriptors(void **state)
{
	const char *const stdio[] = {"-serial", "stdio", NULL};
	const char *const null[] = {"-serial", "null", NULL};
	struct child_start s = {
		.in = CHILD_CLOSED, .out = -1, .err = -1, .options = stdio};
	struct child c;

	(void)state;
	child_start_with(&c, &s);
	check_refused(&c, "standard input is closed");
	s.in = -1;
	s.out = CHILD_CLOSED;
	child_start_with(&c, &s);
	check_refused(&c, "standard output is closed");
	s = (struct child_start){.in = CHILD_CLOSED, .out = CHILD_CLOSED,
				 .err = -1, .options = null};
	child_start_with(&c, &s);
	kill(c.pid, SIGTERM); /* before or after the loop takes it */
	child_wait(&c);
	child_end(&c, WIFSIGNALED(c.status) ? 128 + SIGTERM : 0);
}

static void limit(int what, rlim_t most)
{
	const struct rlimit r = {most, most};

	if (setrlimit((__rlimit_resource_t)what, &r))
		_exit(97);
}

static void few_files(void)
{
	limit(RLIMIT_NOFILE, 8);
}

static void little_memory(void)
{
	limit(RLIMIT_AS, 12 << 20);
}

static void be_nobody(void)
{
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		_exit(97);
}

static void what_the_host_denies(void **state)
{
	struct child_start s = {.in = -1, .out = -1, .err = -1,
				.options = (const char *const[]){NULL}};
	struct child c;
	struct stat st;

	(void)state;
	s.prepare = few_files;
	child_start_with(&c, &s);
	child_expect_error(&c, "epoll"); /* io_uring's files are too many */
	child_expect_error(&c, "\n");
	check_refused(&c, "Too many open files");
	if (!CHILD_IS_SANITIZED) {
		s.prepare = little_memory;
		child_start_with(&c, &s);
		check_refused(&c, "Cannot allocate memory");
	}
	if (!getuid() && !stat("/dev/kvm", &st) && !(st.st_mode & 06)) {
		s.prepare = be_nobody;
		child_start_with(&c, &s);
		check_refused(&c, "cannot open '/dev/kvm': Permission denied");
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(refuses),
	cmocka_unit_test(takes),
	cmocka_unit_test(help_that_cannot_be_written),
	cmocka_unit_test(closed_descriptors),
	cmocka_unit_test(what_the_host_denies),
};

TEST_MAIN_KVM(tests)
