/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: asks the host for its address (ARP) and pings it. The host's own
 * kernel answers.
 *
 * Spec: VIRTIO 1.2, 5.1; RFC 826, 791, 792.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "base/num.h"
#include "test/guest/virtio.h"

#define RECEIVE   0
#define TRANSMIT  1
#define HEADER    12U /* struct virtio_net_hdr_v1 */
#define FRAME_MAX 1514U
#define ETH       14U /* length of its header */
#define IP        20U
#define PING      1400U /* bytes, with the header of 8 */

static const uint8_t my_ip[4] = {192, 0, 2, 2}, host_ip[4] = {192, 0, 2, 1};

static struct virtio nic;
static uint8_t mac[6];
static uint8_t sent[HEADER + FRAME_MAX], got[HEADER + FRAME_MAX];

static void send(uint32_t len)
{
	const struct ring_buf b = {virtio_gpa(sent), HEADER + len, false};

	virtio_send(&nic, TRANSMIT, &b, 1);
	virtio_wait(&nic, TRANSMIT);
}

/* Takes frames until one for us of that type comes: its length. */
static uint32_t receive(uint16_t type)
{
	for (;;) {
		const struct ring_buf b = {virtio_gpa(got), sizeof(got), true};
		const uint8_t *eth = got + HEADER;
		uint32_t len;

		virtio_send(&nic, RECEIVE, &b, 1);
		len = virtio_wait(&nic, RECEIVE);
		guest_check(len >= HEADER + ETH && len <= sizeof(got));
		if (!memcmp(eth, mac, 6) && (eth[12] << 8 | eth[13]) == type)
			return len - HEADER;
	}
}

/* The Ethernet header, behind a virtio header of zeros. */
static uint8_t *begin(const uint8_t *to, uint16_t type)
{
	uint8_t *eth = sent + HEADER;

	memset(sent, 0, sizeof(sent));
	memcpy(eth, to, 6);
	memcpy(eth + 6, mac, 6);
	eth[12] = (uint8_t)(type >> 8);
	eth[13] = (uint8_t)type;
	return eth + ETH;
}

static bool resolve(uint8_t *host)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t ask[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	const uint8_t *answer = got + HEADER + ETH;
	uint8_t *arp = begin(all, 0x806);

	memcpy(arp, ask, 8);
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, my_ip, 4);
	memcpy(arp + 24, host_ip, 4);
	send(ETH + 28);
	receive(0x806);
	memcpy(host, answer + 8, 6);
	return answer[7] == 2 && !memcmp(answer + 14, host_ip, 4) &&
	       !memcmp(answer + 18, mac, 6);
}

static void set_sum(uint8_t *at, const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

static bool ping(const uint8_t *host)
{
	uint8_t *ip = begin(host, 0x800), *icmp = ip + IP;
	const uint8_t *answer = got + HEADER + ETH + IP;

	ip[0] = 0x45;
	ip[2] = (IP + PING) >> 8;
	ip[3] = (IP + PING) & 0xff;
	ip[8] = 64; /* hops */
	ip[9] = 1;  /* ICMP */
	memcpy(ip + 12, my_ip, 4);
	memcpy(ip + 16, host_ip, 4);
	set_sum(ip + 10, ip, IP);
	icmp[0] = 8; /* echo */
	for (unsigned i = 8; i < PING; i++)
		icmp[i] = (uint8_t)(i * 7);
	set_sum(icmp + 2, icmp, PING);
	send(ETH + IP + PING);
	return receive(0x800) == ETH + IP + PING && answer[0] == 0 &&
	       !memcmp(answer + 8, icmp + 8, PING - 8);
}

uint32_t guest_main(uint64_t arg)
{
	uint8_t host[6];

	(void)arg;
	virtio_find(&nic, 1);
	virtio_start(&nic, BIT(VIRTIO_NET_F_MAC), 2, 16);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)virtio_config(&nic, i, 1);
	machine_point("the address is the one given",
		      !memcmp(mac, "\x52\x54\x00\x12\x34\x56", 6));
	machine_point("the host answers ARP", resolve(host));
	machine_point("and a ping of 1400 bytes", ping(host));
	return 0;
}
