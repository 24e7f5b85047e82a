/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isa-serial: a 16550A with its FIFOs.
 *
 * Theory of operation. The line is infinitely fast. A byte written goes
 * straight into the chardev's buffer, so that the transmitter is empty again
 * when the write returns, and the interrupt that says so follows at once; a
 * byte that the chardev does not take waits in the transmit FIFO, with THRE
 * down, until the host has caught up. The vCPU never waits. Bytes received
 * below the trigger level time out at once.
 *
 * Nothing is lost on the way in either: input is taken as far as the FIFO has
 * room, and only while somebody listens, which is to say while the receive
 * interrupt is enabled, or the guest does nothing but read the line status.
 * What is typed or piped in before the guest's driver is up (which begins by
 * clearing the FIFO) waits in the host.
 *
 * Spec: National Semiconductor PC16550D datasheet (1995), 8.0.
 * Threads: region handlers under d->lock on any thread; the chardev's
 *       callbacks on the board's loop, taking it.
 * State: registers and FIFOs.
 */
#include "bus/plat.h"

#include <errno.h>

#include "backend/chardev.h"
#include "base/num.h"
#include "bus/irq.h"

#define SERIAL_FIFO  16U
#define SERIAL_PORTS 8
/* Reads of the line status in a row that are a driver without interrupts. */
#define SERIAL_POLLS 16U
#define SERIAL_AUTO  UINT32_MAX
#define SERIAL_LABEL 128

