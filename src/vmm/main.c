/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: `vireo OPTIONS` runs a machine, `vireo doctor` examines the
 * host.
 *
 * Exit status: 0 the guest (or a signal) ended the machine, 1 an error, else
 * what the guest wrote to isa-debug-exit.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/doctor.h"
#include "vmm/process.h"
#include "vmm/vm.h"

#define STATUS_ERROR 1

/* One line, whatever an argument that it quotes holds. */
static void print_error(const char *text)
{
	char line[4 * ERR_TEXT_MAX], *at = line;

	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			at += sprintf(at, "\\x%02x", (unsigned char)*text);
		else
			*at++ = *text;
	}
	*at = 0;
	fprintf(stderr, "vireo: %s\n", line);
}

static int run_vm(struct process *p, struct vm *vm, int *status, struct err *e)
{
	int r = process_settle(p, vm, e);

	if (!r)
		r = vm_start(vm, e);
	if (!r)
		r = process_ready(p, e);
	return r ? r : vm_run(vm, status, e);
}

static int run_machine(struct vm_config *c, struct err *e, int *status)
{
	struct process process = {0};
	struct vm *vm = NULL;
	int r = process_begin(&process, c, e);

	if (!r)
		r = vm_new(c, &vm, e);
	if (!r)
		r = run_vm(&process, vm, status, e);
	vm_free(vm);
	process_end(&process);
	return r;
}

static int run_options(int argc, char **argv, int *status, struct err *e)
{
	struct vm_config c = {0};
	enum config_outcome outcome;
	int r = config_parse(&c, argc, argv, &outcome, e);

	if (!r && outcome == CONFIG_RUN)
		r = run_machine(&c, e, status);
	else if (!r)
		r = process_flush_stdout(e);
	config_fini(&c);
	return r;
}

static int run_doctor(int argc, int *status, struct err *e)
{
	if (argc > 2)
		return err_set(e, -EINVAL, "doctor takes no arguments");
	*status = doctor_run(stdout);
	return process_flush_stdout(e);
}

int main(int argc, char **argv)
{
	struct err e = {0};
	int status = 0, r;

	process_open_std();
	if (argc > 1 && !strcmp(argv[1], "doctor"))
		r = run_doctor(argc, &status, &e);
	else
		r = run_options(argc, argv, &status, &e);
	if (!r)
		return status;
	print_error(e.text);
	return STATUS_ERROR;
}
