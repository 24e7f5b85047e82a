/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back end "tap": a TAP device of the host, one descriptor a queue
 * pair. Packets go to and fro with their virtio-net header, by vectored reads
 * and writes on the loop.
 *
 * Spec: Linux Documentation/networking/tuntap.rst; uapi/linux/if_tun.h.
 * Threads: as in backend/net.h.
 * Syscalls: main: readv, writev (or the ring), ioctl (TUNSETOFFLOAD,
 *           TUNSETVNETHDRSZ, TUNSETQUEUE: when the driver negotiates)
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/net.h"
#include "base/cleanup.h"
#include "base/log.h"

/* Younger than Debian 12's headers. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* The bits of enum net_offload are those of the kernel's interface. */
_Static_assert(NET_CSUM == TUN_F_CSUM && NET_TSO4 == TUN_F_TSO4 &&
		       NET_TSO6 == TUN_F_TSO6 && NET_ECN == TUN_F_TSO_ECN &&
		       NET_UFO == TUN_F_UFO && NET_USO4 == TUN_F_USO4 &&
		       NET_USO6 == TUN_F_USO6,
	       "offload bits");

#define TAP_QUEUES_MAX 16U
#define TAP_HDR_BYTES  10 /* before the front end says otherwise */
#define TUN_PATH       "/dev/net/tun"

/* One second in all for a TAP that is in use. */
#define TAP_BUSY_WAIT_NS 10000000L
#define TAP_BUSY_TRIES	 100U

/* What is under way at a port, in the order it was begun. */
struct tap_port {
	struct list tx; /* struct net_tx.link */
	struct list rx; /* struct net_rx.link */
	bool is_attached; /* TUNSETQUEUE */
};

struct tap {
	struct net_backend net;
	/* Properties. */
	char *ifname, *script, *fd, *fds;
	int downscript, vhost;
	uint32_t queues;
	/* Queue pairs. */
	struct net_port ports[TAP_QUEUES_MAX];
	struct tap_port state[TAP_QUEUES_MAX];
	unsigned nfds; /* descriptors open, one a port */
	char name[IFNAMSIZ];
};

static struct tap *tap_of(struct net_backend *n)
{
	return container_of(n, struct tap, net);
}

static struct tap_port *state_of(struct net_port *p)
{
	return &tap_of(p->net)->state[p->index];
}

/* --- opening --- */

static void tap_add_port(struct tap *t, int fd)
{
	struct net_port *p = &t->ports[t->nfds];

	*p = (struct net_port){
		.net = &t->net, .index = t->nfds, .fd = fd, .file = -1};
	t->state[t->nfds].is_attached = true;
	list_init(&t->state[t->nfds].tx);
	list_init(&t->state[t->nfds].rx);
	t->nfds++;
}

static int tap_why(struct tap *t, int error, struct err *e)
{
	const char *name = t->name;

	switch (error) {
	case EBUSY:
		return err_set(e, -EBUSY,
			       "TAP '%s' is in use by another process, or is "
			       "not a TAP",
			       name);
	case EPERM:
		return err_set(e, -EPERM,
			       "no permission for TAP '%s': make it with "
			       "'ip tuntap add dev %s mode tap user $USER', or "
			       "run with CAP_NET_ADMIN",
			       name, name);
	default:
		return err_set_errno(e, -error, "cannot open TAP '%s'", name);
	}
}

/* A device that was made for several queues takes no other descriptors. */
static int tap_set_iff(struct tap *t, int fd, bool multi)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, t->name, sizeof(t->name));
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
				(multi ? IFF_MULTI_QUEUE : 0));
	if (!ioctl(fd, TUNSETIFF, &ifr)) {
		memcpy(t->name, ifr.ifr_name, sizeof(t->name));
		return 0;
	}
	if (errno == EINVAL && !multi)
		return tap_set_iff(t, fd, true);
	return -errno;
}

