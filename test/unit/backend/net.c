/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/net and net_tap: a real TAP in a network namespace of the test's,
 * with a packet socket as the host's side.
 */
#include "backend/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/endian.h"
#include "base/keyval.h"
#include "test/lib/logfile.h"
#include "test/lib/loop.h"

#define HDR       12U
#define ETHERTYPE 0x88b5U /* for local experiments: nobody else sends it */
#define FRAME     100U

static const enum loop_engine engines[] = {LOOP_URING, LOOP_EPOLL};

static int open_net(const char *text, struct net_backend **n, struct err *e)
{
	struct json_object *conf;
	int r;

	assert_int_equal(keyval_parse(text, "type", 0, &conf, e), 0);
	r = net_open(conf, n, e);
	json_object_put(conf);
	return r;
}

static struct net_backend *must_open(const char *text)
{
	struct net_backend *n;
	struct err e = {0};

	if (open_net(text, &n, &e))
		fail_msg("%s: %s", text, e.text);
	return n;
}

static void refuses(const char *text, const char *why)
{
	struct net_backend *n;
	struct err e = {0};

	assert_true(open_net(text, &n, &e) < 0);
	if (!strstr(e.text, why))
		fail_msg("'%s' does not say '%s'", e.text, why);
}

/* The host's end of a TAP: up, and a socket that sees the test's frames. */
static int host_side(const char *name)
{
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htobe16(ETHERTYPE));
	struct ifreq ifr = {0};
	struct sockaddr_ll sa = {.sll_family = AF_PACKET,
				 .sll_protocol = htobe16(ETHERTYPE)};
	struct timeval limit = {.tv_sec = 60};

	assert_true(s >= 0);
	(void)snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(s, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	assert_int_equal(ioctl(s, SIOCGIFINDEX, &ifr), 0);
	sa.sll_ifindex = ifr.ifr_ifindex;
	assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(
		setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
		0);
	return s;
}

static void make_frame(uint8_t *f, uint8_t fill)
{
	memset(f, fill, FRAME);
	memset(f, 0xff, 6);
	f[12] = ETHERTYPE >> 8;
	f[13] = ETHERTYPE & 0xff;
}

struct fixture {
	struct loop *loop;
	struct net_backend *net;
	int host;
};

static void setup(struct fixture *f, enum loop_engine engine)
{
	struct err e = {0};

	assert_int_equal(
		loop_new(&(struct loop_config){.engine = engine}, &f->loop, &e),
		0);
	f->net = must_open("tap,id=n,ifname=vt0,script=no,downscript=no");
	f->host = host_side("vt0");
	assert_int_equal(net_set_hdr_len(f->net, HDR), 0);
	assert_int_equal(net_bind(f->net, 0, f->loop, &e), 0);
}

static void teardown(struct fixture *f)
{
	net_unbind(f->net, 0);
	net_close(f->net);
	loop_free(f->loop);
	close(f->host);
}

struct sender {
	struct net_tx tx;
	int calls, result;
};

static void sender_done(struct net_tx *t, int result)
{
	struct sender *s = container_of(t, struct sender, tx);

	s->calls++;
	s->result = result;
}

struct receiver {
	struct net_rx rx;
	struct iovec iov;
	uint8_t buf[2048];
	int calls, result;
};

static void receiver_done(struct net_rx *r, int result)
{
	struct receiver *rd = container_of(r, struct receiver, rx);

	rd->calls++;
	rd->result = result;
}

static void offer(struct fixture *f, struct receiver *r)
{
	r->iov = (struct iovec){r->buf, sizeof(r->buf)};
	r->rx = (struct net_rx){
		.iov = &r->iov, .niov = 1, .received = receiver_done};
	net_receive(f->net, 0, &r->rx);
}

static void wait_for(struct fixture *f, const int *calls)
{
	struct err e;

	while (!*calls)
		assert_int_equal(loop_step(f->loop, NS_PER_S, &e), 0);
}

