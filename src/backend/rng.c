/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy: the host kernel's generator by getrandom(2), or what a file gives.
 *
 * Threads: complete, fini, bind: main. read, cancel: the loop of bind.
 * Syscalls: main: getrandom, readv (or the ring)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "backend/object.h"

struct rng {
	struct object obj;
	struct loop *loop;
	unsigned bound; /* how often */
	/* rng-random */
	char *filename;
	int fd, file;
	bool has_fd;
};

static struct rng *rng_of(struct object *o)
{
	return container_of(o, struct rng, obj);
}

static int rng_bind(struct object *o, struct loop *l, struct err *e)
{
	struct rng *rng = rng_of(o);

	if (rng->bound && rng->loop != l)
		return err_set(e, -EBUSY, "'%s' is in use by another thread",
			       o->id);
	if (!rng->bound && rng->has_fd) {
		rng->file = loop_file_add(l, rng->fd, e);
		if (rng->file < 0)
			return rng->file;
	}
	rng->loop = l;
	rng->bound++;
	return 0;
}

static void rng_unbind(struct object *o)
{
	struct rng *rng = rng_of(o);

	if (!rng->bound || --rng->bound)
		return;
	if (rng->has_fd)
		loop_file_del(rng->loop, rng->file);
	rng->loop = NULL;
}

static void rng_ended(struct loop_io *io, int result)
{
	struct rng_request *r = container_of(io, struct rng_request, io);

	r->is_pending = false;
	/* The end of a file is no entropy. */
	r->done(r, result ? result : -EIO);
}

static void rng_cancel(struct object *o, struct rng_request *r)
{
	struct rng *rng = rng_of(o);
	struct err e;

	if (!r->is_pending)
		return;
	loop_io_cancel(rng->loop, &r->io);
	while (r->is_pending)
		if (loop_step_io(rng->loop, &e))
			break;
}

/* At most 256 bytes at once: they are never short, and never wait. */
#define BUILTIN_MAX 256U

static void builtin_read(struct object *o, struct rng_request *r)
{
	size_t len = MIN(r->len, (size_t)BUILTIN_MAX);
	ssize_t n = getrandom(r->buf, len, GRND_NONBLOCK);

	r->io.done = rng_ended;
	r->is_pending = true;
	loop_complete(rng_of(o)->loop, &r->io, n < 0 ? -errno : (int)n);
}

static void random_read(struct object *o, struct rng_request *r)
{
	struct rng *rng = rng_of(o);

	r->io.done = rng_ended;
	r->is_pending = true;
	r->iov = (struct iovec){r->buf, r->len};
	loop_readv(rng->loop, &r->io, rng->file, &r->iov, 1, LOOP_NO_OFFSET);
}

static int builtin_complete(struct object *o, struct err *e)
{
	(void)o;
	(void)e;
	return 0;
}

static int random_complete(struct object *o, struct err *e)
{
	struct rng *rng = rng_of(o);

	rng->fd = open(rng->filename, O_RDONLY | O_CLOEXEC | O_NOCTTY |
					      O_NONBLOCK);
	if (rng->fd < 0)
		return err_set_errno(e, -errno, "cannot open '%s'",
				     rng->filename);
	rng->has_fd = true;
	return 0;
}

static void random_fini(struct object *o)
{
	struct rng *rng = rng_of(o);

	if (rng->has_fd)
		close(rng->fd);
}

static const struct rng_ops builtin_ops = {
	.bind = rng_bind,
	.unbind = rng_unbind,
	.read = builtin_read,
	.cancel = rng_cancel,
};

static const struct rng_ops random_ops = {
	.bind = rng_bind,
	.unbind = rng_unbind,
	.read = random_read,
	.cancel = rng_cancel,
};

static const struct prop builtin_props[] = {
	PROP_END,
};

static const struct prop random_props[] = {
	PROP_STR(struct rng, filename, "filename", "/dev/urandom",
		 "where the entropy comes from"),
	PROP_END,
};

extern const struct object_class rng_builtin_class, rng_random_class;

const struct object_class rng_builtin_class = {
	.name = "rng-builtin",
	.summary = "entropy of the host kernel, by getrandom",
	.kind = "rng",
	.size = sizeof(struct rng),
	.props = builtin_props,
	.complete = builtin_complete,
	.ops = &builtin_ops,
};

const struct object_class rng_random_class = {
	.name = "rng-random",
	.summary = "entropy from a file or device",
	.kind = "rng",
	.size = sizeof(struct rng),
	.props = random_props,
	.complete = random_complete,
	.fini = random_fini,
	.ops = &random_ops,
};
