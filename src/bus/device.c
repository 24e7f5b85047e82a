/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a device: made from its class, plugged in, reset, taken out.
 *
 * Spec: none.
 * Threads: main; guest_err and device_label any.
 * State: none of its own.
 */
#include "bus/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define DEVICE_LABEL_MAX 128
#define GUEST_ERR_MAX    512

const struct device_class *device_class_find(const char *name)
{
	for (size_t i = 0; i < device_class_count; i++) {
		const struct device_class *c = device_classes[i];

		if (!strcmp(c->name, name) ||
		    (c->alias && !strcmp(c->alias, name)))
			return c;
	}
	return NULL;
}

/*
 * The lock tells its owner's second attempt: a device that reaches its own
 * registers by DMA, and space_del() under the lock, both rely on it.
 */
static void device_lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

int device_new(const struct device_class *c, const char *id,
	       struct device **ret, struct err *e)
{
	struct device *d = calloc(1, c->size);
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for a '%s'", c->name);
	d->class = c;
	device_lock_init(&d->lock);
	list_init(&d->link);
	if (id && !(d->id = strdup(id))) {
		device_free(d);
		return err_set(e, -ENOMEM, "no memory for a '%s'", c->name);
	}
	rc = c->props ? props_init(c->props, d, e) : 0;
	if (rc) {
		device_free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

static int device_check_bus(const struct device *d, const struct bus *bus,
			    struct err *e)
{
	if (strcmp(d->class->bus, bus->type->name) != 0)
		return err_set(e, -EINVAL,
			       "a '%s' plugs into a bus of type %s, and '%s' "
			       "is of type %s",
			       d->class->name, d->class->bus, bus->name,
			       bus->type->name);
	if (bus->type->has_room && !bus->type->has_room(bus))
		return err_set(e, -ENOSPC, "bus '%s' is full", bus->name);
	return 0;
}

static void device_unplug(struct device *d)
{
	if (!d->bus)
		return;
	if (d->bus->type->unplug)
		d->bus->type->unplug(d->bus, d);
	list_remove(&d->link);
	d->bus = NULL;
}

/* What a device that is, or half is, attached has: back to the board. */
static void device_release(struct device *d)
{
	if (d->class->detach)
		d->class->detach(d);
	if (d->board->mem)
		space_quiesce(d->board->mem, d);
	if (d->board->ports)
		space_quiesce(d->board->ports, d);
	device_unplug(d);
	d->stage = DEVICE_DETACHED;
}

int device_attach(struct device *d, struct bus *bus, struct board *board,
		  struct err *e)
{
	char label[DEVICE_LABEL_MAX];
	int rc;

	if (d->stage != DEVICE_NEW)
		return err_set(e, -EBUSY, "%s was attached before",
			       device_label(d, label, sizeof(label)));
	rc = device_check_bus(d, bus, e);
	if (rc)
		return rc;
	d->board = board;
	d->bus = bus;
	rc = bus->type->plug ? bus->type->plug(bus, d, e) : 0;
	if (rc) {
		d->bus = NULL;
		return rc;
	}
	list_append(&bus->devices, &d->link);
	rc = d->class->attach(d, e);
	if (rc) {
		device_release(d);
		return rc;
	}
	d->stage = DEVICE_ATTACHED;
	device_reset(d);
	return 0;
}

void device_detach(struct device *d)
{
	if (d && d->stage == DEVICE_ATTACHED)
		device_release(d);
}

void device_free(struct device *d)
{
	if (!d)
		return;
	device_detach(d);
	if (d->class->props)
		props_fini(d->class->props, d);
	pthread_mutex_destroy(&d->lock);
	free(d->id);
	free(d);
}

void device_reset(struct device *d)
{
	if (d->stage != DEVICE_ATTACHED)
		return;
	pthread_mutex_lock(&d->lock);
	if (d->class->reset)
		d->class->reset(d);
	__atomic_store_n(&d->guest_err_seen, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&d->lock);
}

void guest_err(struct device *d, const char *fmt, ...)
{
	char label[DEVICE_LABEL_MAX], text[GUEST_ERR_MAX];
	va_list ap;

	if (!log_wants(LOG_GUEST_ERRORS) ||
	    __atomic_exchange_n(&d->guest_err_seen, true, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* may be cut */
	va_end(ap);
	log_line(LOG_GUEST_ERRORS, "%s: %s",
		 device_label(d, label, sizeof(label)), text);
}

const char *device_label(const struct device *d, char *buf, size_t len)
{
	if (d->id)
		(void)snprintf(buf, len, "%s '%s'", d->class->name, d->id);
	else
		(void)snprintf(buf, len, "%s", d->class->name);
	return buf;
}