/* A process that was killed holds its TAP until the kernel has taken its ring
 * apart, some time after its parent was told: who starts it again waits. */
static int tap_claim(struct tap *t, int fd)
{
	const struct timespec pause = {.tv_nsec = TAP_BUSY_WAIT_NS};
	int r = tap_set_iff(t, fd, t->queues > 1);

	for (unsigned i = 0; r == -EBUSY && i < TAP_BUSY_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		r = tap_set_iff(t, fd, t->queues > 1);
	}
	return r;
}

static int tap_open_queue(struct tap *t, struct err *e)
{
	AUTO_FD int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set_errno(e, -errno,
				     "cannot open " TUN_PATH
				     " (modprobe tun, or more rights)");
	r = tap_claim(t, fd);
	if (r)
		return tap_why(t, -r, e);
	tap_add_port(t, take_fd(fd));
	return 0;
}

static int tap_open_device(struct tap *t, struct err *e)
{
	int r = 0;

	if (t->ifname && strlen(t->ifname) >= IFNAMSIZ)
		return err_set(e, -EINVAL,
			       "ifname '%s' is longer than %d characters",
			       t->ifname, IFNAMSIZ - 1);
	if (t->ifname)
		memcpy(t->name, t->ifname, strlen(t->ifname));
	for (unsigned i = 0; !r && i < t->queues; i++)
		r = tap_open_queue(t, e);
	return r;
}

/* One descriptor that somebody opened for us. */
static int tap_take_fd(struct tap *t, const char *text, struct err *e)
{
	struct ifreq ifr = {0};
	char *end;
	long fd = strtol(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || fd > INT_MAX)
		return err_set(e, -EINVAL, "'%s' is not a file descriptor",
			       text);
	if (t->nfds == TAP_QUEUES_MAX)
		return err_set(e, -EINVAL, "at most %u queue pairs are taken",
			       TAP_QUEUES_MAX);
	if (ioctl((int)fd, TUNGETIFF, &ifr))
		return err_set_errno(e, -errno,
				     "file descriptor %s is not a TAP", text);
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_VNET_HDR) ||
	    !(ifr.ifr_flags & IFF_NO_PI))
		return err_set(e, -EINVAL,
			       "file descriptor %s was not opened with "
			       "IFF_TAP | IFF_NO_PI | IFF_VNET_HDR",
			       text);
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return err_set_errno(e, -errno, "file descriptor %s", text);
	memcpy(t->name, ifr.ifr_name, sizeof(t->name));
	tap_add_port(t, (int)fd);
	return 0;
}

static int tap_take_fds(struct tap *t, const char *list, struct err *e)
{
	AUTO_FREE char *copy = strdup(list);
	char *save;
	int r = copy ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (char *w = r ? NULL : strtok_r(copy, ":", &save); w && !r;
	     w = strtok_r(NULL, ":", &save))
		r = tap_take_fd(t, w, e);
	if (!r && !t->nfds)
		r = err_set(e, -EINVAL, "fds='%s' names no descriptor", list);
	return r;
}

static int tap_check(const struct tap *t, struct err *e)
{
	if (t->fd && t->fds)
		return err_set(e, -EINVAL, "fd and fds exclude each other");
	if ((t->fd || t->fds) && (t->ifname || t->queues > 1))
		return err_set(e, -EINVAL,
			       "ifname and queues do not go with fd or fds");
	return 0;
}

/* script=PATH: is run with the name of the device, before the jail. */
static int tap_run_script(struct tap *t, struct err *e)
{
	char *argv[] = {t->script, t->name, NULL};
	int status, r;
	pid_t pid;

	if (!t->script || !strcmp(t->script, "no"))
		return 0;
	if (t->fd || t->fds)
		return err_set(e, -EINVAL,
			       "script does not go with fd or fds");
	r = posix_spawn(&pid, t->script, NULL, NULL, argv, environ);
	if (r)
		return err_set_errno(e, -r, "cannot run script '%s'",
				     t->script);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set_errno(e, -errno, "script '%s'",
					     t->script);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return err_set(e, -EIO, "script '%s' failed for '%s'", t->script,
		       t->name);
}

