/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts vireo, reads what it prints, waits for its end.
 */
#include "test/lib/child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

#define CHILD_SECONDS 60 /* the host may be busy */
#define CHILD_ARGS    64
#define CHILD_PATH    1024

static double child_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- starting --- */

static void child_add(char **argv, size_t *n, const char *const *words)
{
	for (; *words; words++) {
		assert_true(*n + 1 < CHILD_ARGS);
		memcpy(&argv[(*n)++], words, sizeof(*words));
	}
}

static void child_exec(const struct child_start *s)
{
	char vireo[CHILD_PATH], guest[CHILD_PATH];
	const char *const machine[] = {
		"-M", "microvm,kaslr=off", "-m", "8", "-nodefaults",
		"-kernel", guest,
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4",
		"-device", "pvpanic", NULL,
	};
	const char *const unconfined[] = {"-sandbox", "off", NULL};
	const char *const name[] = {"vireo", NULL};
	char *argv[CHILD_ARGS] = {NULL};
	size_t n = 0;

	build_path("vireo", vireo, sizeof(vireo));
	build_path("test/guest/talk", guest, sizeof(guest));
	child_add(argv, &n, name);
	if (!s->bare)
		child_add(argv, &n, machine);
	if (!s->bare && CHILD_IS_SANITIZED)
		child_add(argv, &n, unconfined);
	child_add(argv, &n, s->options);
	execv(vireo, argv);
	_exit(99);
}

static void child_give(int fd, int as)
{
	if (fd == CHILD_CLOSED)
		close(as);
	else if (dup2(fd, as) < 0)
		_exit(98);
}

/* The end for the child; *mine is the test's where there is a pipe. */
static int child_pipe(int given, bool to_child, int *mine)
{
	int ends[2];

	*mine = -1;
	if (given != -1)
		return given;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*mine = ends[to_child];
	return ends[!to_child];
}

static void child_text_init(struct child_text *t, int fd)
{
	*t = (struct child_text){.text = calloc(1, 1), .fd = fd};
	assert_non_null(t->text);
}

void child_start_with(struct child *c, const struct child_start *s)
{
	int given[3], mine[3];

	given[0] = child_pipe(s->in, true, &mine[0]);
	given[1] = child_pipe(s->out, false, &mine[1]);
	given[2] = child_pipe(s->err, false, &mine[2]);
	*c = (struct child){.in = mine[0]};
	child_text_init(&c->out, mine[1]);
	child_text_init(&c->err, mine[2]);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (!c->pid) {
		for (int i = 0; i < 3; i++)
			child_give(given[i], i);
		if (s->prepare)
			s->prepare();
		child_exec(s);
	}
	for (int i = 0; i < 3; i++)
		if (mine[i] >= 0)
			close(given[i]);
}

/* --- what it prints --- */

static void child_read(struct child_text *t)
{
	char buf[4096];
	ssize_t n = read(t->fd, buf, sizeof(buf));

	if (n <= 0) {
		close(t->fd);
		t->fd = -1;
		return;
	}
	t->text = realloc(t->text, t->len + (size_t)n + 1);
	assert_non_null(t->text);
	memcpy(t->text + t->len, buf, (size_t)n);
	t->len += (size_t)n;
	t->text[t->len] = 0;
}

/* Reads what comes within some milliseconds. */
static void child_listen(struct child *c, int ms)
{
	struct child_text *const texts[] = {&c->out, &c->err};
	struct pollfd p[2];

	for (size_t i = 0; i < 2; i++)
		p[i] = (struct pollfd){.fd = texts[i]->fd, .events = POLLIN};
	if (poll(p, 2, ms) <= 0)
		return;
	for (size_t i = 0; i < 2; i++)
		if (p[i].revents)
			child_read(texts[i]);
}

static void child_fail(const struct child *c, const char *what)
{
	fail_msg("%s; it has printed:\n%s\nand as errors:\n%s", what,
		 c->out.text, c->err.text);
}

