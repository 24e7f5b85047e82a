/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "socket": a stream socket, UNIX or TCP, as server for one
 * client at a time, or as client.
 *
 * A server listens as long as it has no client, and output is dropped
 * meanwhile. With wait=on (the default) set-up itself waits for the first
 * client. A client connects at set-up, once: the jail has no way out.
 *
 * Spec: unix(7), tcp(7).
 * Threads: as in backend/chardev.h.
 * Syscalls: main, io: accept4, close; set-up: socket, bind, listen, connect,
 *       getsockname, setsockopt, getsockopt, fcntl, unlink, lstat, accept4
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/char_fd.h"
#include "base/cleanup.h"
#include "base/keyval.h"
#include "base/log.h"

struct char_socket {
	struct char_fd fd; /* of the connection, if there is one */
	char *path, *host, *port, *given_fd;
	bool server, wait, nodelay;
	int listen_fd; /* -1: a client */
	struct loop_fd listener;
};

static const struct prop char_socket_props[] = {
	PROP_STR(struct char_socket, path, "path", NULL, "UNIX socket"),
	PROP_STR(struct char_socket, host, "host", NULL,
		 "TCP: address to connect to or to listen on"),
	PROP_STR(struct char_socket, port, "port", NULL, "TCP: port"),
	PROP_STR(struct char_socket, given_fd, "fd", NULL,
		 "open socket: connected, or listening with server=on"),
	PROP_BOOL(struct char_socket, server, "server", false,
		  "listen for a client"),
	PROP_BOOL(struct char_socket, wait, "wait", true,
		  "with server=on: start when a client has connected"),
	PROP_BOOL(struct char_socket, nodelay, "nodelay", false,
		  "TCP: send small packets at once"),
	PROP_END,
};

static struct char_socket *socket_of(struct chardev *c)
{
	return container_of(c, struct char_socket, fd.chr);
}

/* --- addresses --- */

/* One way to reach, or to be, the server. */
struct where {
	struct sockaddr_storage addr;
	socklen_t len;
	int family;
};

static int where_unix(const char *path, struct where *w, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(un.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "path '%s' is longer than the %zu characters "
			       "of a UNIX socket",
			       path, sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, strlen(path));
	memcpy(&w->addr, &un, sizeof(un));
	w->len = sizeof(un);
	w->family = AF_UNIX;
	return 0;
}

static uint16_t *where_port(struct where *w)
{
	if (w->family == AF_INET)
		return &((struct sockaddr_in *)&w->addr)->sin_port;
	return &((struct sockaddr_in6 *)&w->addr)->sin6_port;
}

/* Numbers only: resolvers need files, libraries and time that a VM's start
 * does not have. */
static int where_tcp(const struct char_socket *s, struct where *w,
		     struct err *e)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&w->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&w->addr;
	const char *host = s->host ? s->host : "";
	uint64_t port;

	if (parse_u64(s->port, &port) || port > UINT16_MAX)
		return err_set(e, -EINVAL, "'%s' is not a port (0 to 65535)",
			       s->port);
	if (!*host)
		host = s->server ? "0.0.0.0" : "127.0.0.1";
	if (!strcmp(host, "localhost"))
		host = "127.0.0.1";
	*w = (struct where){.family = AF_INET, .len = sizeof(*in)};
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1) {
		w->family = AF_INET6;
		w->len = sizeof(*in6);
		if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
			return err_set(e, -EINVAL,
				       "'%s' is not an address: give numbers "
				       "(127.0.0.1, ::1) or localhost",
				       host);
	}
	w->addr.ss_family = (sa_family_t)w->family;
	*where_port(w) = htons((uint16_t)port);
	return 0;
}

static int socket_where(const struct char_socket *s, struct where *w,
			struct err *e)
{
	if (!s->path == !s->port)
		return err_set(e, -EINVAL,
			       "a socket is given by path, by host and port, "
			       "or by fd");
	return s->path ? where_unix(s->path, w, e) : where_tcp(s, w, e);
}

/* As the user would write it. */
static void socket_name(const struct char_socket *s, char *buf, size_t len)
{
	if (s->path)
		(void)snprintf(buf, len, "unix:%s", s->path);
	else
		(void)snprintf(buf, len, "tcp:%s:%s", s->host ? s->host : "",
			       s->port ? s->port : "");
}

