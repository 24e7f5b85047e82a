/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the other processors by INIT and a start-up message, as an operating
 * system does; the argument is how many there are.
 */
#include "test/guest/guest.h"

#define APIC_SVR 0xf0
#define APIC_ICR 0x300

#define ICR_INIT    0xc4500U /* to all but self, assert */
#define ICR_STARTUP 0xc4600U

#define AP_PAGE 0x9000UL

extern const uint8_t guest_ap_start[], guest_ap_end[];

uint32_t guest_main(uint64_t arg)
{
	volatile uint32_t *awake = (volatile uint32_t *)(AP_PAGE + 0xffc);
	uint8_t *page = (uint8_t *)AP_PAGE;

	for (size_t i = 0; i < (size_t)(guest_ap_end - guest_ap_start); i++)
		page[i] = guest_ap_start[i];
	*awake = 0;
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_ICR, ICR_INIT);
	apic_write(APIC_ICR, ICR_STARTUP | AP_PAGE >> 12);
	while (*awake != arg)
		cpu_relax();
	return 0;
}