static void child_take(struct child *c, struct child_text *t, const char *text)
{
	double end = child_now() + CHILD_SECONDS;
	char what[256], *at;

	while (!(at = strstr(t->text, text)) && t->fd >= 0 &&
	       child_now() < end)
		child_listen(c, 100);
	if (!at) {
		(void)snprintf(what, sizeof(what), "'%s' does not come", text);
		child_fail(c, what);
		return;
	}
	at += strlen(text);
	t->len -= (size_t)(at - t->text);
	memmove(t->text, at, t->len + 1);
}

void child_expect(struct child *c, const char *text)
{
	child_take(c, &c->out, text);
}

void child_expect_error(struct child *c, const char *text)
{
	child_take(c, &c->err, text);
}

void child_error_word(struct child *c, const char *after, char *buf,
		      size_t len)
{
	double end = child_now() + CHILD_SECONDS;
	size_t n;

	child_take(c, &c->err, after);
	while (n = strcspn(c->err.text, " \n"),
	       !c->err.text[n] && c->err.fd >= 0 && child_now() < end)
		child_listen(c, 100);
	assert_true(n < len);
	memcpy(buf, c->err.text, n);
	buf[n] = 0;
}

void child_say(struct child *c, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(write(c->in, text, len), len);
}

void child_talk_through(struct child *c, int fd)
{
	assert_true(fd >= 0);
	if (c->in >= 0)
		close(c->in);
	if (c->out.fd >= 0)
		close(c->out.fd);
	c->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	c->out.fd = fd;
}

void child_check_alive(struct child *c, const char *word)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "echo %s\n", word);
	child_say(c, line);
	(void)snprintf(line, sizeof(line), "%s", word);
	child_expect(c, line);
}

/* --- the end --- */

static int child_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

int child_wait(struct child *c)
{
	double end = child_now() + CHILD_SECONDS;

	while (!c->has_ended && child_now() < end) {
		if (waitpid(c->pid, &c->status, WNOHANG) == c->pid)
			c->has_ended = true;
		else
			child_listen(c, 20);
	}
	if (!c->has_ended) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, &c->status, 0);
		child_fail(c, "vireo does not end");
	}
	return child_code(c->status);
}

void child_drain(struct child *c)
{
	double end = child_now() + 2;

	while ((c->out.fd >= 0 || c->err.fd >= 0) && child_now() < end)
		child_listen(c, 100);
}

void child_end(struct child *c, int status)
{
	int code = child_wait(c);
	char what[64];

	child_drain(c);
	if (code != status) {
		(void)snprintf(what, sizeof(what), "status %d, not %d", code,
			       status);
		child_fail(c, what);
	}
	if (c->in >= 0)
		close(c->in);
	if (c->out.fd >= 0)
		close(c->out.fd);
	if (c->err.fd >= 0)
		close(c->err.fd);
	free(c->out.text);
	free(c->err.text);
}

/* --- help --- */

bool child_eventually(bool (*is_true)(void *arg), void *arg)
{
	double end = child_now() + CHILD_SECONDS;
	const struct timespec pause = {.tv_nsec = 5000000};

	while (!is_true(arg)) {
		if (child_now() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Made at the first use; the same for all of a test program. */
static char child_dir_path[32];

const char *child_dir(void)
{
	if (!*child_dir_path) {
		strcpy(child_dir_path, "/tmp/vireo-test-XXXXXX");
		assert_non_null(mkdtemp(child_dir_path));
	}
	return child_dir_path;
}

const char *child_file(const char *name, char *buf, size_t len)
{
	assert_true((size_t)snprintf(buf, len, "%s/%s", child_dir(), name) <
		    len);
	return buf;
}

static int child_remove_one(const char *path, const struct stat *st, int type,
			    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void child_remove_dir(void)
{
	if (*child_dir_path)
		(void)nftw(child_dir_path, child_remove_one, 8,
			   FTW_DEPTH | FTW_PHYS);
	*child_dir_path = 0;
}