/* --- set-up --- */

static int socket_new(const struct where *w, int *ret, struct err *e)
{
	const int one = 1;
	int fd = socket(w->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set_errno(e, -errno, "cannot make a socket");
	if (w->family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
				 sizeof(one));
	*ret = fd;
	return 0;
}

static int socket_connect(const struct where *w, int *ret, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = socket_new(w, &fd, e);

	if (r)
		return r;
	while (connect(fd, (const struct sockaddr *)&w->addr, w->len))
		if (errno != EINTR)
			return err_set_errno(e, -errno, "cannot connect");
	*ret = take_fd(fd);
	return 0;
}

/*
 * A socket that a process left behind may go; one in use, or a file, not. The
 * attempt is of another type than the server's, so that a living one refuses
 * it without noticing (EPROTOTYPE).
 */
static bool socket_is_stale(const char *path, const struct where *w)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	return connect(fd, (const struct sockaddr *)&w->addr, w->len) &&
	       errno == ECONNREFUSED;
}

static int socket_bind(const struct char_socket *s, int fd,
		       const struct where *w)
{
	const struct sockaddr *addr = (const struct sockaddr *)&w->addr;

	if (!bind(fd, addr, w->len))
		return 0;
	if (errno != EADDRINUSE || !s->path)
		return -errno;
	if (!socket_is_stale(s->path, w))
		return -EADDRINUSE;
	return unlink(s->path) || bind(fd, addr, w->len) ? -errno : 0;
}

/* Port 0 is some port: say which. */
static int socket_find_port(struct char_socket *s, const struct where *w,
			    struct err *e)
{
	struct where bound = *w;
	char *port;

	if (s->path || *where_port(&bound))
		return 0;
	if (getsockname(s->listen_fd, (struct sockaddr *)&bound.addr,
			&bound.len))
		return err_set_errno(e, -errno, "cannot find the port");
	if (asprintf(&port, "%u", ntohs(*where_port(&bound))) < 0)
		return err_set(e, -ENOMEM, "no memory for a socket");
	free(s->port);
	s->port = port;
	log_warn("chardev '%s' listens on port %s", s->fd.chr.id, port);
	return 0;
}

static int socket_listen(struct char_socket *s, const struct where *w,
			 struct err *e)
{
	int r = socket_new(w, &s->listen_fd, e);

	if (r)
		return r;
	r = socket_bind(s, s->listen_fd, w);
	if (r)
		return err_set_errno(e, r, "cannot bind the socket");
	if (s->path) {
		s->fd.chr.leftover = strdup(s->path);
		if (!s->fd.chr.leftover)
			return err_set(e, -ENOMEM, "no memory for a socket");
	}
	if (listen(s->listen_fd, 1))
		return err_set_errno(e, -errno, "cannot listen");
	return socket_find_port(s, w, e);
}

static int socket_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

/* The connection; options that fail cost speed only. */
static void socket_use(struct char_socket *s, int fd)
{
	const int one = 1;

	if (s->nodelay)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
				 sizeof(one));
	s->fd.in_fd = s->fd.out_fd = fd;
}

static int socket_take_fd(struct char_socket *s, struct err *e)
{
	int listens = 0, fd;
	socklen_t len = sizeof(listens);
	uint64_t n;

	if (s->path || s->port || s->host)
		return err_set(e, -EINVAL, "fd excludes path, host and port");
	if (parse_u64(s->given_fd, &n) || n > INT32_MAX)
		return err_set(e, -EINVAL, "'%s' is not a file descriptor",
			       s->given_fd);
	fd = (int)n;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return err_set_errno(e, -errno,
				     "file descriptor %d is not a socket", fd);
	if (!listens != !s->server)
		return err_set(e, -EINVAL,
			       "file descriptor %d is %s: server=%s goes with "
			       "it",
			       fd, listens ? "listening" : "not listening",
			       listens ? "on" : "off");
	if (s->server)
		s->listen_fd = fd;
	else
		socket_use(s, fd);
	return 0;
}

