/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the kernel, the initrd and the device tree that the command line
 * names.
 *
 * Threads: main.
 */
#include "vmm/boot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/types.h"
#include "vmm/config.h"
#include "vmm/file.h"

#define DTB_MAX (2 * MIB)

static int open_one(const char *option, const char *path, int *ret,
		    struct err *e)
{
	int fd;

	*ret = -1;
	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_set_errno(e, -errno, "%s: cannot open '%s'", option,
				     path);
	*ret = fd;
	return 0;
}

static int read_dtb(struct boot_files *f, const char *path, struct err *e)
{
	int r = file_read(path, DTB_MAX, &f->dtb, &f->dtb_size, e), why;

	if (r)
		return err_prefix(e, "-dtb: "), r;
	why = f->dtb_size < sizeof(struct fdt_header)
		      ? -FDT_ERR_TRUNCATED
		      : fdt_check_header(f->dtb);
	if (!why && fdt_totalsize(f->dtb) > f->dtb_size)
		why = -FDT_ERR_TRUNCATED;
	if (!why)
		return 0;
	return err_set(e, -EINVAL, "-dtb: '%s' is not a device tree: %s", path,
		       fdt_strerror(why));
}

int boot_files_open(struct boot_files *f, const struct vm_config *c,
		    const char *kernel_cache, struct err *e)
{
	int r;

	*f = (struct boot_files){.kernel = -1, .initrd = -1, .is_open = true};
	r = open_one("-kernel", c->kernel, &f->kernel, e);
	if (!r)
		r = open_one("-initrd", c->initrd, &f->initrd, e);
	if (!r && c->dtb)
		r = read_dtb(f, c->dtb, e);
	if (!r && c->kernel)
		r = image_cache_open(&f->images, kernel_cache, e);
	return r;
}

void boot_files_close(struct boot_files *f)
{
	if (!f->is_open)
		return;
	if (f->kernel >= 0)
		close(f->kernel);
	if (f->initrd >= 0)
		close(f->initrd);
	free(f->dtb);
	image_cache_close(&f->images);
	*f = (struct boot_files){0};
}
