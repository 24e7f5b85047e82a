/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, their classes and the buses they sit on.
 *
 * Everything about a kind of device is one constant struct device_class; the
 * table of all of them is generated at build time from the VIREO_DEVICE lines
 * (src/dev/classes.c). The life of a device:
 *
 *   device_new -> props_apply -> props_link -> device_attach -> (reset, run,
 *   pause, resume)* -> device_detach -> device_free
 *
 * A call in the wrong stage returns -EBUSY.
 *
 * Threads: life cycle on main; region handlers on any thread under d->lock;
 * queues and completions on the loop that the device is bound to.
 */
#pragma once

#include <pthread.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "base/prop.h"
#include "base/state.h"
#include "base/types.h"
#include "bus/space.h"

struct bus;
struct device;
struct gmem;
struct irq_sink;
struct loop;
struct notify_sink;

/* What the guest, through a device, asks the machine to do. */
enum board_request {
	BOARD_SHUTDOWN, /* power off */
	BOARD_RESET,    /* reset the whole machine */
	BOARD_PANIC,    /* the guest crashed: apply -action panic= */
	BOARD_EXIT,     /* end the process; arg: exit status 0…255 */
	BOARD_CRASHLOAD,/* the guest crashed and loads a crash kernel: event */
	BOARD_WATCHDOG, /* apply -action watchdog= */
};

/* In the order of `-device help`. */
enum device_category {
	CATEGORY_BRIDGE,
	CATEGORY_USB,
	CATEGORY_STORAGE,
	CATEGORY_NETWORK,
	CATEGORY_INPUT,
	CATEGORY_DISPLAY,
	CATEGORY_SOUND,
	CATEGORY_MISC,
	CATEGORY_CPU,
	CATEGORY_WATCHDOG,
	CATEGORY_NONE,
	CATEGORIES,
};

struct device_class {
	const char *name;    /* as in -device NAME */
	const char *alias;   /* second name, or NULL */
	const char *summary; /* for help, one line, no full stop */
	enum device_category category;
	const char *bus; /* bus type it plugs into: "ISA", "virtio-bus", … */
	bool no_user;    /* made by machines only, not by -device */
	size_t size;     /* of the whole object; struct device is first */
	const struct prop *props;        /* may be NULL */
	const struct state_field *state; /* from sizeof bus flavour on */
	/*
	 * attach: claims regions, lines and back ends; on failure the caller
	 * runs detach, which copes with a half-built device. Mandatory.
	 */
	int (*attach)(struct device *d, struct err *e);
	void (*detach)(struct device *d); /* NULL: nothing to release */
	/* To the state after attach. Under d->lock. NULL: stateless. */
	void (*reset)(struct device *d);
	/* Stop (and restart) starting host I/O; pause returns with none in
	 * flight. NULL: the device does none. */
	void (*pause)(struct device *d);
	void (*resume)(struct device *d);
	/* After state_load: recompute derived fields. -EINVAL refuses. */
	int (*loaded)(struct device *d, struct err *e);
	const void *flavour; /* the bus's own facts: struct virtio_class, … */
};

enum device_stage {
	DEVICE_NEW,
	DEVICE_ATTACHED,
	DEVICE_DETACHED,
};

struct device {
	const struct device_class *class;
	char *id;        /* as the user gave it, or NULL */
	struct bus *bus; /* where it is plugged in, NULL before attach */
	struct board *board;
	enum device_stage stage;
	pthread_mutex_t lock; /* guards registers; taken by the space for
				 region handlers; outermost but for none;
				 EDEADLK where its owner takes it again */
	bool guest_err_seen;
	struct list link; /* in bus->devices */
};

/* State rows for the struct device at the start of an object. */
#define STATE_DEVICE(T) STATE_HOST(T, dev)

/*
 * What a device finds around it: the machine fills this in (a test does, with
 * fakes). Outlives every device.
 */
struct board {
	struct gmem *gmem;
	struct space *mem, *ports;
	const struct irq_sink *irqs;
	const struct irq_router *router; /* NULL: the controller is not ours */
	const struct notify_sink *notify; /* NULL: none */
	struct loop *loop;                /* of devices without an iothread */
	struct list buses; /* every struct bus, by link, in order of making */
	uint64_t macs; /* default MAC addresses given out: bus/mac.h */
	/* What a device asks of the machine; any thread. */
	void (*request)(struct board *b, enum board_request what, int arg);
};

/* A bus: a place that devices of one type plug into. */
struct bus_type {
	const char *name; /* "System", "ISA", "virtio-bus", "PCI", … */
	/* Gives d its place from its properties; NULL: nothing to do. */
	int (*plug)(struct bus *b, struct device *d, struct err *e);
	void (*unplug)(struct bus *b, struct device *d);
	/* Is there a place left? NULL: always. */
	bool (*has_room)(const struct bus *b);
};

struct bus {
	const struct bus_type *type;
	char *name;            /* unique: "isa.0", "virtio-bus.3", … */
	struct device *parent; /* that provides it; NULL: the machine's */
	struct list devices;   /* struct device.link, in order of plugging */
	struct list link;      /* in the machine's list of buses */
};

/* Every class, then NULL; generated from the VIREO_DEVICE lines. */
extern const struct device_class *const device_classes[];
extern const size_t device_class_count;

/* Puts a class into the table; `id` is unique among all and a C name. */
#define VIREO_DEVICE(id, ...)                                                  \
	extern const struct device_class device_class_##id;                    \
	const struct device_class device_class_##id = {__VA_ARGS__}

/* The class of that name or alias, or NULL. */
const struct device_class *device_class_find(const char *name);

/* A new device with defaults set; id may be NULL (copied). */
int device_new(const struct device_class *c, const char *id,
	       struct device **ret, struct err *e);

/*
 * Plugs the device into bus and attaches it; afterwards it is reset once. On
 * failure it is detached again and still the caller's to free.
 */
int device_attach(struct device *d, struct bus *bus, struct board *board,
		  struct err *e);
void device_detach(struct device *d); /* harmless if not attached */
void device_free(struct device *d);   /* detaches first; NULL is fine */
void device_reset(struct device *d);

/* Makes a bus and enters it in board->buses. -EEXIST: the name is taken. */
int bus_init(struct bus *b, const struct bus_type *t, const char *name,
	     struct device *parent, struct board *board, struct err *e);
/* No device may be left on it; harmless on a zeroed one. */
void bus_fini(struct bus *b);

/* The board's bus of that name, or NULL. */
struct bus *bus_find(struct board *board, const char *name);

/*
 * Logs what the guest did wrong, once per device until its reset. fmt names
 * the rule and its specification section. Any thread.
 */
void guest_err(struct device *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "virtio-blk-device 'disk0'" for messages, into buf. */
const char *device_label(const struct device *d, char *buf, size_t len);