static int socket_open_address(struct char_socket *s, struct err *e)
{
	struct where w = {0};
	int r = socket_where(s, &w, e), fd = -1;

	if (r)
		return r;
	if (s->server)
		return socket_listen(s, &w, e);
	r = socket_connect(&w, &fd, e);
	if (!r)
		socket_use(s, fd);
	return r;
}

/* wait=on: the listener still blocks. */
static int socket_wait(struct char_socket *s, struct err *e)
{
	int fd;

	log_warn("chardev '%s': waiting for a client on %s", s->fd.chr.id,
		 s->fd.chr.address);
	do
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_set_errno(e, -errno, "no client");
	socket_use(s, fd);
	return 0;
}

static int socket_set_up(struct char_socket *s, struct err *e)
{
	char name[256];
	int r = s->given_fd ? socket_take_fd(s, e) : socket_open_address(s, e);

	if (r)
		return r;
	socket_name(s, name, sizeof(name));
	s->fd.chr.address = strdup(s->given_fd ? "fd" : name);
	if (!s->fd.chr.address)
		return err_set(e, -ENOMEM, "no memory for a socket");
	if (s->server && s->wait)
		r = socket_wait(s, e);
	if (!r && s->listen_fd >= 0)
		r = socket_set_nonblock(s->listen_fd);
	if (!r && s->fd.in_fd >= 0)
		r = socket_set_nonblock(s->fd.in_fd);
	return r;
}

/* --- clients come and go --- */

static void socket_hung_up(struct char_fd *f)
{
	struct char_socket *s = container_of(f, struct char_socket, fd);

	loop_fd_del(&f->in);
	close(f->in_fd);
	f->in_fd = f->out_fd = -1;
	if (s->listener.loop)
		loop_fd_events(&s->listener, EPOLLIN);
	char_fd_disconnect(f);
}

static void socket_accepted(struct char_socket *s, int fd)
{
	struct char_fd *f = &s->fd;
	struct err e = {0};

	socket_use(s, fd);
	loop_fd_events(&s->listener, 0);
	if (loop_fd_add(f->chr.loop, &f->in, fd, 0, &e)) {
		log_warn("chardev '%s': %s", f->chr.id, e.text);
		socket_hung_up(f);
		return;
	}
	char_fd_connect(f);
}

static void socket_client(struct loop_fd *lf, unsigned events)
{
	struct char_socket *s = container_of(lf, struct char_socket, listener);
	int fd =
		accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		socket_accepted(s, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warn("chardev '%s' takes no more clients: %s", s->fd.chr.id,
		 strerror(errno));
	loop_fd_del(&s->listener);
}

/* --- the driver --- */

static int socket_open(struct chardev *c, struct err *e)
{
	struct char_socket *s = socket_of(c);
	int r;

	s->listen_fd = s->fd.in_fd = s->fd.out_fd = -1;
	s->fd.hung_up = socket_hung_up;
	s->listener.ready = socket_client;
	r = socket_set_up(s, e);
	if (r) {
		char name[256];

		socket_name(s, name, sizeof(name));
		return s->path || s->port ? err_prefix(e, "%s: ", name) : r;
	}
	r = char_fd_init(&s->fd, e);
	if (!r)
		s->fd.is_connected = s->fd.in_fd >= 0;
	return r;
}

static void socket_close(struct chardev *c)
{
	struct char_socket *s = socket_of(c);

	if (s->listen_fd >= 0)
		close(s->listen_fd);
	char_fd_fini(&s->fd);
}

static int socket_bind_loop(struct chardev *c, struct loop *l, struct err *e)
{
	struct char_socket *s = socket_of(c);
	int r = 0;

	if (s->listen_fd >= 0)
		r = loop_fd_add(l, &s->listener, s->listen_fd,
				s->fd.in_fd < 0 ? (unsigned)EPOLLIN : 0, e);
	return r ? r : char_fd_bind(c, l, e);
}

static void socket_unbind(struct chardev *c)
{
	loop_fd_del(&socket_of(c)->listener);
	char_fd_unbind(c);
}

const struct char_driver char_socket_driver = {
	.name = "socket",
	.summary = "UNIX or TCP socket, server or client",
	.size = sizeof(struct char_socket),
	.props = char_socket_props,
	.open = socket_open,
	.close = socket_close,
	.bind = socket_bind_loop,
	.unbind = socket_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
