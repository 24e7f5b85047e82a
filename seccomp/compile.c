/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles ROLE.list files into C arrays of seccomp filters, at build time.
 *
 * A line is `SYSCALL [arg INDEX OP VALUE]… ; reason`. OP is ==, != or has (the
 * bits of VALUE are the only ones that may be set: arg & ~VALUE == 0). VALUE is
 * a number or one of the names below. Lines of one system call are
 * alternatives. '#' starts a comment line. The reason is mandatory.
 *
 * Usage: compile ROLE=FILE[,FILE]… … >filters.c, in the order of enum jail_role
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/seccomp_filters.h"

#define ARGS_MAX  6
#define WORDS_MAX (2 + 4 * ARGS_MAX)

static const struct {
	const char *name;
	uint64_t value;
} names[] = {
#define NAME(n) {#n, (uint64_t)(n)}
	NAME(KVM_RUN),
	NAME(KVM_GET_REGS),
	NAME(KVM_SET_REGS),
	NAME(KVM_GET_SREGS),
	NAME(KVM_SET_SREGS),
	NAME(KVM_GET_MSRS),
	NAME(KVM_SET_MSRS),
	NAME(KVM_SET_FPU),
	NAME(KVM_SET_XSAVE),
	NAME(KVM_SET_XCRS),
	NAME(KVM_GET_LAPIC),
	NAME(KVM_SET_LAPIC),
	NAME(KVM_GET_MP_STATE),
	NAME(KVM_SET_MP_STATE),
	NAME(KVM_GET_VCPU_EVENTS),
	NAME(KVM_SET_VCPU_EVENTS),
	NAME(KVM_SET_DEBUGREGS),
	NAME(KVM_TRANSLATE),
	NAME(KVM_SET_NESTED_STATE),
	NAME(KVM_CHECK_EXTENSION),
	NAME(KVM_GET_TSC_KHZ),
	NAME(KVM_NMI),
	NAME(KVM_KVMCLOCK_CTRL),
	NAME(KVM_GET_CLOCK),
	NAME(KVM_SET_CLOCK),
	NAME(KVM_SIGNAL_MSI),
	NAME(KVM_IRQ_LINE),
	NAME(KVM_IRQFD),
	NAME(KVM_IOEVENTFD),
	NAME(KVM_SET_GSI_ROUTING),
	NAME(TCGETS),
	NAME(TCSETS),
	NAME(TIOCGPGRP),
	NAME(F_GETFL),
	NAME(F_SETFL),
	NAME(F_OFD_SETLK),
	NAME(SIGBUS),
	NAME(SIGTSTP),
	NAME(PROT_READ),
	NAME(PROT_WRITE),
#undef NAME
	{"SELF", SECCOMP_SELF},
	{"TUNSETOFFLOAD", 0x400454d0},
	{"TUNSETVNETHDRSZ", 0x400454d8},
	{"TUNSETQUEUE", 0x400454d9},
};

static const char *file_name;
static unsigned line_number;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%u: ", file_name, line_number);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* One name or number, or several joined by '|'. */
static uint64_t value_of(char *text)
{
	uint64_t sum = 0;
	char *save, *end;

	for (char *w = strtok_r(text, "|", &save); w;
	     w = strtok_r(NULL, "|", &save)) {
		size_t i, n = sizeof(names) / sizeof(names[0]);

		for (i = 0; i < n && strcmp(names[i].name, w); i++)
			;
		if (i < n) {
			sum |= names[i].value;
			continue;
		}
		sum |= strtoull(w, &end, 0);
		if (*end)
			die("unknown value '%s'", w);
	}
	return sum;
}

static struct scmp_arg_cmp comparison(char **word)
{
	unsigned index = (unsigned)value_of(word[1]);
	uint64_t value = value_of(word[3]);

	if (index >= ARGS_MAX)
		die("no argument %u", index);
	if (!strcmp(word[2], "=="))
		return SCMP_CMP(index, SCMP_CMP_EQ, value, 0);
	if (!strcmp(word[2], "!="))
		return SCMP_CMP(index, SCMP_CMP_NE, value, 0);
	if (!strcmp(word[2], "has"))
		return SCMP_CMP(index, SCMP_CMP_MASKED_EQ, ~value, 0);
	die("unknown operator '%s'", word[2]);
}

