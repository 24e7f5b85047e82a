/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the region behind an address, and changes the table of regions while
 * others read it.
 *
 * Theory of operation. Three things must hold at once: an access takes no lock
 * but its device's; a table or region is never freed under an access; and a
 * change made from inside a handler waits for nobody who waits for it.
 *
 * - The table is immutable but for its region pointers: adding and moving
 *   publish a new one, deleting clears the pointer (so it cannot fail). Either
 *   is followed by a new generation number.
 * - A reader pins the table while it searches; a replaced table is freed when
 *   nobody pins it. The last hit is valid while the generation is the same.
 * - The region found is published in the reader's busy slot, then the
 *   generation is read again. A deleter stores the new generation, then reads
 *   the busy slots. All four are sequentially consistent, so either the reader
 *   sees that its region may be gone and starts over, or the deleter sees who
 *   uses it and waits.
 * - The handler's lock, the device's, is taken after that and the generation
 *   checked once more. So a deleter that holds the lock itself need not (and
 *   must not) wait: who is between slot and lock will start over. It is only
 *   the memory that must stay until they did: space_quiesce().
 *
 * Spec: none.
 * Threads: any.
 * State: none; devices add their regions again.
 * Syscalls: all: futex
 */
#include "bus/space.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/num.h"
#include "bus/device.h"

#define SPACE_LOGGED_MAX 128

struct space_entry {
	uint64_t base, len;
	_Atomic(struct region *) region; /* NULL: deleted */
};

struct space_table {
	struct space_table *next; /* in the space's retired list */
	size_t count;
	struct space_entry entries[]; /* by base */
};

struct space {
	const char *name;
	uint64_t limit;
	_Atomic(struct space_table *) table;
	_Atomic uint64_t generation; /* from 1 */
	_Atomic unsigned waiters;    /* threads in space_wait() */
	pthread_mutex_t lock;        /* guards all below, and changes above */
	pthread_cond_t left;         /* a busy slot was cleared */
	struct space_table *retired;
	struct space_reader *readers;
	unsigned logged_count;
	uint64_t logged[SPACE_LOGGED_MAX]; /* pages, see space_unclaimed() */
};

int space_new(const char *name, uint64_t limit, struct space **ret,
	      struct err *e)
{
	struct space *s = calloc(1, sizeof(*s));
	struct space_table *t = calloc(1, sizeof(*t));

	if (!s || !t) {
		free(s);
		free(t);
		return err_set(e, -ENOMEM, "no memory for the %s space", name);
	}
	s->name = name;
	s->limit = limit;
	atomic_init(&s->table, t);
	atomic_init(&s->generation, 1);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->left, NULL);
	*ret = s;
	return 0;
}

/* Frees the replaced tables that nobody searches. Under s->lock. */
static void space_reclaim(struct space *s)
{
	struct space_table **where = &s->retired;

	while (*where) {
		struct space_table *t = *where;
		struct space_reader *rd = s->readers;

		while (rd && atomic_load(&rd->pin) != t)
			rd = rd->next;
		if (rd) {
			where = &t->next;
			continue;
		}
		*where = t->next;
		free(t);
	}
}

