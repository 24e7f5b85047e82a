/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board for device tests: RAM, address spaces, a recorder of interrupts, an
 * optional stand-in for ioeventfd, and a loop whose clock moves only when
 * told. Devices are made from the text of a -device option.
 *
 * Threads: the test's, which is the loop's too, but for the sinks: any.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/types.h"
#include "bus/device.h"
#include "bus/gmem.h"
#include "bus/irq.h"
#include "bus/notify.h"
#include "bus/space.h"

/* RAM is [0, FAKE_RAM) and [FAKE_HIGH, FAKE_HIGH + FAKE_HIGH_RAM). */
#define FAKE_RAM      (8 * MIB)
#define FAKE_HIGH     (4 * GIB)
#define FAKE_HIGH_RAM (1 * MIB)
#define FAKE_GSIS     64U
#define FAKE_BELLS    64U
#define FAKE_LINKS    8U

struct fakeboard {
	struct board board;
	struct gmem gmem;
	char *ram, *high;
	struct space_reader mem, ports; /* the test thread's */
	/* Interrupts. */
	struct irq_sink irqs;
	_Atomic unsigned edges[FAKE_GSIS]; /* times a line went up */
	_Atomic bool level[FAKE_GSIS];
	_Atomic unsigned msis;
	_Atomic uint64_t msi_address; /* of the last message */
	_Atomic uint32_t msi_data;
	/* Doorbells: in use where board.notify points at `notify`. */
	struct notify_sink notify;
	pthread_mutex_t bell_lock;
	struct fake_bell {
		bool is_used, is_port;
		uint64_t addr, value;
		unsigned size;
		int eventfd;
	} bells[FAKE_BELLS];
	/* What -device options can link to. */
	struct fake_link {
		const char *kind, *id;
		void *ptr;
	} links[FAKE_LINKS];
	/* What devices asked of the machine. */
	_Atomic unsigned requests;
	enum board_request last_request;
	int last_arg;
};

/* Fails the test if it cannot. */
void fakeboard_init(struct fakeboard *f);
/* Every device and bus must be gone. */
void fakeboard_fini(struct fakeboard *f);

/* Makes ptr what `id` names in properties of that kind; strings are static. */
void fakeboard_link(struct fakeboard *f, const char *kind, const char *id,
		    void *ptr);

/*
 * Makes and attaches what the text describes ("virtio-rng-device,id=r0,…", or
 * JSON) on bus. NULL: *e says why.
 */
struct device *fakeboard_device(struct fakeboard *f, struct bus *bus,
				const char *text, struct err *e);

/* What a vCPU's access does. */
uint64_t fakeboard_read(struct fakeboard *f, uint64_t addr, unsigned size);
void fakeboard_write(struct fakeboard *f, uint64_t addr, unsigned size,
		     uint64_t value);
uint64_t fakeboard_in(struct fakeboard *f, uint64_t port, unsigned size);
void fakeboard_out(struct fakeboard *f, uint64_t port, unsigned size,
		   uint64_t value);

/* Rings the doorbell that the access matches; false if there is none. */
bool fakeboard_ring(struct fakeboard *f, bool is_port, uint64_t addr,
		    unsigned size, uint64_t value);

/* Runs the loop for as long as something happens within a moment. */
void fakeboard_settle(struct fakeboard *f);

/* One step of the loop, waiting up to 1 ms. */
void fakeboard_step(struct fakeboard *f);

/* Runs the loop until the condition holds; fails the test after 10 s. */
#define fakeboard_wait(f, condition)                                           \
	do {                                                                   \
		unsigned fake_steps_ = 0;                                      \
		bool fake_held_ = (condition);                                 \
                                                                               \
		while (!fake_held_ && fake_steps_++ < 10000) {                 \
			fakeboard_step(f);                                     \
			fake_held_ = (condition);                              \
		}                                                              \
		assert_true(fake_held_);                                       \
	} while (0)
