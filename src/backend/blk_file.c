/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block nodes "file" (a regular file) and "host_device" (a block device):
 * opening, size, alignment and topology.
 *
 * All that needs a path or an ioctl happens here, at set-up; inside the jail
 * only the operations of blk_file_io.c remain. host_device discards and zeroes
 * by fallocate(2), which the kernel carries out for block devices too and
 * which, other than the BLK* ioctls, goes through the ring.
 *
 * Spec: open(2) O_DIRECT, statx(2) STATX_DIOALIGN, ioctl_blk.
 * Threads: as in backend/block.h.
 * Syscalls: set-up: openat, fcntl, newfstatat, lseek, statx, ioctl, pread64,
 *       close
 */
#include "backend/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"

#define SECTOR 512U

/* Of Linux 6.1; older headers lack it. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif

/* Requests go through the loop: io_uring wherever the host allows it. */
static const char *const aio_names[] = {"io_uring", NULL};

static const struct prop blk_file_props[] = {
	PROP_STR_REQUIRED(struct blk_file, filename, "filename",
			  "path of the image"),
	PROP_ENUM(struct blk_file, locking, "locking", OOA_AUTO,
		  on_off_auto_names,
		  "keep other processes from using the image"),
	PROP_ENUM(struct blk_file, aio, "aio", 0, aio_names,
		  "how the host carries out I/O"),
	PROP_END,
};

static struct blk_file *file_of(struct blk_node *n)
{
	return container_of(n, struct blk_file, node);
}

/* --- opening --- */

static int file_refuse_open(const struct blk_file *f, int r, struct err *e)
{
	err_set_errno(e, r, "Could not open '%s'", f->filename);
	if (!f->node.read_only && (r == -EACCES || r == -EPERM || r == -EROFS))
		err_append(e, " (give read-only=on to read it only)");
	if (f->is_direct && r == -EINVAL)
		err_append(e, " (its file system has no O_DIRECT: use "
			      "cache.direct=off)");
	return r;
}

/* Not blocking: a FIFO, say, must not hold up the start. */
static int file_open_path(struct blk_file *f, struct err *e)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	flags |= f->node.read_only ? O_RDONLY : O_RDWR;
	f->is_direct = f->node.cache_direct;
	f->fd = open(f->filename, flags | (f->is_direct ? O_DIRECT : 0));
	return f->fd < 0 ? file_refuse_open(f, -errno, e) : 0;
}

static int file_check_type(struct blk_file *f, struct err *e)
{
	bool wants_device = f->is_device;
	struct stat st;

	if (fstat(f->fd, &st))
		return file_refuse_open(f, -errno, e);
	if (S_ISDIR(st.st_mode))
		return file_refuse_open(f, -EISDIR, e);
	if (S_ISBLK(st.st_mode) == wants_device &&
	    S_ISREG(st.st_mode) == !wants_device)
		return 0;
	if (S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL,
			       "driver 'file' takes regular files, and '%s' is "
			       "a block device: use driver=host_device",
			       f->filename);
	if (S_ISREG(st.st_mode))
		return err_set(e, -EINVAL,
			       "driver 'host_device' takes block devices, and "
			       "'%s' is a regular file: use driver=file",
			       f->filename);
	return err_set(e, -EINVAL,
		       "'%s' is neither a regular file nor a block device",
		       f->filename);
}

static int file_clear_nonblock(const struct blk_file *f, struct err *e)
{
	int flags = fcntl(f->fd, F_GETFL);

	if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_NONBLOCK))
		return file_refuse_open(f, -errno, e);
	return 0;
}

/* --- size, alignment, topology --- */

/* A last sector that the file has only a part of reads as if filled up. */
static int file_find_size(struct blk_file *f, struct err *e)
{
	off_t end = lseek(f->fd, 0, SEEK_END);

	if (end < 0)
		return err_set_errno(e, -errno, "cannot find the size of '%s'",
				     f->filename);
	f->node.caps.bytes = align_up((uint64_t)end, SECTOR);
	return 0;
}

static uint32_t file_ioctl_size(int fd, unsigned long request, uint32_t none)
{
	unsigned n = 0;

	return !ioctl(fd, request, &n) && is_pow2(n) ? n : none;
}

static void file_find_topology(struct blk_file *f)
{
	struct blk_caps *c = &f->node.caps;
	unsigned opt = 0;

	c->logical_block = SECTOR;
	c->physical_block = SECTOR;
	if (!f->is_device)
		return;
	c->logical_block = file_ioctl_size(f->fd, BLKSSZGET, SECTOR);
	c->physical_block =
		file_ioctl_size(f->fd, BLKPBSZGET, c->logical_block);
	c->min_io = file_ioctl_size(f->fd, BLKIOMIN, 0);
	if (!ioctl(f->fd, BLKIOOPT, &opt) && opt % SECTOR == 0)
		c->opt_io = opt;
}

