/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends (-chardev) as front ends see them: a byte stream each
 * way, with back pressure each way.
 *
 * Output is taken into a buffer of CHAR_BUFFER bytes and written by the loop,
 * so no caller ever waits for the host: with a slow peer char_write() comes
 * up short (the front end holds the rest back until writable()), and with
 * none (nobody connected, a pipe whose reader went away) it drops. Input is
 * read only as far as the front end has room.
 *
 * Threads: open, close, bind, unbind: main. Callbacks: the loop of
 *       char_bind(), without any lock. char_write() and char_accept(): any,
 *       also under the front end's lock.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/prop.h"
#include "base/types.h"

struct chardev;
struct json_object;

#define CHAR_BUFFER (64 * KIB)

enum char_event {
	CHAR_OPENED, /* a peer is there */
	CHAR_CLOSED, /* the peer went away, or end of input */
	CHAR_BREAK,
	CHAR_RESIZED, /* cols and rows are others now */
};

/* The front end's side. */
struct char_user {
	/* How many bytes the front end takes now; 0: not until char_accept()*/
	size_t (*can_receive)(struct char_user *u);
	void (*receive)(struct char_user *u, const uint8_t *buf, size_t len);
	void (*event)(struct char_user *u, enum char_event ev); /* or NULL */
	/* char_write() will take bytes again after it came up short. */
	void (*writable)(struct char_user *u); /* or NULL */
	struct chardev *chardev;
};

struct char_driver {
	const char *name, *summary; /* "stdio", "file", "null", "socket"… */
	size_t size;                /* struct chardev is first */
	const struct prop *props;
	int (*open)(struct chardev *c, struct err *e);
	/* Restores a terminal. After a failed open too. */
	void (*close)(struct chardev *c);
	int (*bind)(struct chardev *c, struct loop *l, struct err *e);
	void (*unbind)(struct chardev *c);
	/* Any thread. Bytes taken, which may be fewer. */
	size_t (*write)(struct chardev *c, const void *buf, size_t len);
	/* Any thread: the front end has room again. */
	void (*accept)(struct chardev *c);
};

extern const struct char_driver char_file_driver, char_null_driver;
extern const struct char_driver char_pipe_driver, char_pty_driver;
extern const struct char_driver char_socket_driver, char_stdio_driver;
extern const struct char_driver *const char_drivers[]; /* NULL-ended */
const struct char_driver *char_driver_find(const char *name);

struct chardev {
	const struct char_driver *driver;
	char *id;
	struct char_user *user;
	char *user_name; /* who claimed it, or NULL */
	struct loop *loop;
	bool is_open; /* the driver's open() was called */
	/* Where a peer connects, for vmm to tell ("/dev/pts/3"), or NULL. */
	char *address;
	/* A file that close() removes, unless somebody took that over. */
	char *leftover;
	uint16_t cols, rows; /* of the terminal behind it; 0: none */
	struct list link;
};

/*
 * Makes the -chardev object ("backend", …) of the short form that -serial and
 * its like take: stdio, null, pty, file:PATH, unix:PATH[,…], tcp:HOST:PORT[,…].
 * The caller adds "id", and puts it. -ENOENT, without a message, where it is
 * none of these; -EINVAL.
 */
int char_short_form(const char *text, struct json_object **ret, struct err *e);
/* The words that they start with; NULL: no more. */
const char *char_short_form_name(size_t i);

/* Opens what a -chardev object describes ("backend", "id", …). */
int char_open(struct json_object *conf, struct chardev **ret, struct err *e);
void char_close(struct chardev *c);
/* A front end takes it: -EBUSY if another (named in *e) has it. */
int char_claim(struct chardev *c, struct char_user *u, const char *user,
	       struct err *e);
void char_release(struct chardev *c);
/* Starts it, after char_claim(); CHAR_OPENED follows if a peer is there. */
int char_bind(struct chardev *c, struct loop *l, struct err *e);
/* Stops it. What is still buffered is written, if that takes no second. */
void char_unbind(struct chardev *c);
/* Bytes taken, 0…len. */
size_t char_write(struct chardev *c, const void *buf, size_t len);
/* can_receive() may be more than 0 now. */
void char_accept(struct chardev *c);
