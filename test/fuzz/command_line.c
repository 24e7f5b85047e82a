/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the whole command line: the input is its words, each ended by a NUL.
 * Words that print (help) or open files (-D) are left out.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "test/fuzz/fuzz.h"
#include "vmm/config.h"

#define WORDS_MAX 32

static bool is_unwanted(const char *word)
{
	static const char *const options[] = {"D", "h", "help", "version"};
	const char *name = word + strspn(word, "-");

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(name, options[i]))
			return true;
	return strstr(word, "help") || strchr(word, '?');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO_FREE char *text = malloc(len + 1);
	enum config_outcome outcome;
	struct vm_config c = {0};
	char *argv[WORDS_MAX + 1];
	struct err e = {0};
	int argc = 0;

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = 0;
	argv[argc++] = text; /* the program's name: not looked at */
	for (char *w = text; w < text + len && argc < WORDS_MAX;
	     w += strlen(w) + 1)
		if (!is_unwanted(w))
			argv[argc++] = w;
	argv[argc] = NULL;
	if (config_parse(&c, argc, argv, &outcome, &e) && !*e.text)
		abort();
	config_fini(&c);
	return 0;
}