/* What the kernel says (6.1), of file systems that say it. */
static bool file_statx_align(struct blk_file *f)
{
	struct statx sx;

	memset(&sx, 0, sizeof(sx));
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) ||
	    !(sx.stx_mask & STATX_DIOALIGN) || !is_pow2(sx.stx_dio_mem_align) ||
	    !is_pow2(sx.stx_dio_offset_align))
		return false;
	f->mem_align = sx.stx_dio_mem_align;
	f->io_align = MAX(sx.stx_dio_offset_align, SECTOR);
	return true;
}

/* A block larger than the one tried refuses the read; a file that is shorter
 * than it does not. */
static int file_try_align(const struct blk_file *f)
{
	unsigned char *page = NULL;
	ssize_t got;

	if (posix_memalign((void **)&page, 4096, 4096))
		return 4096;
	got = pread(f->fd, page, SECTOR, 0);
	free(page);
	return got >= 0 ? (int)SECTOR : 4096;
}

static int file_find_align(struct blk_file *f, struct err *e)
{
	f->mem_align = f->io_align = 1;
	if (!f->is_direct)
		return 0;
	if (!file_statx_align(f)) {
		f->io_align = f->is_device ? f->node.caps.logical_block
					   : (uint32_t)file_try_align(f);
		f->mem_align = f->io_align;
	}
	if (f->io_align > BOUNCE_BYTES / 2 || f->mem_align > BOUNCE_BYTES)
		return err_set(e, -ENOTSUP,
			       "O_DIRECT on '%s' needs blocks of %u bytes, "
			       "which is too many: use cache.direct=off",
			       f->filename, f->io_align);
	/* The last block is written whole: a part of one would be filled up,
	 * and the disk larger the next time. */
	if (!f->node.read_only && f->node.caps.bytes % f->io_align)
		return err_set(e, -EINVAL,
			       "O_DIRECT on '%s' needs a size in blocks of %u "
			       "bytes, and it has %llu: make it larger, or use "
			       "cache.direct=off",
			       f->filename, f->io_align,
			       (unsigned long long)f->node.caps.bytes);
	f->node.caps.io_align = f->io_align;
	f->node.caps.mem_align = f->mem_align;
	return 0;
}

static void file_set_caps(struct blk_file *f)
{
	struct blk_caps *c = &f->node.caps;

	c->read_only = f->node.read_only;
	c->flush = true;
	c->cache_writeback = true;
	c->write_zeroes = !c->read_only;
	c->discard = !c->read_only && f->node.discard == BLK_DISCARD_UNMAP;
	c->unmap = c->discard;
	c->discard_align = f->is_device ? c->logical_block : 0;
}

/* --- the driver --- */

static int file_open_any(struct blk_node *n, bool is_device, struct err *e)
{
	struct blk_file *f = file_of(n);
	int r;

	f->fd = -1;
	f->file = -1;
	f->lock_fd = -1;
	f->is_device = is_device;
	list_init(&f->writing);
	r = file_open_path(f, e);
	if (!r)
		r = file_check_type(f, e);
	if (!r)
		r = file_clear_nonblock(f, e);
	if (!r)
		r = blk_lock(f, e);
	if (!r)
		r = file_find_size(f, e);
	if (r)
		return r;
	file_find_topology(f);
	r = file_find_align(f, e);
	if (!r)
		file_set_caps(f);
	return r;
}

static int file_open(struct blk_node *n, struct err *e)
{
	return file_open_any(n, false, e);
}

static int host_device_open(struct blk_node *n, struct err *e)
{
	return file_open_any(n, true, e);
}

static void file_close(struct blk_node *n)
{
	struct blk_file *f = file_of(n);

	if (f->lock_fd >= 0)
		close(f->lock_fd);
	if (f->fd >= 0)
		close(f->fd);
	f->lock_fd = f->fd = -1;
}

const struct blk_driver blk_file_driver = {
	.name = "file",
	.summary = "image in a regular file",
	.size = sizeof(struct blk_file),
	.props = blk_file_props,
	.open = file_open,
	.close = file_close,
	.bind = blk_file_bind,
	.unbind = blk_file_unbind,
	.submit = blk_file_submit,
};

const struct blk_driver blk_host_device_driver = {
	.name = "host_device",
	.summary = "block device of the host",
	.size = sizeof(struct blk_file),
	.props = blk_file_props,
	.open = host_device_open,
	.close = file_close,
	.bind = blk_file_bind,
	.unbind = blk_file_unbind,
	.submit = blk_file_submit,
};
