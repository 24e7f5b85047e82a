/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8042: the keyboard controller of a PC, with nothing plugged into its
 * keyboard port and without a mouse port. A guest resets the machine through
 * it, and moves A20 (which is always open here).
 *
 * Linux waits up to half a second for each answer that does not come, so every
 * command that has an answer gets it at once: the test of the mouse port
 * fails, and a byte for the keyboard comes back as a time-out.
 *
 * Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 *       Auxiliary Device Controller"; Intel ICH9 datasheet, 13.7 for 0xd1.
 * Threads: region handlers under d->lock.
 * State: output buffer, status, the controller's memory, output port, and the
 *       command that waits for its data byte.
 */
#include "bus/plat.h"

#include "base/num.h"
#include "bus/irq.h"

enum { I8042_PORT_DATA = 0x60, I8042_PORT_COMMAND = 0x64 };

#define STATUS_OBF      BIT(0) /* output buffer full */
#define STATUS_SYS      BIT(2) /* self-test passed */
#define STATUS_COMMAND  BIT(3) /* the last write was a command */
#define STATUS_UNLOCKED BIT(4)
#define STATUS_TIMEOUT  BIT(6) /* the keyboard did not answer */

/* Byte 0 of the controller's memory: the command byte. */
#define MODE_KBD_IRQ     BIT(0)
#define MODE_SYS         BIT(2)
#define MODE_KBD_DISABLE BIT(4)
#define MODE_AUX_DISABLE BIT(5)
#define MODE_TRANSLATE   BIT(6)

#define OUTPUT_RUN     BIT(0) /* 0: reset */
#define OUTPUT_A20     BIT(1)
#define OUTPUT_KBD_IRQ BIT(4)

enum {
	CMD_READ_MEMORY = 0x20,  /* to 0x3f */
	CMD_WRITE_MEMORY = 0x60, /* to 0x7f */
	CMD_AUX_DISABLE = 0xa7,
	CMD_AUX_ENABLE = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KBD_TEST = 0xab,
	CMD_KBD_DISABLE = 0xad,
	CMD_KBD_ENABLE = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_KBD_LOOP = 0xd2,
	CMD_AUX_LOOP = 0xd3,
	CMD_AUX_SEND = 0xd4,
	CMD_A20_OFF = 0xdd,
	CMD_A20_ON = 0xdf,
	CMD_PULSE = 0xf0, /* to 0xff: pulls the bits that are 0 */
};

enum {
	REPLY_KBD_OK = 0x00,
	REPLY_AUX_BAD = 0x01, /* clock line stuck low: nobody there */
	REPLY_SELF_TEST = 0x55,
	REPLY_INPUT = 0x80, /* keyboard not locked */
	REPLY_RESEND = 0xfe,
};

struct i8042 {
	struct device dev;
	struct region data_region, command_region;
	struct irq_line irq;
	uint8_t status, data;
	uint8_t command; /* whose data byte is to come, or 0 */
	uint8_t output;
	uint8_t memory[32];
	uint8_t kbd_irq;
};

static void i8042_update_irq(struct i8042 *k)
{
	bool on = k->status & STATUS_OBF && k->memory[0] & MODE_KBD_IRQ;

	k->output = (uint8_t)((k->output & ~OUTPUT_KBD_IRQ) |
			      (on ? OUTPUT_KBD_IRQ : 0));
	irq_line_set(&k->irq, on);
}

/* Puts a byte where the guest reads it next. */
static void i8042_reply(struct i8042 *k, uint8_t data, unsigned flags)
{
	k->data = data;
	k->status =
		(uint8_t)((k->status & ~STATUS_TIMEOUT) | STATUS_OBF | flags);
}

static void i8042_write_output(struct i8042 *k, uint8_t value)
{
	k->output = value;
	if (!(value & OUTPUT_RUN))
		k->dev.board->request(k->dev.board, BOARD_RESET, 0);
}

