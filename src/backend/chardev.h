/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends (-chardev) as front ends see them: a byte stream each
 * way, with back pressure each way.
 *
 * Threads: open, close: main. The rest: the loop of char_bind(), but
 *       char_write() which a serial port calls from any thread under its
 *       device's lock.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/prop.h"
#include "base/types.h"

struct chardev;
struct json_object;

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
	void (*close)(struct chardev *c); /* restores a terminal */
	int (*bind)(struct chardev *c, struct loop *l, struct err *e);
	void (*unbind)(struct chardev *c);
	/* Any thread. Bytes taken, which may be fewer; or -errno. */
	ssize_t (*write)(struct chardev *c, const void *buf, size_t len);
	void (*accept)(struct chardev *c); /* the front end has room again */
};

extern const struct char_driver *const char_drivers[]; /* NULL-ended */
const struct char_driver *char_driver_find(const char *name);

struct chardev {
	const struct char_driver *driver;
	char *id;
	struct char_user *user;
	struct loop *loop;
	uint16_t cols, rows; /* of the terminal behind it; 0: none */
	struct list link;
};

/* Opens what a -chardev object describes ("backend", "id", …). */
int char_open(struct json_object *conf, struct chardev **ret, struct err *e);
void char_close(struct chardev *c);
/* A front end takes it: -EBUSY if another has it. */
int char_claim(struct chardev *c, struct char_user *u, const char *user,
	       struct err *e);
void char_release(struct chardev *c);
int char_bind(struct chardev *c, struct loop *l, struct err *e);
void char_unbind(struct chardev *c);
ssize_t char_write(struct chardev *c, const void *buf, size_t len);
void char_accept(struct chardev *c);