static void add_rule(scmp_filter_ctx ctx, char **word, unsigned n)
{
	struct scmp_arg_cmp cmp[ARGS_MAX];
	int nr = seccomp_syscall_resolve_name(word[0]), r;
	unsigned ncmp = 0;

	if (nr == __NR_SCMP_ERROR)
		die("unknown system call '%s'", word[0]);
	for (unsigned i = 1; i < n; i += 4) {
		if (i + 4 > n || strcmp(word[i], "arg") || ncmp == ARGS_MAX)
			die("expected: arg INDEX OP VALUE");
		cmp[ncmp++] = comparison(&word[i]);
	}
	r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, ncmp, cmp);
	if (r)
		die("%s: %s", word[0], strerror(-r));
}

static void read_line(scmp_filter_ctx ctx, char *line)
{
	char *reason = strchr(line, ';'), *word[WORDS_MAX], *save;
	unsigned n = 0;

	if (line[0] == '#' || line[strspn(line, " \t\n")] == 0)
		return;
	if (!reason || reason[1 + strspn(reason + 1, " \t\n")] == 0)
		die("the reason is missing: SYSCALL … ; reason");
	*reason = 0;
	for (char *w = strtok_r(line, " \t", &save); w;
	     w = strtok_r(NULL, " \t", &save)) {
		if (n == WORDS_MAX)
			die("too many words");
		word[n++] = w;
	}
	if (!n)
		die("no system call");
	add_rule(ctx, word, n);
}

static void read_list(scmp_filter_ctx ctx, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024];

	file_name = path;
	line_number = 0;
	if (!f)
		die("%s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line_number++;
		read_line(ctx, line);
	}
	fclose(f);
}

static scmp_filter_ctx read_lists(const char *paths, uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(action);
	char *copy = strdup(paths), *save;

	if (!ctx || !copy)
		die("%s", strerror(errno));
	/* A binary tree: entering the guest passes through here each time. */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		die("libseccomp cannot sort the filter");
	for (char *p = strtok_r(copy, ",", &save); p;
	     p = strtok_r(NULL, ",", &save))
		read_list(ctx, p);
	free(copy);
	return ctx;
}

struct instruction {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

static size_t print_code(const char *role, const char *kind, int fd)
{
	struct instruction in;
	size_t n = 0;

	printf("\nstatic const struct sock_filter %s_%s[] = {\n", role, kind);
	while (read(fd, &in, sizeof(in)) == sizeof(in)) {
		printf("\t{0x%02x, %u, %u, 0x%08xu},\n", in.code, in.jt, in.jf,
		       in.k);
		n++;
	}
	printf("};\n");
	return n;
}

static void compile(const char *role, const char *paths, const char *kind,
		    uint32_t action)
{
	scmp_filter_ctx ctx = read_lists(paths, action);
	FILE *tmp = tmpfile();
	int r;

	if (!tmp)
		die("no temporary file: %s", strerror(errno));
	r = seccomp_export_bpf(ctx, fileno(tmp));
	if (r)
		die("cannot compile: %s", strerror(-r));
	rewind(tmp);
	if (!print_code(role, kind, fileno(tmp)))
		die("the filter is empty");
	fclose(tmp);
	seccomp_release(ctx);
}

static void print_table(const char *table, const char *kind, int n,
			char **roles)
{
	printf("\nconst struct seccomp_filter %s[] = {\n", table);
	for (int i = 0; i < n; i++) {
		int len = (int)strcspn(roles[i], "=");

		printf("\t{\"%.*s\", sizeof(%.*s_%s) / "
		       "sizeof(struct sock_filter), %.*s_%s},\n",
		       len, roles[i], len, roles[i], kind, len, roles[i],
		       kind);
	}
	printf("};\n");
}

int main(int argc, char **argv)
{
	printf("/* Generated by seccomp/compile.c: do not edit. */\n"
	       "#include <linux/filter.h>\n\n"
	       "#include \"vmm/seccomp_filters.h\"\n");
	for (int i = 1; i < argc; i++) {
		char *role = strdup(argv[i]), *paths = strchr(role, '=');

		if (!paths) {
			fprintf(stderr, "usage: compile ROLE=FILE[,FILE]… …\n");
			return 2;
		}
		*paths++ = 0;
		compile(role, paths, "kill", SCMP_ACT_KILL_PROCESS);
		compile(role, paths, "log", SCMP_ACT_LOG);
		free(role);
	}
	print_table("seccomp_filters", "kill", argc - 1, argv + 1);
	print_table("seccomp_log_filters", "log", argc - 1, argv + 1);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