static void tap_probe(struct tap *t)
{
	static const unsigned bits[] = {NET_TSO4, NET_TSO6, NET_ECN, NET_UFO,
					NET_USO4 | NET_USO6};
	int fd = t->ports[0].fd;
	unsigned all = 0;

	if (!ioctl(fd, TUNSETOFFLOAD, (unsigned long)TUN_F_CSUM)) {
		all = NET_CSUM;
		for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
			if (!ioctl(fd, TUNSETOFFLOAD,
				   (unsigned long)(all | bits[i])))
				all |= bits[i];
	}
	(void)ioctl(fd, TUNSETOFFLOAD, 0UL); /* as it was */
	t->net.caps = (struct net_caps){
		.offloads = all,
		.vnet_hdr = true,
		.queues = t->nfds,
	};
}

static unsigned tap_mtu(const struct tap *t)
{
	AUTO_FD int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, t->name, sizeof(t->name));
	if (s < 0 || ioctl(s, SIOCGIFMTU, &ifr))
		return 0;
	return (unsigned)ifr.ifr_mtu;
}

static int tap_set_hdr_len(struct net_backend *n, unsigned bytes)
{
	const struct tap *t = tap_of(n);
	int len = (int)bytes;

	for (unsigned i = 0; i < t->nfds; i++)
		if (ioctl(t->ports[i].fd, TUNSETVNETHDRSZ, &len))
			return -errno;
	return 0;
}

static int tap_open(struct net_backend *n, struct err *e)
{
	struct tap *t = tap_of(n);
	int r = tap_check(t, e);

	if (r)
		return r;
	n->ports = t->ports;
	if (t->fd)
		r = tap_take_fd(t, t->fd, e);
	else if (t->fds)
		r = tap_take_fds(t, t->fds, e);
	else
		r = tap_open_device(t, e);
	if (!r)
		r = tap_run_script(t, e);
	if (r)
		return r;
	tap_probe(t);
	n->caps.mtu = tap_mtu(t);
	n->link_up = true;
	r = net_set_hdr_len(n, TAP_HDR_BYTES);
	return r ? err_set_errno(e, r, "TAP '%s'", t->name) : 0;
}

static void tap_close(struct net_backend *n)
{
	struct tap *t = tap_of(n);

	for (unsigned i = 0; i < t->nfds; i++)
		close(t->ports[i].fd);
	t->nfds = 0;
}

/* --- packets --- */

static int tap_bind(struct net_port *p, struct loop *l, struct err *e)
{
	p->file = loop_file_add(l, p->fd, e);
	return p->file < 0 ? p->file : 0;
}

static void tap_unbind(struct net_port *p)
{
	loop_file_del(p->loop, p->file);
	p->file = -1;
}

/* The device was deleted, or cannot be read any more: told once. */
static void tap_lost(struct net_port *p, int why)
{
	struct tap *t = tap_of(p->net);

	if (!t->net.link_up)
		return;
	t->net.link_up = false;
	log_warn("netdev '%s': TAP '%s' went away (%s): the guest's link is "
		 "down",
		 t->net.id, t->name, strerror(-why));
	if (t->net.link_changed)
		t->net.link_changed(t->net.opaque, false);
}

static void tap_sent(struct loop_io *io, int result)
{
	struct net_tx *t = container_of(io, struct net_tx, io);

	/* What else fails is one packet's affair, or an interface's that is
	 * down (EIO) and may come up again. */
	if (result == -EBADFD)
		tap_lost(t->port, result);
	list_remove(&t->link);
	t->port->in_flight--;
	t->sent(t, result);
}

static void tap_send(struct net_port *p, struct net_tx *t)
{
	list_append(&state_of(p)->tx, &t->link);
	t->io.done = tap_sent;
	loop_writev(p->loop, &t->io, p->file, t->iov, t->niov,
		    LOOP_NO_OFFSET);
}