/* A command byte that the table below does not have. */
static void i8042_command_range(struct i8042 *k, uint8_t c)
{
	if (c >= CMD_READ_MEMORY && c < CMD_READ_MEMORY + 32)
		i8042_reply(k, k->memory[c - CMD_READ_MEMORY], 0);
	else if (c >= CMD_WRITE_MEMORY && c < CMD_WRITE_MEMORY + 32)
		k->command = c;
	else if (c >= CMD_PULSE && !(c & OUTPUT_RUN))
		k->dev.board->request(k->dev.board, BOARD_RESET, 0);
	else if (c < CMD_PULSE)
		guest_err(&k->dev, "command 0x%02x is not known", c);
}

static void i8042_command(struct i8042 *k, uint8_t c)
{
	uint8_t *mode = &k->memory[0];

	switch (c) {
	case CMD_AUX_DISABLE:
		*mode |= MODE_AUX_DISABLE;
		break;
	case CMD_AUX_ENABLE:
		*mode &= (uint8_t)~MODE_AUX_DISABLE;
		break;
	case CMD_AUX_TEST:
		i8042_reply(k, REPLY_AUX_BAD, 0);
		break;
	case CMD_SELF_TEST:
		k->status |= STATUS_SYS;
		i8042_reply(k, REPLY_SELF_TEST, 0);
		break;
	case CMD_KBD_TEST:
		i8042_reply(k, REPLY_KBD_OK, 0);
		break;
	case CMD_KBD_DISABLE:
		*mode |= MODE_KBD_DISABLE;
		break;
	case CMD_KBD_ENABLE:
		*mode &= (uint8_t)~MODE_KBD_DISABLE;
		break;
	case CMD_READ_INPUT:
		i8042_reply(k, REPLY_INPUT, 0);
		break;
	case CMD_READ_OUTPUT:
		i8042_reply(k, k->output, 0);
		break;
	case CMD_WRITE_OUTPUT:
	case CMD_KBD_LOOP:
	case CMD_AUX_LOOP:
	case CMD_AUX_SEND:
		k->command = c;
		break;
	case CMD_A20_OFF:
		k->output &= (uint8_t)~OUTPUT_A20;
		break;
	case CMD_A20_ON:
		k->output |= OUTPUT_A20;
		break;
	default:
		i8042_command_range(k, c);
		break;
	}
}

/* The data byte of the command before it, or a byte for the keyboard. */
static void i8042_data(struct i8042 *k, uint8_t value)
{
	uint8_t c = k->command;

	k->command = 0;
	if (c == CMD_WRITE_OUTPUT)
		i8042_write_output(k, value);
	else if (c == CMD_KBD_LOOP || c == CMD_AUX_LOOP)
		/* Not marked as the mouse's, for there is no such port. */
		i8042_reply(k, value, 0);
	else if (c >= CMD_WRITE_MEMORY && c < CMD_WRITE_MEMORY + 32)
		k->memory[c - CMD_WRITE_MEMORY] = value;
	else
		i8042_reply(k, REPLY_RESEND, STATUS_TIMEOUT);
}

static uint64_t i8042_data_read(struct region *r, uint64_t off, unsigned size)
{
	struct i8042 *k = container_of(r, struct i8042, data_region);

	(void)off;
	(void)size;
	k->status &= (uint8_t)~(STATUS_OBF | STATUS_TIMEOUT);
	i8042_update_irq(k);
	return k->data;
}

static void i8042_data_write(struct region *r, uint64_t off, unsigned size,
			     uint64_t value)
{
	struct i8042 *k = container_of(r, struct i8042, data_region);

	(void)off;
	(void)size;
	k->status &= (uint8_t)~STATUS_COMMAND;
	i8042_data(k, (uint8_t)value);
	i8042_update_irq(k);
}

static uint64_t i8042_status_read(struct region *r, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return container_of(r, struct i8042, command_region)->status;
}