void space_free(struct space *s)
{
	if (!s)
		return;
	space_reclaim(s);
	free(atomic_load(&s->table));
	pthread_cond_destroy(&s->left);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Has any thread but this one a region in its busy slots that `is` it? */
static bool space_is_busy(struct space *s, const struct region *r,
			  const struct device *d)
{
	for (struct space_reader *rd = s->readers; rd; rd = rd->next) {
		for (unsigned i = 0; i < SPACE_DEPTH_MAX; i++) {
			struct region *b = atomic_load(&rd->busy[i]);

			if (!b || (r ? b != r : b->dev != d))
				continue;
			if (atomic_load(&rd->thread) !=
			    (uintptr_t)pthread_self())
				return true;
		}
	}
	return false;
}

/* Waits until no other thread is busy with r, or (r NULL) a region of d. */
static void space_wait(struct space *s, const struct region *r,
		       const struct device *d)
{
	pthread_mutex_lock(&s->lock);
	atomic_fetch_add(&s->waiters, 1);
	while (space_is_busy(s, r, d))
		pthread_cond_wait(&s->left, &s->lock);
	atomic_fetch_sub(&s->waiters, 1);
	pthread_mutex_unlock(&s->lock);
}

void space_quiesce(struct space *s, const struct device *d)
{
	space_wait(s, NULL, d);
}

static bool region_is_locked(const struct region *r)
{
	return r->dev && !(r->flags & REGION_UNLOCKED);
}

static unsigned region_min(const struct region *r)
{
	return r->min ? r->min : 1;
}

static unsigned region_max(const struct region *r)
{
	return r->max ? r->max : 8;
}

static bool region_widths_ok(const struct region *r)
{
	unsigned min = region_min(r), max = region_max(r);

	return is_pow2(min) && is_pow2(max) && min <= max && max <= 8 &&
	       r->len % min == 0;
}

/* Is [base, base + len) free of all regions but r? Under s->lock. */
static int space_check_free(struct space *s, const struct region *r,
			    uint64_t base, struct err *e)
{
	struct space_table *t = atomic_load(&s->table);

	for (size_t i = 0; i < t->count; i++) {
		struct space_entry *ent = &t->entries[i];
		struct region *old = atomic_load(&ent->region);

		if (!old || old == r ||
		    !ranges_overlap(base, r->len, ent->base, ent->len))
			continue;
		return err_set(e, -EEXIST,
			       "%s 0x%llx-0x%llx of '%s' overlap "
			       "0x%llx-0x%llx of '%s'",
			       s->name, (unsigned long long)base,
			       (unsigned long long)(base + r->len - 1), r->name,
			       (unsigned long long)ent->base,
			       (unsigned long long)(ent->base + ent->len - 1),
			       old->name);
	}
	return 0;
}

static int space_check(struct space *s, const struct region *r, uint64_t base,
		       struct err *e)
{
	if (!r->len || !region_widths_ok(r))
		return err_set(e, -EINVAL,
			       "region '%s' has length %llu and widths %u-%u",
			       r->name, (unsigned long long)r->len,
			       region_min(r), region_max(r));
	if (!range_ok(base, r->len, s->limit))
		return err_set(e, -ERANGE,
			       "%s 0x%llx + 0x%llx of '%s' end past 0x%llx",
			       s->name, (unsigned long long)base,
			       (unsigned long long)r->len, r->name,
			       (unsigned long long)s->limit);
	return space_check_free(s, r, base, e);
}

static void table_append(struct space_table *t, struct region *r, uint64_t base,
			 uint64_t len)
{
	struct space_entry *ent = &t->entries[t->count++];

	ent->base = base;
	ent->len = len;
	atomic_init(&ent->region, r);
}

/* What s->table says, with r at base and nowhere else. NULL: no memory. */
static struct space_table *space_table_with(struct space *s, struct region *r,
					    uint64_t base)
{
	struct space_table *old = atomic_load(&s->table);
	struct space_table *t;
	bool placed = false;

	t = calloc(1, sizeof(*t) + (old->count + 1) * sizeof(t->entries[0]));
	if (!t)
		return NULL;
	for (size_t i = 0; i < old->count; i++) {
		struct space_entry *ent = &old->entries[i];
		struct region *other = atomic_load(&ent->region);

		if (!other || other == r)
			continue;
		if (!placed && ent->base > base) {
			table_append(t, r, base, r->len);
			placed = true;
		}
		table_append(t, other, ent->base, ent->len);
	}
	if (!placed)
		table_append(t, r, base, r->len);
	return t;
}

/* Puts r at base, where it was before or not. Under s->lock. */
static int space_place(struct space *s, struct region *r, uint64_t base,
		       struct err *e)
{
	struct space_table *t, *old;
	int rc = space_check(s, r, base, e);

	if (rc)
		return rc;
	t = space_table_with(s, r, base);
	if (!t)
		return err_set(e, -ENOMEM, "no memory for region '%s'",
			       r->name);
	old = atomic_exchange(&s->table, t);
	atomic_fetch_add(&s->generation, 1);
	old->next = s->retired;
	s->retired = old;
	space_reclaim(s);
	r->base = base;
	r->space = s;
	return 0;
}

int space_add(struct space *s, struct region *r, struct err *e)
{
	int rc;

	if (r->space)
		return err_set(e, -EBUSY, "region '%s' is in the %s space",
			       r->name, r->space->name);
	pthread_mutex_lock(&s->lock);
	rc = space_place(s, r, r->base, e);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int space_move(struct region *r, uint64_t base, struct err *e)
{
	struct space *s = r->space;
	int rc;

	if (!s)
		return err_set(e, -EBUSY, "region '%s' is in no space",
			       r->name);
	pthread_mutex_lock(&s->lock);
	rc = space_place(s, r, base, e);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void space_forget(struct space *s, const struct region *r)
{
	struct space_table *t = atomic_load(&s->table);

	for (size_t i = 0; i < t->count; i++)
		if (atomic_load(&t->entries[i].region) == r)
			atomic_store(&t->entries[i].region, NULL);
	atomic_fetch_add(&s->generation, 1);
}

void space_del(struct region *r)
{
	struct space *s = r->space;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	space_forget(s, r);
	r->space = NULL;
	pthread_mutex_unlock(&s->lock);
	if (region_is_locked(r)) {
		if (pthread_mutex_lock(&r->dev->lock) == EDEADLK)
			return; /* ours: nobody can be in a handler */
		pthread_mutex_unlock(&r->dev->lock);
	}
	space_wait(s, r, NULL);
}

void space_for_each(struct space *s,
		    void (*fn)(void *opaque, const struct region *r),
		    void *opaque)
{
	struct space_table *t;

	pthread_mutex_lock(&s->lock);
	t = atomic_load(&s->table);
	for (size_t i = 0; i < t->count; i++) {
		struct region *r = atomic_load(&t->entries[i].region);

		if (r)
			fn(opaque, r);
	}
	pthread_mutex_unlock(&s->lock);
}

void space_reader_init(struct space_reader *rd, struct space *s)
{
	memset(rd, 0, sizeof(*rd));
	rd->space = s;
	pthread_mutex_lock(&s->lock);
	rd->next = s->readers;
	s->readers = rd;
	pthread_mutex_unlock(&s->lock);
}

void space_reader_fini(struct space_reader *rd)
{
	struct space *s = rd->space;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	for (struct space_reader **p = &s->readers; *p; p = &(*p)->next) {
		if (*p == rd) {
			*p = rd->next;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	rd->space = NULL;
}

/* The entry that holds addr, or NULL. */
static const struct space_entry *table_find(const struct space_table *t,
					    uint64_t addr)
{
	size_t lo = 0, hi = t->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct space_entry *ent = &t->entries[mid];

		if (addr < ent->base)
			hi = mid;
		else if (addr - ent->base >= ent->len)
			lo = mid + 1;
		else
			return ent;
	}
	return NULL;
}

/* The table, which stays until the pin is taken off. */
static const struct space_table *space_pin(struct space_reader *rd)
{
	struct space_table *t = atomic_load(&rd->space->table);

	for (;;) {
		struct space_table *now;

		atomic_store(&rd->pin, t);
		now = atomic_load(&rd->space->table);
		if (now == t)
			return t;
		t = now;
	}
}

/* Sets rd->last… to the region at addr as of this generation, if any. */
static bool space_find(struct space_reader *rd, uint64_t generation,
		       uint64_t addr)
{
	const struct space_entry *ent;

	if (rd->last_generation == generation &&
	    addr - rd->last_base < rd->last_len)
		return true;
	ent = table_find(space_pin(rd), addr);
	rd->last_generation = 0;
	if (ent) {
		rd->last = atomic_load(&ent->region);
		rd->last_base = ent->base;
		rd->last_len = ent->len;
		rd->last_generation = rd->last ? generation : 0;
	}
	atomic_store(&rd->pin, NULL);
	return rd->last_generation != 0;
}

static void space_unbusy(struct space_reader *rd)
{
	struct space *s = rd->space;

	atomic_store(&rd->busy[rd->depth], NULL);
	if (likely(!atomic_load(&s->waiters)))
		return;
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->left);
	pthread_mutex_unlock(&s->lock);
}

/* Says once per page (of ports: per 8) that nobody answers there. */
static void space_unclaimed(struct space *s, uint64_t addr)
{
	uint64_t page = addr >> (s->limit > 0x10000 ? 12 : 3);
	bool is_new = true;

	if (likely(!log_wants(LOG_UNIMP)))
		return;
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->logged_count && is_new; i++)
		is_new = s->logged[i] != page;
	if (s->logged_count == SPACE_LOGGED_MAX)
		is_new = false; /* a guest shall not fill the host's disk */
	if (is_new)
		s->logged[s->logged_count++] = page;
	pthread_mutex_unlock(&s->lock);
	if (is_new)
		log_line(LOG_UNIMP, "no device at 0x%llx of the %s space",
			 (unsigned long long)addr, s->name);
}

/*
 * Takes the lock that r's handlers run under. From inside another device's
 * handler there is an end to the waiting, since two devices that reach into
 * each other on two threads would wait for ever.
 */
static int region_lock(struct region *r, bool nested)
{
	struct timespec until;

	if (likely(!nested))
		return pthread_mutex_lock(&r->dev->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	return pthread_mutex_timedlock(&r->dev->lock, &until);
}

enum space_outcome {
	SPACE_HIT,     /* rd->last is this thread's to call */
	SPACE_MISS,    /* nobody's address */
	SPACE_REFUSED, /* the region is there, but not from here */
	SPACE_AGAIN,   /* the table has changed meanwhile */
};

/* Takes the lock of a region in the busy slot, and looks again. */
static enum space_outcome space_lock(struct space_reader *rd, struct region *r,
				     uint64_t generation)
{
	struct space *s = rd->space;

	if (!region_is_locked(r))
		return SPACE_HIT;
	if (region_lock(r, rd->depth > 0)) {
		guest_err(r->dev, "a device wrote or read '%s' in a circle",
			  r->name);
		return SPACE_REFUSED;
	}
	if (likely(atomic_load(&s->generation) == generation))
		return SPACE_HIT;
	pthread_mutex_unlock(&r->dev->lock);
	return SPACE_AGAIN;
}

static enum space_outcome space_try(struct space_reader *rd, uint64_t addr)
{
	struct space *s = rd->space;
	uint64_t generation = atomic_load(&s->generation);
	enum space_outcome o = SPACE_AGAIN;

	if (!space_find(rd, generation, addr))
		return SPACE_MISS;
	atomic_store(&rd->busy[rd->depth], rd->last);
	if (likely(atomic_load(&s->generation) == generation))
		o = space_lock(rd, rd->last, generation);
	if (o != SPACE_HIT)
		space_unbusy(rd);
	return o;
}

/*
 * The region at addr, this thread's to call until space_leave(); NULL where
 * there is none.
 */
static struct region *space_enter(struct space_reader *rd, uint64_t addr,
				  uint64_t *off)
{
	enum space_outcome o;

	if (unlikely(rd->depth == SPACE_DEPTH_MAX))
		return NULL;
	atomic_store_explicit(&rd->thread, (uintptr_t)pthread_self(),
			      memory_order_relaxed);
	do
		o = space_try(rd, addr);
	while (unlikely(o == SPACE_AGAIN));
	if (unlikely(o == SPACE_MISS))
		space_unclaimed(rd->space, addr);
	if (unlikely(o != SPACE_HIT))
		return NULL;
	rd->depth++;
	*off = addr - rd->last_base;
	return rd->last;
}

static void space_leave(struct space_reader *rd, struct region *r)
{
	rd->depth--;
	if (region_is_locked(r))
		pthread_mutex_unlock(&r->dev->lock);
	space_unbusy(rd);
}

static uint64_t bytes_mask(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ULL << 8 * size) - 1;
}

static uint64_t region_read(struct region *r, uint64_t off, unsigned size)
{
	uint64_t v = r->ops->read ? r->ops->read(r, off, size) : UINT64_MAX;

	return v & bytes_mask(size);
}

static void region_write(struct region *r, uint64_t off, unsigned size,
			 uint64_t value)
{
	if (r->ops->write)
		r->ops->write(r, off, size, value & bytes_mask(size));
}

/* Does the handler take this access as it is? */
static bool region_takes(const struct region *r, uint64_t off, unsigned size)
{
	return size >= region_min(r) && size <= region_max(r) &&
	       is_pow2(size) && !(off & (size - 1)) && size <= r->len - off;
}

/* How many of the `left` bytes from off on one step can serve. */
static unsigned region_step(const struct region *r, uint64_t off, unsigned left)
{
	unsigned n = region_max(r);

	while (n > 1 && (n > left || off & (n - 1) || n > r->len - off))
		n /= 2;
	return n;
}

/* A step of n bytes, which may be fewer than the region's least width. */
static uint64_t region_read_step(struct region *r, uint64_t off, unsigned n)
{
	uint64_t at = align_down(off, region_min(r));

	if (n >= region_min(r))
		return region_read(r, off, n);
	if (r->flags & REGION_STRICT)
		return bytes_mask(n);
	return region_read(r, at, region_min(r)) >> 8 * (off - at) &
	       bytes_mask(n);
}

static void region_write_step(struct region *r, uint64_t off, unsigned n,
			      uint64_t value)
{
	uint64_t at = align_down(off, region_min(r));
	unsigned shift = (unsigned)(8 * (off - at));
	uint64_t old;

	if (n >= region_min(r)) {
		region_write(r, off, n, value);
		return;
	}
	if (r->flags & REGION_STRICT)
		return;
	old = region_read(r, at, region_min(r)) & ~(bytes_mask(n) << shift);
	region_write(r, at, region_min(r),
		     old | (value & bytes_mask(n)) << shift);
}

/* Whatever crosses regions, widths or alignment, piece by piece. */
static uint64_t space_read_split(struct space_reader *rd, uint64_t addr,
				 unsigned size)
{
	uint64_t v = 0;

	for (unsigned done = 0; done < size;) {
		uint64_t off, part = 0xff;
		struct region *r = NULL;
		unsigned n = 1;

		if (addr <= UINT64_MAX - done)
			r = space_enter(rd, addr + done, &off);
		if (r) {
			n = region_step(r, off, size - done);
			part = region_read_step(r, off, n);
			space_leave(rd, r);
		}
		v |= part << 8 * done;
		done += n;
	}
	return v;
}

static void space_write_split(struct space_reader *rd, uint64_t addr,
			      unsigned size, uint64_t value)
{
	for (unsigned done = 0; done < size;) {
		struct region *r = NULL;
		unsigned n = 1;
		uint64_t off;

		if (addr <= UINT64_MAX - done)
			r = space_enter(rd, addr + done, &off);
		if (r) {
			n = region_step(r, off, size - done);
			region_write_step(r, off, n, value >> 8 * done);
			space_leave(rd, r);
		}
		done += n;
	}
}

uint64_t space_read(struct space_reader *rd, uint64_t addr, unsigned size)
{
	uint64_t off, v;
	struct region *r = space_enter(rd, addr, &off);
	bool whole = r && region_takes(r, off, size);

	if (likely(whole))
		v = region_read(r, off, size);
	if (r)
		space_leave(rd, r);
	return likely(whole) ? v : space_read_split(rd, addr, size);
}

void space_write(struct space_reader *rd, uint64_t addr, unsigned size,
		 uint64_t value)
{
	uint64_t off;
	struct region *r = space_enter(rd, addr, &off);
	bool whole = r && region_takes(r, off, size);

	if (likely(whole))
		region_write(r, off, size, value);
	if (r)
		space_leave(rd, r);
	if (unlikely(!whole))
		space_write_split(rd, addr, size, value);
}
