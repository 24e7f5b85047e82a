/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vireo as a process, from the outside: what it prints, how it ends. Unless
 * told otherwise it runs the guest test/guest/talk, whose serial port the test
 * holds, on the host's real KVM.
 *
 * Threads: the test's.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "test/lib/payload.h"
#include "test/lib/test.h"

/* A sanitizer makes system calls of its own, and handles signals. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHILD_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHILD_IS_SANITIZED 1
#endif
#endif
#ifndef CHILD_IS_SANITIZED
#define CHILD_IS_SANITIZED 0
#endif

struct child_text {
	char *text; /* NUL-ended */
	size_t len;
	int fd; /* where it comes from, -1 at its end */
};

struct child {
	pid_t pid;
	int in;                     /* its standard input, or -1 */
	struct child_text out, err; /* what it printed and nobody took */
	bool has_ended;
	int status; /* of waitpid() */
};

/*
 * Descriptors for the new process. -1: a pipe to the test; CHILD_CLOSED: that
 * one is closed. They stay the caller's.
 */
#define CHILD_CLOSED (-2)
struct child_start {
	int in, out, err;
	void (*prepare)(void);      /* in the new process, before exec */
	const char *const *options; /* NULL-ended */
	bool bare;                  /* nothing but those options */
};

void child_start_with(struct child *c, const struct child_start *s);

/* The guest, its first serial port on pipes, and these options. */
#define child_start(c, ...)                                                    \
	child_start_with(c, &(struct child_start){                             \
				    -1, -1, -1, NULL,                          \
				    (const char *const[]){__VA_ARGS__, NULL},  \
				    false})
/* vireo with nothing but these options. */
#define child_start_bare(c, ...)                                               \
	child_start_with(c, &(struct child_start){                             \
				    -1, -1, -1, NULL,                          \
				    (const char *const[]){__VA_ARGS__, NULL},  \
				    true})

/* Waits until text is among what was printed, and takes all up to its end.
 * Fails the test where it does not come. */
void child_expect(struct child *c, const char *text);
void child_expect_error(struct child *c, const char *text);
/* The word that comes after that text among the errors. */
void child_error_word(struct child *c, const char *after, char *buf,
		      size_t len);
void child_say(struct child *c, const char *text);
/* From here the test talks to the guest through fd. */
void child_talk_through(struct child *c, int fd);
/* As echo to the guest: it still answers. */
void child_check_alive(struct child *c, const char *word);

/* Waits for the end: the exit status, or 128 + the signal. */
int child_wait(struct child *c);
/* Reads what it left in the pipes. */
void child_drain(struct child *c);
/* Waits for the end and releases everything; the run must end so. */
void child_end(struct child *c, int status);

/* Does it become true within the time that a test waits? */
bool child_eventually(bool (*is_true)(void *arg), void *arg);

/* A directory for the test's files, the same each time. */
const char *child_dir(void);
/* The path of a file there. */
const char *child_file(const char *name, char *buf, size_t len);
void child_remove_dir(void);