static void i8042_command_write(struct region *r, uint64_t off, unsigned size,
				uint64_t value)
{
	struct i8042 *k = container_of(r, struct i8042, command_region);

	(void)off;
	(void)size;
	k->status |= STATUS_COMMAND;
	k->command = 0;
	i8042_command(k, (uint8_t)value);
	i8042_update_irq(k);
}

static const struct region_ops i8042_data_ops = {
	.read = i8042_data_read,
	.write = i8042_data_write,
};

static const struct region_ops i8042_command_ops = {
	.read = i8042_status_read,
	.write = i8042_command_write,
};

/* As firmware leaves it: tested, translating, the interrupt off. */
static void i8042_reset(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

	k->status = STATUS_SYS | STATUS_UNLOCKED;
	k->data = 0;
	k->command = 0;
	k->output = OUTPUT_RUN | OUTPUT_A20;
	for (unsigned i = 0; i < ARRAY_SIZE(k->memory); i++)
		k->memory[i] = 0;
	k->memory[0] = MODE_SYS | MODE_AUX_DISABLE | MODE_TRANSLATE;
	i8042_update_irq(k);
}

static int i8042_attach(struct device *d, struct err *e)
{
	struct i8042 *k = container_of(d, struct i8042, dev);
	int rc;

	irq_line_init(&k->irq, d->board->irqs, k->kbd_irq);
	k->data_region = k->command_region = (struct region){
		.name = "i8042",
		.ops = &i8042_data_ops,
		.dev = d,
		.base = I8042_PORT_DATA,
		.len = 1,
		.max = 1,
	};
	k->command_region.ops = &i8042_command_ops;
	k->command_region.base = I8042_PORT_COMMAND;
	rc = space_add(d->board->ports, &k->data_region, e);
	return rc ? rc : space_add(d->board->ports, &k->command_region, e);
}

static void i8042_detach(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

	space_del(&k->data_region);
	space_del(&k->command_region);
	irq_line_set(&k->irq, false);
}

static int i8042_loaded(struct device *d, struct err *e)
{
	(void)e;
	i8042_update_irq(container_of(d, struct i8042, dev));
	return 0;
}

static void i8042_resources(const struct device *d, struct plat_resources *r)
{
	r->ports[0].base = I8042_PORT_DATA;
	r->ports[1].base = I8042_PORT_COMMAND;
	r->ports[0].len = r->ports[1].len = 1;
	r->irq[0] = container_of_const(d, struct i8042, dev)->kbd_irq;
}

static const struct prop i8042_props[] = {
	PROP_U8(struct i8042, kbd_irq, "kbd-irq", 1, 0, 23,
		"line of the keyboard"),
	PROP_END,
};

static const struct state_field i8042_state[] = {
	STATE_DEVICE(struct i8042),
	STATE_HOST(struct i8042, data_region),
	STATE_HOST(struct i8042, command_region),
	STATE_DERIVED(struct i8042, irq),
	STATE_UINT(struct i8042, status, 1),
	STATE_UINT(struct i8042, data, 1),
	STATE_UINT(struct i8042, command, 1),
	STATE_UINT(struct i8042, output, 1),
	STATE_UINTS(struct i8042, memory, 1),
	STATE_HOST(struct i8042, kbd_irq),
	STATE_END,
};

/*
 * Not in ACPI: with no keyboard there is nothing to find, and the guest is up
 * the sooner. Its reset does not depend on that.
 */
static const struct plat_class i8042_plat = {
	.resources = i8042_resources,
};

VIREO_DEVICE(i8042,
	.name = "i8042",
	.summary = "keyboard controller",
	.category = CATEGORY_INPUT,
	.bus = "ISA",
	.size = sizeof(struct i8042),
	.props = i8042_props,
	.state = i8042_state,
	.attach = i8042_attach,
	.detach = i8042_detach,
	.reset = i8042_reset,
	.loaded = i8042_loaded,
	.flavour = &i8042_plat);