static void sends(struct fixture *f)
{
	uint8_t hdr[HDR] = {0}, frame[FRAME], seen[2048];
	struct iovec iov[3] = {
		{hdr, HDR}, {frame, 20}, {frame + 20, FRAME - 20}};
	struct sender s = {.tx = {.iov = iov, .niov = 3, .sent = sender_done}};

	make_frame(frame, 0x11);
	net_send(f->net, 0, &s.tx);
	assert_int_equal(s.calls, 0); /* never from inside the call */
	wait_for(f, &s.calls);
	assert_int_equal(s.result, HDR + FRAME);
	assert_int_equal(recv(f->host, seen, sizeof(seen), 0), FRAME);
	assert_memory_equal(seen, frame, FRAME);
}

static void receives(struct fixture *f)
{
	static struct receiver r[3];
	uint8_t frame[FRAME];

	memset(r, 0, sizeof(r));
	for (int i = 0; i < 3; i++)
		offer(f, &r[i]);
	make_frame(frame, 0x22);
	assert_int_equal(send(f->host, frame, FRAME, 0), FRAME);
	while (!r[0].calls && !r[1].calls && !r[2].calls) {
		struct err e;

		assert_int_equal(loop_step(f->loop, NS_PER_S, &e), 0);
	}
	for (int i = 0; i < 3; i++) {
		if (!r[i].calls)
			continue;
		assert_int_equal(r[i].result, HDR + FRAME);
		assert_memory_equal(r[i].buf + HDR, frame, FRAME);
	}
	net_drain(f->net, 0);
	assert_int_equal(r[0].calls + r[1].calls + r[2].calls, 3);
	assert_int_equal(f->net->ports[0].in_flight, 0);
}

static void packets_go_both_ways(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		setup(&f, engines[i]);
		sends(&f);
		receives(&f);
		teardown(&f);
	}
}

static void drain_returns_what_waits(void **state)
{
	static struct receiver r;
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		setup(&f, engines[i]);
		memset(&r, 0, sizeof(r));
		offer(&f, &r);
		net_drain(f.net, 0);
		assert_int_equal(r.calls, 1);
		assert_int_equal(r.result, -ECANCELED);
		teardown(&f);
	}
}

#define CROWD 4U

/* A buffer that is offered again each time; packets are numbered. */
struct regular {
	struct net_rx rx;
	struct iovec iov;
	uint8_t buf[2048];
};

#define NUMBERED 10000U

static _Atomic uint32_t regulars_got;

static void regular_received(struct net_rx *rx, int result)
{
	struct regular *r = container_of(rx, struct regular, rx);

	if (result == -ECANCELED)
		return;
	assert_int_equal(result, HDR + FRAME);
	assert_int_equal(load_le32(r->buf + HDR + 14), regulars_got++);
	net_receive(rx->port->net, 0, rx);
}

/* Each when the one before has come; some of them ten at a time. */
static void *send_numbered(void *arg)
{
	struct fixture *f = arg;
	uint8_t frame[FRAME];

	make_frame(frame, 0x33);
	for (uint32_t n = 0; n < NUMBERED; n++) {
		while (regulars_got + (n % 1000 < 800 ? 1 : 10) <= n)
			sched_yield();
		store_le32(frame + 14, n);
		if (send(f->host, frame, FRAME, 0) != FRAME)
			break;
	}
	return NULL;
}

static void receive_numbered(struct fixture *f)
{
	static struct regular r[CROWD];
	unsigned workers;
	pthread_t sender;

	regulars_got = 0;
	for (unsigned n = 0; n < CROWD; n++) {
		r[n].iov = (struct iovec){r[n].buf, sizeof(r[n].buf)};
		r[n].rx = (struct net_rx){.iov = &r[n].iov,
					  .niov = 1,
					  .received = regular_received};
		net_receive(f->net, 0, &r[n].rx);
	}
	workers = test_loop_workers();
	assert_int_equal(pthread_create(&sender, NULL, send_numbered, f), 0);
	while (regulars_got < NUMBERED)
		assert_int_equal(loop_step(f->loop, NS_PER_S, NULL), 0);
	pthread_join(sender, NULL);
	assert_true(test_loop_workers() <= workers);
	net_drain(f->net, 0);
}