enum {
	REG_DATA = 0, /* DLL where DLAB is set */
	REG_IER = 1,  /* DLM where DLAB is set */
	REG_IIR = 2,  /* FCR on writes */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_RDI  BIT(0)
#define IER_THRI BIT(1)
#define IER_RLSI BIT(2)
#define IER_MSI  BIT(3)
#define IER_ALL  MASK(3, 0)

#define IIR_NONE    0x01
#define IIR_MSI     0x00
#define IIR_THRI    0x02
#define IIR_RDI     0x04
#define IIR_TIMEOUT 0x0c
#define IIR_RLSI    0x06
#define IIR_FIFO_ON 0xc0

#define FCR_ENABLE   BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_CLEAR_TX BIT(2)
#define FCR_DMA      BIT(3)
#define FCR_TRIGGER  MASK(7, 6)

#define LCR_DLAB BIT(7)

#define MCR_DTR  BIT(0)
#define MCR_RTS  BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define MCR_ALL  MASK(4, 0)

#define LSR_DR   BIT(0)
#define LSR_OE   BIT(1)
#define LSR_BI   BIT(4)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)
#define LSR_FIFO BIT(7) /* an error somewhere in the FIFO */

#define MSR_DCTS BIT(0)
#define MSR_DDSR BIT(1)
#define MSR_TERI BIT(2)
#define MSR_DDCD BIT(3)
#define MSR_CTS  BIT(4)
#define MSR_DSR  BIT(5)
#define MSR_RI   BIT(6)
#define MSR_DCD  BIT(7)

struct fifo {
	uint8_t bytes[SERIAL_FIFO];
	uint8_t head, count;
	uint16_t breaks; /* bit n: bytes[n] is a break */
};

struct serial {
	struct device dev;
	struct region region;
	struct irq_line irq;
	struct char_user user;
	struct prop_link chardev;
	uint32_t index, iobase, irq_number; /* SERIAL_AUTO: not given */
	bool refused; /* the chardev has input that found no room */
	struct fifo rx, tx;
	uint16_t divisor;
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t msr;     /* lines and their changes */
	bool overrun;    /* LSR_OE, until it is read */
	bool thre_event; /* the transmitter became empty, not yet told */
	uint8_t polls;   /* reads of the line status in a row */
};

static const uint16_t serial_bases[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
static const uint8_t serial_irqs[] = {4, 3, 4, 3};

static bool fifo_push(struct fifo *f, uint8_t byte, unsigned room)
{
	unsigned at = (f->head + f->count) % SERIAL_FIFO;

	if (f->count >= room)
		return false;
	f->bytes[at] = byte;
	f->breaks &= (uint16_t)~BIT(at);
	f->count++;
	return true;
}

static uint8_t fifo_pop(struct fifo *f)
{
	uint8_t byte = f->bytes[f->head];

	f->breaks &= (uint16_t)~BIT(f->head);
	f->head = (f->head + 1) % SERIAL_FIFO;
	f->count--;
	return byte;
}

static void fifo_clear(struct fifo *f)
{
	*f = (struct fifo){0};
}

static struct chardev *serial_chardev(const struct serial *s)
{
	return s->chardev.ptr;
}

static bool serial_has_fifo(const struct serial *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned serial_room(const struct serial *s)
{
	return serial_has_fifo(s) ? SERIAL_FIFO : 1;
}

/* Is the byte to be read next a break? */
static bool serial_at_break(const struct serial *s)
{
	return s->rx.count && s->rx.breaks & BIT(s->rx.head);
}

static uint8_t serial_rx_cause(const struct serial *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	if (!serial_has_fifo(s) ||
	    s->rx.count >= levels[FIELD_GET(FCR_TRIGGER, s->fcr)])
		return IIR_RDI;
	return IIR_TIMEOUT;
}

/* The interrupt of the highest priority (8.6). */
static uint8_t serial_cause(const struct serial *s)
{
	if (s->ier & IER_RLSI && (s->overrun || serial_at_break(s)))
		return IIR_RLSI;
	if (s->ier & IER_RDI && s->rx.count)
		return serial_rx_cause(s);
	if (s->ier & IER_THRI && s->thre_event)
		return IIR_THRI;
	if (s->ier & IER_MSI &&
	    s->msr & (MSR_DCTS | MSR_DDSR | MSR_TERI | MSR_DDCD))
		return IIR_MSI;
	return IIR_NONE;
}

static void serial_update_irq(struct serial *s)
{
	irq_line_set(&s->irq, serial_cause(s) != IIR_NONE);
}

/* Bytes that may come in now. */
static unsigned serial_accepts(const struct serial *s)
{
	bool listens = s->ier & IER_RDI || s->polls >= SERIAL_POLLS;

	if (!listens || s->mcr & MCR_LOOP || s->rx.count >= serial_room(s))
		return 0;
	return serial_room(s) - s->rx.count;
}

/* Lets waiting input come, once there is room worth the trouble. */
static void serial_wake_input(struct serial *s)
{
	if (!s->refused || serial_accepts(s) < (serial_room(s) + 1) / 2)
		return;
	s->refused = false;
	char_accept(serial_chardev(s));
}

/* After any change. */
static void serial_update(struct serial *s)
{
	serial_update_irq(s);
	serial_wake_input(s);
}

/* Hands the transmit FIFO over, as far as the chardev takes it. */
static void serial_transmit(struct serial *s)
{
	struct chardev *c = serial_chardev(s);

	while (s->tx.count) {
		if (c && !char_write(c, &s->tx.bytes[s->tx.head], 1))
			return;
		(void)fifo_pop(&s->tx);
	}
	s->thre_event = true;
}

static void serial_write_data(struct serial *s, uint8_t byte)
{
	s->thre_event = false;
	if (s->mcr & MCR_LOOP) {
		if (!fifo_push(&s->rx, byte, serial_room(s)))
			s->overrun = true;
		s->thre_event = true;
		return;
	}
	/* Who writes with THRE down and the FIFO full loses the byte. */
	(void)fifo_push(&s->tx, byte, SERIAL_FIFO);
	serial_transmit(s);
}

static void serial_write_ier(struct serial *s, uint8_t value)
{
	/* Enabling it with the transmitter empty is an event by itself. */
	if (value & ~s->ier & IER_THRI && !s->tx.count)
		s->thre_event = true;
	s->ier = value & IER_ALL;
	s->polls = 0;
}

static void serial_write_fcr(struct serial *s, uint8_t value)
{
	bool toggled = (value ^ s->fcr) & FCR_ENABLE;

	if (toggled || value & FCR_CLEAR_RX)
		fifo_clear(&s->rx);
	if (toggled || value & FCR_CLEAR_TX) {
		fifo_clear(&s->tx);
		s->thre_event = true;
	}
	/* 8.4: the other bits are taken only while bit 0 is 1. */
	s->fcr = value & FCR_ENABLE
			 ? value & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER)
			 : 0;
}

/* The modem's lines; the far end is always there and ready. */
static uint8_t serial_lines(const struct serial *s)
{
	uint8_t m = s->mcr;

	if (!(m & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((m & MCR_RTS ? MSR_CTS : 0) |
			 (m & MCR_DTR ? MSR_DSR : 0) |
			 (m & MCR_OUT1 ? MSR_RI : 0) |
			 (m & MCR_OUT2 ? MSR_DCD : 0));
}

static void serial_write_mcr(struct serial *s, uint8_t value)
{
	uint8_t was = s->msr, changed;

	s->mcr = value & MCR_ALL;
	s->msr = serial_lines(s);
	changed = was ^ s->msr;
	s->msr |= was & (MSR_DCTS | MSR_DDSR | MSR_TERI | MSR_DDCD);
	if (changed & MSR_CTS)
		s->msr |= MSR_DCTS;
	if (changed & MSR_DSR)
		s->msr |= MSR_DDSR;
	if (changed & was & MSR_RI)
		s->msr |= MSR_TERI; /* its end only */
	if (changed & MSR_DCD)
		s->msr |= MSR_DDCD;
}

static void serial_write_dlab(struct serial *s, uint64_t reg, uint8_t value)
{
	if (reg == REG_DATA)
		s->divisor = (uint16_t)((s->divisor & 0xff00) | value);
	else
		s->divisor = (uint16_t)((s->divisor & 0xff) | value << 8);
}

static void serial_write(struct region *r, uint64_t off, unsigned size,
			 uint64_t wide)
{
	struct serial *s = container_of(r, struct serial, region);
	uint8_t value = (uint8_t)wide;

	(void)size;
	if (s->polls < SERIAL_POLLS)
		s->polls = 0;
	if (off <= REG_IER && s->lcr & LCR_DLAB) {
		serial_write_dlab(s, off, value);
		return;
	}
	switch (off) {
	case REG_DATA:
		serial_write_data(s, value);
		break;
	case REG_IER:
		serial_write_ier(s, value);
		break;
	case REG_IIR:
		serial_write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		serial_write_mcr(s, value);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default:
		break; /* status registers: factory test only */
	}
	serial_update(s);
}

static uint8_t serial_read_data(struct serial *s)
{
	uint8_t byte;

	if (!s->rx.count)
		return 0;
	byte = fifo_pop(&s->rx);
	serial_update(s);
	return byte;
}

static uint8_t serial_read_iir(struct serial *s)
{
	uint8_t cause = serial_cause(s);

	if (cause == IIR_THRI) {
		s->thre_event = false;
		serial_update_irq(s);
	}
	return cause | (serial_has_fifo(s) ? IIR_FIFO_ON : 0);
}

/* Someone who keeps looking for input, and does not ask for interrupts. */
static void serial_count_poll(struct serial *s)
{
	if (s->tx.count || s->polls >= SERIAL_POLLS)
		return;
	if (++s->polls == SERIAL_POLLS)
		serial_wake_input(s);
}

static uint8_t serial_read_lsr(struct serial *s)
{
	unsigned lsr = s->tx.count ? 0 : LSR_THRE | LSR_TEMT;

	lsr |= s->rx.count ? LSR_DR : 0;
	lsr |= s->overrun ? LSR_OE : 0;
	lsr |= serial_at_break(s) ? LSR_BI : 0;
	lsr |= serial_has_fifo(s) && s->rx.breaks ? LSR_FIFO : 0;
	if (lsr & (LSR_OE | LSR_BI)) {
		s->overrun = false;
		s->rx.breaks &= (uint16_t)~BIT(s->rx.head);
		serial_update_irq(s);
	}
	serial_count_poll(s);
	return (uint8_t)lsr;
}

static uint8_t serial_read_msr(struct serial *s)
{
	uint8_t msr = s->msr;

	s->msr &= MSR_CTS | MSR_DSR | MSR_RI | MSR_DCD;
	serial_update_irq(s);
	return msr;
}

static uint64_t serial_read(struct region *r, uint64_t off, unsigned size)
{
	struct serial *s = container_of(r, struct serial, region);

	(void)size;
	if (off <= REG_IER && s->lcr & LCR_DLAB)
		return off == REG_DATA ? s->divisor & 0xff : s->divisor >> 8;
	switch (off) {
	case REG_DATA:
		return serial_read_data(s);
	case REG_IER:
		return s->ier;
	case REG_IIR:
		return serial_read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return serial_read_lsr(s);
	case REG_MSR:
		return serial_read_msr(s);
	default:
		return s->scr;
	}
}

static const struct region_ops serial_ops = {
	.read = serial_read,
	.write = serial_write,
};

static size_t serial_can_receive(struct char_user *u)
{
	struct serial *s = container_of(u, struct serial, user);
	unsigned n;

	pthread_mutex_lock(&s->dev.lock);
	n = serial_accepts(s);
	s->refused = !n;
	pthread_mutex_unlock(&s->dev.lock);
	return n;
}

static void serial_receive(struct char_user *u, const uint8_t *buf, size_t len)
{
	struct serial *s = container_of(u, struct serial, user);

	pthread_mutex_lock(&s->dev.lock);
	/* The guest may have shrunk the FIFO since serial_can_receive(). */
	for (size_t i = 0; i < len; i++)
		if (!fifo_push(&s->rx, buf[i], serial_room(s)))
			s->overrun = true;
	serial_update_irq(s);
	pthread_mutex_unlock(&s->dev.lock);
}

/* 8.3: a break is received as a zero byte that is marked. */
static void serial_event(struct char_user *u, enum char_event ev)
{
	struct serial *s = container_of(u, struct serial, user);
	unsigned at;

	if (ev != CHAR_BREAK)
		return;
	pthread_mutex_lock(&s->dev.lock);
	at = (s->rx.head + s->rx.count) % SERIAL_FIFO;
	if (fifo_push(&s->rx, 0, serial_room(s)))
		s->rx.breaks |= (uint16_t)BIT(at);
	else
		s->overrun = true;
	serial_update_irq(s);
	pthread_mutex_unlock(&s->dev.lock);
}

static void serial_writable(struct char_user *u)
{
	struct serial *s = container_of(u, struct serial, user);

	pthread_mutex_lock(&s->dev.lock);
	if (s->tx.count)
		serial_transmit(s);
	serial_update_irq(s);
	pthread_mutex_unlock(&s->dev.lock);
}

static void serial_reset(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	fifo_clear(&s->rx);
	fifo_clear(&s->tx);
	s->divisor = 12; /* 9600 baud */
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = 0;
	s->msr = serial_lines(s);
	s->overrun = s->thre_event = false;
	s->polls = 0;
	serial_update_irq(s);
}

/* Claims the ports of COM1 to COM4, whichever is free. */
static int serial_place(struct serial *s, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(serial_bases); i++) {
		int rc;

		s->region.base = serial_bases[i];
		rc = space_add(s->dev.board->ports, &s->region, e);
		if (rc == -EEXIST)
			continue;
		s->index = i;
		return rc;
	}
	return err_set(e, -ENOSPC,
		       "there are %zu 'isa-serial' already: give iobase and "
		       "irq",
		       ARRAY_SIZE(serial_bases));
}

/* The index whose ports these are; 0 where they are none's. */
static unsigned serial_index_of(uint32_t iobase)
{
	for (unsigned i = 0; i < ARRAY_SIZE(serial_bases); i++)
		if (serial_bases[i] == iobase)
			return i;
	return 0;
}

static int serial_claim_ports(struct serial *s, struct err *e)
{
	bool has_index = s->index != SERIAL_AUTO;
	int rc;

	if (has_index && s->index >= ARRAY_SIZE(serial_bases))
		return err_set(e, -EINVAL, "isa-serial index %u is not 0 to 3",
			       s->index);
	if (s->iobase == SERIAL_AUTO && !has_index)
		return serial_place(s, e);
	s->region.base =
		s->iobase == SERIAL_AUTO ? serial_bases[s->index] : s->iobase;
	rc = space_add(s->dev.board->ports, &s->region, e);
	if (!has_index)
		s->index = serial_index_of(s->iobase);
	return rc;
}

static int serial_open_chardev(struct serial *s, struct err *e)
{
	struct chardev *c = serial_chardev(s);
	char label[SERIAL_LABEL];
	int rc;

	if (!c)
		return 0; /* what is sent goes nowhere */
	s->user = (struct char_user){
		.can_receive = serial_can_receive,
		.receive = serial_receive,
		.event = serial_event,
		.writable = serial_writable,
	};
	rc = char_claim(c, &s->user,
			device_label(&s->dev, label, sizeof(label)), e);
	return rc ? rc : char_bind(c, s->dev.board->loop, e);
}

static int serial_attach(struct device *d, struct err *e)
{
	struct serial *s = container_of(d, struct serial, dev);
	int rc;

	s->region = (struct region){
		.name = "isa-serial",
		.ops = &serial_ops,
		.dev = d,
		.len = SERIAL_PORTS,
		.max = 1,
	};
	rc = serial_claim_ports(s, e);
	if (rc)
		return rc;
	if (s->irq_number == SERIAL_AUTO)
		s->irq_number = serial_irqs[s->index];
	if (s->irq_number > 23)
		return err_set(e, -EINVAL, "isa-serial irq %u is not 0 to 23",
			       s->irq_number);
	irq_line_init(&s->irq, d->board->irqs, s->irq_number);
	return serial_open_chardev(s, e);
}

static void serial_detach(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);
	struct chardev *c = serial_chardev(s);

	space_del(&s->region);
	if (c && c->user == &s->user) {
		char_unbind(c);
		char_release(c);
	}
	irq_line_set(&s->irq, false);
}

static int serial_loaded(struct device *d, struct err *e)
{
	struct serial *s = container_of(d, struct serial, dev);

	if (s->rx.head >= SERIAL_FIFO || s->rx.count > SERIAL_FIFO ||
	    s->tx.head >= SERIAL_FIFO || s->tx.count > SERIAL_FIFO)
		return err_set(e, -EINVAL, "impossible FIFO positions");
	if (s->ier & ~IER_ALL || s->mcr & ~MCR_ALL || s->polls > SERIAL_POLLS)
		return err_set(e, -EINVAL, "impossible register values");
	if (s->tx.count)
		serial_transmit(s);
	s->refused = serial_chardev(s);
	serial_update(s);
	return 0;
}

static void serial_resources(const struct device *d, struct plat_resources *r)
{
	const struct serial *s = container_of_const(d, struct serial, dev);

	r->ports[0].base = (uint16_t)s->region.base;
	r->ports[0].len = SERIAL_PORTS;
	r->irq[0] = (int)s->irq_number;
}

static const struct prop serial_props[] = {
	PROP_BACKEND(struct serial, chardev, "chardev", "chardev",
		     "where the line ends"),
	PROP_U32(struct serial, index, "index", SERIAL_AUTO, 0, UINT32_MAX,
		 "0 to 3 for COM1 to COM4; else the first free"),
	PROP_U32(struct serial, iobase, "iobase", SERIAL_AUTO, 0, UINT32_MAX,
		 "first port; else that of index"),
	PROP_U32(struct serial, irq_number, "irq", SERIAL_AUTO, 0, UINT32_MAX,
		 "line; else that of index"),
	PROP_END,
};

static const struct state_field fifo_state[] = {
	STATE_UINTS(struct fifo, bytes, 1),
	STATE_UINT(struct fifo, head, 1),
	STATE_UINT(struct fifo, count, 1),
	STATE_UINT(struct fifo, breaks, 1),
	STATE_END,
};

static const struct state_field serial_state[] = {
	STATE_DEVICE(struct serial),
	STATE_HOST(struct serial, region),
	STATE_DERIVED(struct serial, irq),
	STATE_HOST(struct serial, user),
	STATE_HOST(struct serial, chardev),
	STATE_HOST(struct serial, index),
	STATE_HOST(struct serial, iobase),
	STATE_HOST(struct serial, irq_number),
	STATE_DERIVED(struct serial, refused),
	STATE_STRUCT(struct serial, rx, fifo_state, 1),
	STATE_STRUCT(struct serial, tx, fifo_state, 1),
	STATE_UINT(struct serial, divisor, 1),
	STATE_UINT(struct serial, ier, 1),
	STATE_UINT(struct serial, fcr, 1),
	STATE_UINT(struct serial, lcr, 1),
	STATE_UINT(struct serial, mcr, 1),
	STATE_UINT(struct serial, scr, 1),
	STATE_UINT(struct serial, msr, 1),
	STATE_UINT(struct serial, overrun, 1),
	STATE_UINT(struct serial, thre_event, 1),
	STATE_UINT(struct serial, polls, 1),
	STATE_END,
};

static const struct plat_class serial_plat = {
	.acpi_hid = "PNP0501",
	.acpi_name = "COM1",
	.fdt_compatible = "ns16550a",
	.resources = serial_resources,
};

VIREO_DEVICE(isa_serial,
	.name = "isa-serial",
	.summary = "serial port (16550A)",
	.category = CATEGORY_INPUT,
	.bus = "ISA",
	.size = sizeof(struct serial),
	.props = serial_props,
	.state = serial_state,
	.attach = serial_attach,
	.detach = serial_detach,
	.reset = serial_reset,
	.loaded = serial_loaded,
	.flavour = &serial_plat);