static void tap_read(struct net_rx *r)
{
	loop_readv(r->port->loop, &r->io, r->port->file, r->iov, r->niov,
		   LOOP_NO_OFFSET);
}

static void tap_received(struct loop_io *io, int result)
{
	struct net_rx *r = container_of(io, struct net_rx, io);

	if (result == -EINTR || result == -EAGAIN) {
		tap_read(r);
		return;
	}
	if (result < 0 && result != -ECANCELED)
		tap_lost(r->port, result);
	list_remove(&r->link);
	r->port->in_flight--;
	r->received(r, result);
}

static void tap_receive(struct net_port *p, struct net_rx *r)
{
	list_append(&state_of(p)->rx, &r->link);
	r->io.done = tap_received;
	tap_read(r);
}

static void tap_cancel(struct net_port *p)
{
	struct tap_port *s = state_of(p);
	struct net_rx *r;
	struct net_tx *t;

	list_for_each(r, &s->rx, link)
		loop_io_cancel(p->loop, &r->io);
	list_for_each(t, &s->tx, link)
		loop_io_cancel(p->loop, &t->io);
}

/* --- what the driver negotiates --- */

static int tap_set_offloads(struct net_backend *n, unsigned offloads)
{
	const struct tap *t = tap_of(n);

	/* Without checksum offload the kernel takes none of the others. */
	if (!(offloads & NET_CSUM))
		offloads = 0;
	return ioctl(t->ports[0].fd, TUNSETOFFLOAD, (unsigned long)offloads)
		       ? -errno
		       : 0;
}

static int tap_attach(struct tap *t, unsigned i, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE
					    : IFF_DETACH_QUEUE};

	if (t->state[i].is_attached == on)
		return 0;
	if (ioctl(t->ports[i].fd, TUNSETQUEUE, &ifr))
		return -errno;
	t->state[i].is_attached = on;
	return 0;
}

/* The kernel spreads packets over the queues that are attached. */
static int tap_set_queues(struct net_backend *n, unsigned pairs)
{
	struct tap *t = tap_of(n);
	int r = 0;

	if (t->nfds == 1)
		return 0;
	for (unsigned i = 0; !r && i < t->nfds; i++)
		r = tap_attach(t, i, i < pairs);
	return r;
}

/* What cannot be done is refused by name. */
static const char *const only_no[] = {"no", NULL};
static const char *const only_off[] = {"off", NULL};

static const struct prop tap_props[] = {
	PROP_ENUM(struct tap, downscript, "downscript", 0, only_no,
		  "program to run at the end: the jail has none"),
	PROP_STR(struct tap, fd, "fd", NULL,
		 "open descriptor of a TAP with IFF_VNET_HDR"),
	PROP_STR(struct tap, fds, "fds", NULL,
		 "several, one a queue pair: 10:11"),
	PROP_STR(struct tap, ifname, "ifname", NULL,
		 "name of the device (default: the kernel picks one)"),
	PROP_U32(struct tap, queues, "queues", 1, 1, TAP_QUEUES_MAX,
		 "queue pairs to open"),
	PROP_STR(struct tap, script, "script", "no",
		 "program to run with the name once it is open"),
	PROP_ENUM(struct tap, vhost, "vhost", 0, only_off,
		  "packets by the host kernel's vhost-net"),
	PROP_END,
};

const struct net_driver net_tap_driver = {
	.name = "tap",
	.summary = "TAP device of the host",
	.size = sizeof(struct tap),
	.props = tap_props,
	.open = tap_open,
	.close = tap_close,
	.bind = tap_bind,
	.unbind = tap_unbind,
	.send = tap_send,
	.receive = tap_receive,
	.rx_cancel = tap_cancel,
	.set_offloads = tap_set_offloads,
	.set_hdr_len = tap_set_hdr_len,
	.set_queues = tap_set_queues,
};