/*
 * Several reads under way at once take packets in order, one by one and in
 * bursts; and none of them waits in vain for so long that the kernel gives it
 * a thread of its own.
 */
static void packets_come_in_order(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		setup(&f, engines[i]);
		receive_numbered(&f);
		teardown(&f);
	}
}

static void link_changed(void *opaque, bool up)
{
	unsigned *downs = opaque;

	assert_false(up);
	++*downs;
}

/* What waits, what comes after and what is sent: all end, and it is told. */
static void lose_device(struct fixture *f)
{
	static struct receiver r[2];
	uint8_t packet[HDR + FRAME] = {0};
	struct iovec iov = {packet, sizeof(packet)};
	struct sender s = {.tx = {.iov = &iov, .niov = 1, .sent = sender_done}};
	unsigned downs = 0;

	memset(r, 0, sizeof(r));
	f->net->link_changed = link_changed;
	f->net->opaque = &downs;
	offer(f, &r[0]);
	assert_int_equal(loop_step(f->loop, 0, NULL), 0);
	assert_int_equal(system("ip link del vt0"), 0);
	wait_for(f, &r[0].calls);
	assert_true(r[0].result < 0);
	offer(f, &r[1]);
	wait_for(f, &r[1].calls);
	assert_int_equal(r[1].result, -EBADFD);
	net_send(f->net, 0, &s.tx);
	wait_for(f, &s.calls);
	assert_int_equal(s.result, -EBADFD);
	assert_false(f->net->link_up);
	assert_int_equal(downs, 1);
}

static void a_device_that_goes_is_an_error(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		int log = logfile_new(NULL);

		setup(&f, engines[i]);
		lose_device(&f);
		assert_int_equal(logfile_count(log, "'vt0' went away"), 1);
		assert_int_equal(logfile_count(log, "vireo"), 1);
		teardown(&f);
		close(log);
	}
}

/* An interface that is down takes no packet, and is not lost for it. */
static void a_device_that_is_down_comes_back(void **state)
{
	uint8_t packet[HDR + FRAME] = {0};
	struct iovec iov = {packet, sizeof(packet)};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		struct sender s = {
			.tx = {.iov = &iov, .niov = 1, .sent = sender_done}};
		int why = 0;

		setup(&f, engines[i]);
		assert_int_equal(system("ip link set vt0 down"), 0);
		net_send(f.net, 0, &s.tx);
		wait_for(&f, &s.calls);
		assert_int_equal(s.result, -EIO);
		assert_true(f.net->link_up);
		assert_int_equal(system("ip link set vt0 up"), 0);
		/* The test's own socket has been told, too. */
		assert_int_equal(getsockopt(f.host, SOL_SOCKET, SO_ERROR, &why,
					    &(socklen_t){sizeof(why)}),
				 0);
		assert_int_equal(why, ENETDOWN);
		sends(&f);
		receives(&f);
		teardown(&f);
	}
}

static void offloads_are_what_the_kernel_takes(void **state)
{
	struct net_backend *n = must_open("tap,id=n");

	(void)state;
	assert_true(n->caps.vnet_hdr);
	assert_true(n->caps.offloads & NET_CSUM);
	assert_true(n->caps.offloads & NET_TSO4);
	assert_int_equal(n->caps.mtu, 1500);
	assert_int_equal(net_set_offloads(n, n->caps.offloads), 0);
	assert_int_equal(net_set_offloads(n, 0), 0);
	assert_int_equal(net_set_offloads(n, 1U << 30), -ENOTSUP);
	net_close(n);
}

static void queue_pairs_come_and_go(void **state)
{
	struct net_backend *n = must_open("tap,id=n,queues=3");

	(void)state;
	assert_int_equal(n->caps.queues, 3);
	assert_int_equal(net_set_queues(n, 1), 0);
	assert_int_equal(net_set_queues(n, 3), 0);
	assert_int_equal(net_set_queues(n, 2), 0);
	assert_int_equal(net_set_queues(n, 0), -EINVAL);
	assert_int_equal(net_set_queues(n, 4), -EINVAL);
	net_close(n);
}

