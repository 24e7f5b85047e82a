# SPDX-License-Identifier: Apache-2.0
#
# The man page and the completions are made from a template and the program's
# own tables. They are checked in, since a cross build cannot run the program
# that makes them; `make check` tells when they are out of date.

noinst_PROGRAMS += vireo-docgen
vireo_docgen_SOURCES = src/vmm/docgen.c src/vmm/docgen.h \
	src/vmm/docgen_man.c src/vmm/docgen_shell.c
vireo_docgen_LDADD = $(VIREO_LIBS)

dist_man_MANS += %D%/vireo.1
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
dist_bashcompletion_DATA = completions/vireo.bash
dist_zshcompletion_DATA = completions/_vireo

dist_noinst_DATA += %D%/architecture.md %D%/lab.md %D%/performance.md \
	%D%/security.md

generated_docs = %D%/vireo.1 completions/vireo.bash completions/_vireo
EXTRA_DIST += %D%/vireo.1.in completions/vireo.bash.in completions/_vireo.in

.PHONY: update-docs
update-docs: vireo-docgen
	for f in $(generated_docs); do \
		./vireo-docgen $(srcdir)/$$f.in >$(srcdir)/$$f.tmp && \
		mv $(srcdir)/$$f.tmp $(srcdir)/$$f || exit 1; \
	done
