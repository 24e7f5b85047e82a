/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program.
 */
#include <stdio.h>

int main(void)
{
	fprintf(stderr, "vireo: not yet\n");
	return 1;
}