static int open_tap(short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void takes_open_descriptors(void **state)
{
	int fd = open_tap(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	struct net_backend *n;
	char text[64];

	(void)state;
	(void)snprintf(text, sizeof(text), "tap,id=n,fd=%d", fd);
	n = must_open(text);
	assert_int_equal(n->caps.queues, 1);
	net_close(n); /* and the descriptor with it */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fd = open_tap(IFF_TAP | IFF_NO_PI);
	(void)snprintf(text, sizeof(text), "tap,id=n,fd=%d", fd);
	refuses(text, "IFF_VNET_HDR");
	close(fd);
}

static void says_what_is_wrong(void **state)
{
	struct net_backend *n = must_open("tap,id=n,ifname=vt1");

	(void)state;
	refuses("tap,id=m,ifname=vt1", "in use");
	net_close(n);
	refuses("tpa,id=n", "did you mean 'tap'");
	refuses("tap", "'id'");
	refuses("tap,id=n,ifname=a-name-that-is-too-long", "longer");
	refuses("tap,id=n,vhost=on", "vhost");
	refuses("tap,id=n,downscript=/bin/true", "downscript");
	refuses("tap,id=n,script=/bin/false", "/bin/false");
	refuses("tap,id=n,script=/no/such/file", "/no/such/file");
	refuses("tap,id=n,fd=0x", "descriptor");
	refuses("tap,id=n,fd=0", "not a TAP");
	refuses("tap,id=n,fd=3,fds=4:5", "exclude");
	refuses("tap,id=n,fd=3,ifname=x", "ifname");
	refuses("tap,id=n,queues=0", "queues");
	refuses("tap,id=n,queues=99", "queues");
}

static void a_script_sees_the_name(void **state)
{
	struct net_backend *n;

	(void)state;
	n = must_open("tap,id=n,ifname=vt2,script=/bin/true");
	net_close(n);
}

/* Uses the TAP until it is killed; says through fd when it does. */
static void use_until_killed(int fd)
{
	struct fixture f;

	setup(&f, LOOP_URING);
	if (write(fd, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void killed_user_holds_it_briefly(void **state)
{
	const struct loop_config uring = {.engine = LOOP_URING};
	int fd[2], status;
	struct err e = {0};
	struct loop *l;
	pid_t pid;
	char c;

	(void)state;
	if (loop_new(&uring, &l, &e))
		test_skip("%s", e.text);
	loop_free(l);
	assert_int_equal(system("ip tuntap add vt0 mode tap"), 0);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		use_until_killed(fd[1]);
	close(fd[1]);
	assert_int_equal(read(fd[0], &c, 1), 1);
	close(fd[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	net_close(must_open("tap,id=n,ifname=vt0"));
	assert_int_equal(system("ip tuntap del vt0 mode tap"), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(packets_go_both_ways),
	cmocka_unit_test(packets_come_in_order),
	cmocka_unit_test(drain_returns_what_waits),
	cmocka_unit_test(a_device_that_goes_is_an_error),
	cmocka_unit_test(a_device_that_is_down_comes_back),
	cmocka_unit_test(offloads_are_what_the_kernel_takes),
	cmocka_unit_test(queue_pairs_come_and_go),
	cmocka_unit_test(takes_open_descriptors),
	cmocka_unit_test(says_what_is_wrong),
	cmocka_unit_test(a_script_sees_the_name),
	cmocka_unit_test(killed_user_holds_it_briefly),
};

/* So that the host sends nothing of its own when a device comes up. */
static void quiet_host(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6",
		      O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* it has no IPv6 */
	if (write(fd, "1", 1) != 1)
		perror("disable_ipv6");
	close(fd);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
		printf("1..0 # SKIP no network namespace or TAP here: %s\n",
		       strerror(errno));
		return 77;
	}
	quiet_host();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
