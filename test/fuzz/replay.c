/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main of a fuzzer in a build without libFuzzer: runs every file of the
 * fuzzer's corpus, and some cut versions of each, through
 * LLVMFuzzerTestOneInput. A fault ends the program; the exit status is what
 * `make check` sees.
 *
 * Without arguments the corpus is $srcdir/test/fuzz/corpus/NAME, where NAME is
 * the program's; else the arguments are files and directories.
 */
#include <errno.h>
#include <fts.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "test/fuzz/fuzz.h"

/* How many shorter versions of a file are tried. */
#define REPLAY_CUTS 64

/* A copy of exactly len bytes, so that a sanitizer sees reads behind it. */
static void replay_input(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int replay_file(const char *path, size_t size)
{
	AUTO_FILE FILE *f = fopen(path, "rb");
	AUTO_FREE uint8_t *data = malloc(size ? size : 1);

	if (!f || !data || fread(data, 1, size, f) != size) {
		printf("# %s: %s\n", path, strerror(errno));
		return -1;
	}
	replay_input(data, size);
	for (size_t cut = 0; cut < REPLAY_CUTS; cut++)
		replay_input(data, size * cut / REPLAY_CUTS);
	return 0;
}

/* Number of files run, or -1. */
static int replay_tree(char *const *paths)
{
	FTS *fts = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int files = 0;

	if (!fts)
		return -1;
	while (files >= 0 && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR) {
			printf("# %s: %s\n", entry->fts_path,
			       strerror(entry->fts_errno));
			files = -1;
		} else if (entry->fts_info == FTS_F) {
			int r = replay_file(entry->fts_path,
					    (size_t)entry->fts_statp->st_size);

			files = r ? -1 : files + 1;
		}
	}
	(void)fts_close(fts); /* only read */
	return files;
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	char *name = basename(argv[0]), path[4096];
	char *paths[] = {path, NULL};
	int files;

	(void)snprintf(path, sizeof(path), "%s/test/fuzz/corpus/%s",
		       srcdir ? srcdir : ".", name);
	files = replay_tree(argc > 1 ? argv + 1 : paths);
	printf("1..1\n%s 1 - %s: %d corpus files\n",
	       files > 0 ? "ok" : "not ok", name, files);
	return files > 0 ? 0 : 1;
}
