/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps kernel images in a directory of the user's.
 *
 * An image has a name made of its key: device, inode, size and times of the
 * kernel file, and the host's boot. The last is there because an image is
 * renamed into place but never synced: what a crash of the host leaves of it
 * has another boot's name. The directory must be the caller's alone, for what
 * is in it becomes a guest's kernel. The IMAGES_MAX used last are kept.
 *
 * Threads: main.
 * Syscalls: main: fstat, mmap; set-up: openat, mkdirat, renameat, unlinkat,
 *           getdents64, utimensat
 */
#include "vmm/image_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vmm/filemap.h"

#define IMAGES_MAX     8
#define IMAGE_NAME_MAX 32
#define IMAGE_PREFIX   "kernel-"
#define IMAGE_TEMP     "new-"
#define RACY_NS        2000000000ULL /* the coarsest file times there are */
#define TEMP_AGE_S     3600
#define USE_AGE_S      3600 /* when a use is noted again */

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

static uint64_t time_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000U + (uint64_t)t->tv_nsec;
}

/* What is in the directory is believed: nobody else may write there. */
static int check_owner(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set_errno(e, -errno, "cannot examine '%s'", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, -EPERM,
			       "'%s' is writable for others, or not yours",
			       path);
	return 0;
}

static int open_dir(int at, const char *path, struct err *e)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set_errno(e, -errno, "cannot open '%s'", path) : fd;
}

/* Opens a directory below at, which is made where it is not there. */
static int make_dir(int at, const char *name, struct err *e)
{
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return err_set_errno(e, -errno, "cannot make '%s'", name);
	return open_dir(at, name, e);
}

static int open_default(struct err *e)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	AUTO_FD int top = -1, cache = -1;

	if (xdg && xdg[0] == '/') {
		cache = open_dir(AT_FDCWD, xdg, e);
	} else if (home && home[0] == '/') {
		top = open_dir(AT_FDCWD, home, e);
		cache = top < 0 ? top : make_dir(top, ".cache", e);
	} else {
		return err_set(e, -ENOENT, "$HOME is not set");
	}
	return cache < 0 ? cache : make_dir(cache, "vireo", e);
}

static int open_cache(const char *where, struct err *e)
{
	bool is_default = !strcmp(where, "auto");
	AUTO_FD int fd =
		is_default ? open_default(e) : open_dir(AT_FDCWD, where, e);
	int rc = fd < 0 ? fd : check_owner(fd, is_default ? "vireo" : where, e);

	return rc ? rc : take_fd(fd);
}

int image_cache_open(struct image_cache *c, const char *where, struct err *e)
{
	struct err why = {0};

	*c = (struct image_cache){
		.dir = -1, .racy_ns = RACY_NS, .image = {.fd = -1}};
	if (!strcmp(where, "off"))
		return 0;
	c->dir = open_cache(where, &why);
	c->is_on = c->dir >= 0;
	if (!c->is_on && strcmp(where, "auto") != 0)
		return err_set(e, c->dir, "kernel-cache: %s", why.text);
	if (!c->is_on)
		log_on(LOG_BOOT, "no cache of kernels: %s", why.text);
	return 0;
}

void image_cache_close(struct image_cache *c)
{
	if (!c->is_on)
		return;
	image_close(&c->image);
	close(c->dir);
	*c = (struct image_cache){.dir = -1};
}

static bool read_boot_id(struct image_key *k)
{
	AUTO_FD int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, k->boot_id, sizeof(k->boot_id)) > 0;
}

static bool make_key(const struct boot_file *f, struct image_key *k)
{
	struct stat st;

	if (fstat(f->fd, &st))
		return false;
	k->dev = st.st_dev;
	k->ino = st.st_ino;
	k->size = (uint64_t)st.st_size;
	k->mtime_ns = time_ns(&st.st_mtim);
	k->ctime_ns = time_ns(&st.st_ctim);
	return true;
}

