/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: `vireo OPTIONS` runs a machine, `vireo doctor` examines the
 * host.
 *
 * Exit status: 0 the guest (or a signal) ended the machine, 1 an error, else
 * what the guest wrote to isa-debug-exit.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/doctor.h"
#include "vmm/process.h"
#include "vmm/vm.h"

#define STATUS_ERROR 1

static int run_machine(struct vm_config *c, struct err *e, int *status)
{
	struct process process = {0};
	struct vm *vm;
	int r = process_begin(&process, c, e);

	if (!r) {
		r = vm_new(c, &vm, e);
		if (!r)
			r = process_ready(&process, e);
		else
			vm = NULL;
		if (!r)
			r = vm_run(vm, status, e);
		vm_free(vm);
	}
	process_end(&process);
	return r;
}

int main(int argc, char **argv)
{
	struct vm_config c = {0};
	struct err e = {0};
	enum config_outcome outcome;
	int status = 0, r;

	if (argc > 1 && !strcmp(argv[1], "doctor"))
		return doctor_run(stdout);
	r = config_parse(&c, argc, argv, &outcome, &e);
	if (!r && outcome == CONFIG_RUN)
		r = run_machine(&c, &e, &status);
	config_fini(&c);
	if (r) {
		fprintf(stderr, "vireo: %s\n", e.text);
		return STATUS_ERROR;
	}
	return status;
}