/* FNV-1a; the header has the whole key. */
static void name_of(const struct image_key *k, char name[IMAGE_NAME_MAX])
{
	const uint8_t *p = (const uint8_t *)k;
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < sizeof(*k); i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	(void)snprintf(name, IMAGE_NAME_MAX, IMAGE_PREFIX "%016" PRIx64, hash);
}

/* The images used last are kept: notes a use, not more than once an hour. */
static void note_use(int fd)
{
	struct stat st;
	time_t now = time(NULL);

	if (!fstat(fd, &st) && now - st.st_mtim.tv_sec > USE_AGE_S)
		(void)futimens(fd, NULL);
}

static void open_image(struct image_cache *c)
{
	char name[IMAGE_NAME_MAX];
	int fd;

	name_of(&c->key, name);
	fd = openat(c->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (image_open(&c->image, fd, &c->key)) {
		close(fd);
		return;
	}
	note_use(fd);
}

const struct image *image_cache_find(struct image_cache *c,
				     const struct boot_file *kernel,
				     bool may_open)
{
	struct image_key key = c->key;

	if (!c->is_on || !make_key(kernel, &key))
		return NULL;
	if (may_open) {
		if (!read_boot_id(&key))
			return NULL;
		c->key = key;
		open_image(c);
	}
	if (!c->image.size || memcmp(&key, &c->key, sizeof(key)) != 0)
		return NULL;
	return &c->image;
}

static bool is_racy(const struct image_cache *c)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return c->key.ctime_ns + c->racy_ns > time_ns(&now);
}

struct entry {
	char name[NAME_MAX + 1];
	time_t used;
};

/* Of the images, the one used longest ago; also how many there are. */
static unsigned oldest_of(int dir, DIR *d, struct entry *oldest)
{
	const time_t stale = time(NULL) - TEMP_AGE_S;
	const struct dirent *de;
	unsigned count = 0;
	struct stat st;

	rewinddir(d);
	while ((de = readdir(d))) {
		if (fstatat(dir, de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!strncmp(de->d_name, IMAGE_TEMP, strlen(IMAGE_TEMP)) &&
		    st.st_mtim.tv_sec < stale)
			(void)unlinkat(dir, de->d_name, 0);
		if (strncmp(de->d_name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)))
			continue;
		if (!count++ || st.st_mtim.tv_sec < oldest->used) {
			memcpy(oldest->name, de->d_name, sizeof(oldest->name));
			oldest->used = st.st_mtim.tv_sec;
		}
	}
	return count;
}

static void make_room(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct entry oldest;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (oldest_of(dir, d, &oldest) >= IMAGES_MAX)
		if (unlinkat(dir, oldest.name, 0))
			break;
	(void)closedir(d);
}

static int store(struct image_cache *c, const struct image_source *s)
{
	char name[IMAGE_NAME_MAX], temp[IMAGE_NAME_MAX];
	int fd, rc;

	name_of(&c->key, name);
	(void)snprintf(temp, sizeof(temp), IMAGE_TEMP "%d", (int)getpid());
	(void)unlinkat(c->dir, temp, 0); /* of a process of that number */
	fd = openat(c->dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = image_write(fd, &c->key, s);
	if (!rc && renameat(c->dir, temp, c->dir, name))
		rc = -errno;
	if (!rc)
		rc = image_open(&c->image, fd, &c->key);
	if (!rc)
		return 0;
	(void)unlinkat(c->dir, temp, 0);
	close(fd);
	return rc;
}

void image_cache_store(struct image_cache *c, const struct image_source *s)
{
	int rc;

	if (!c->is_on || c->image.size || is_racy(c))
		return;
	make_room(c->dir);
	rc = store(c, s);
	log_on(LOG_BOOT, "kernel kept for the next start: %s",
	       rc ? strerror(-rc) : "yes");
}

int image_cache_map(struct image_cache *c, const struct image *im, void *to)
{
	int rc;

	if (c->mapped &&
	    mmap(c->mapped, c->mapped_len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		 0) == MAP_FAILED)
		return -errno;
	c->mapped = NULL;
	rc = image_map(im, to);
	if (!rc) {
		c->mapped = to;
		c->mapped_len = image_map_len(im);
	}
	return rc;
}
