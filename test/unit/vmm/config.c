/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/config: command lines, as a user writes them, and what comes of them.
 */
#include "vmm/config.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "test/lib/command_line.h"
#include "test/lib/test.h"

static void expect_json(struct json_object *o, const char *expected)
{
	const char *text =
		o ? json_object_to_json_string_ext(
			    o, JSON_C_TO_STRING_PLAIN |
				       JSON_C_TO_STRING_NOSLASHESCAPE)
		  : "null";

	assert_string_equal(text, expected);
}

static void takes_the_command_of_the_readme(void **state)
{
	enum config_outcome outcome = CONFIG_DONE;
	struct vm_config c;
	struct err e = {0};

	(void)state;
	if (parse_line(
		    &c,
		    "-M microvm -accel kvm -cpu host -smp 2 -m 512 -nodefaults "
		    "-no-user-config -nographic -no-reboot -kernel vmlinuz "
		    "-initrd initrd.img -append console=ttyS0~ro -serial stdio "
		    "-blockdev driver=file,node-name=f0,filename=root.img "
		    "-blockdev driver=raw,node-name=d0,file=f0 "
		    "-device virtio-blk-device,drive=d0 "
		    "-netdev tap,id=n0,ifname=tap0,script=no,downscript=no "
		    "-device virtio-net-device,netdev=n0,mac=52:54:00:12:34:56 "
		    "-device virtio-rng-device "
		    "-device isa-debug-exit,iobase=0xf4,iosize=0x4",
		    &outcome, &e))
		fail_msg("%s", e.text);
	assert_int_equal(outcome, CONFIG_RUN);
	expect_json(c.machine, "{\"type\":\"microvm\"}");
	assert_true(c.has_kvm);
	expect_json(c.memory, "{\"size\":536870912}");
	expect_json(c.smp, "{\"cpus\":2,\"sockets\":1,\"dies\":1,\"cores\":2,"
			   "\"threads\":1,\"maxcpus\":2}");
	expect_json(c.blockdevs, "[{\"driver\":\"file\",\"node-name\":\"f0\","
				 "\"filename\":\"root.img\"},"
				 "{\"driver\":\"raw\",\"node-name\":\"d0\","
				 "\"file\":\"f0\"}]");
	expect_json(c.netdevs, "[{\"type\":\"tap\",\"id\":\"n0\","
			       "\"ifname\":\"tap0\",\"script\":\"no\","
			       "\"downscript\":\"no\"}]");
	expect_json(c.serials, "[\"serial0\"]");
	expect_json(c.chardevs, "[{\"backend\":\"stdio\",\"id\":\"serial0\"}]");
	assert_int_equal(json_object_array_length(c.devices), 4);
	assert_string_equal(
		config_where(json_object_array_get_idx(c.devices, 0)),
		"-device virtio-blk-device,drive=d0");
	assert_string_equal(c.cpu, "host");
	assert_string_equal(c.kernel, "vmlinuz");
	assert_string_equal(c.append, "console=ttyS0 ro");
	assert_true(c.nodefaults);
	assert_true(c.nographic);
	assert_int_equal(c.on_reboot, ACTION_REBOOT_SHUTDOWN);
	config_fini(&c);
	assert_null(c.kernel);
	config_fini(&c);
}

/* One member of the configuration after a command line. */
struct outcome_case {
	const char *line;
	size_t offset; /* of a struct json_object * */
	const char *json;
};

#define MEMBER(m) offsetof(struct vm_config, m)

static void comes_to(void **state)
{
	static const struct outcome_case cases[] = {
		{"-nodefaults", MEMBER(serials), "null"},
		{"-nodefaults", MEMBER(machine), "null"},
		{"-M microvm -machine acpi=off,kaslr=on", MEMBER(machine),
		 "{\"type\":\"microvm\",\"acpi\":\"off\",\"kaslr\":\"on\"}"},
		{"--machine a,rtc=on --M type=b,rtc=off,", MEMBER(machine),
		 "{\"type\":\"b\",\"rtc\":\"off\"}"},
		{"-M microvm,accel=kvm", MEMBER(machine),
		 "{\"type\":\"microvm\"}"},
		{"-M microvm,accel=kvm:tcg", MEMBER(machine),
		 "{\"type\":\"microvm\"}"},
		{"-accel tcg -accel kvm", MEMBER(machine), "null"},
		{"-enable-kvm", MEMBER(machine), "null"},
		{"-m 1.5G", MEMBER(memory), "{\"size\":1610612736}"},
		{"-m size=64M", MEMBER(memory), "{\"size\":67108864}"},
		{"-m 64 -m 65537k", MEMBER(memory), "{\"size\":67117056}"},
		{"-smp 8,sockets=2,threads=2", MEMBER(smp),
		 "{\"cpus\":8,\"sockets\":2,\"dies\":1,\"cores\":2,"
		 "\"threads\":2,\"maxcpus\":8}"},
		{"-smp 8,cores=2", MEMBER(smp),
		 "{\"cpus\":8,\"sockets\":4,\"dies\":1,\"cores\":2,"
		 "\"threads\":1,\"maxcpus\":8}"},
		{"-smp 8,cores=2,sockets=2", MEMBER(smp),
		 "{\"cpus\":8,\"sockets\":2,\"dies\":1,\"cores\":2,"
		 "\"threads\":2,\"maxcpus\":8}"},
		{"-smp sockets=2,dies=2,cores=2,threads=2", MEMBER(smp),
		 "{\"cpus\":16,\"sockets\":2,\"dies\":2,\"cores\":2,"
		 "\"threads\":2,\"maxcpus\":16}"},
		{"-smp 2 -smp cpus=4,maxcpus=4", MEMBER(smp),
		 "{\"cpus\":4,\"sockets\":1,\"dies\":1,\"cores\":4,"
		 "\"threads\":1,\"maxcpus\":4}"},
		{"-global virtio-blk-device.queue-size=64,,x", MEMBER(globals),
		 "[{\"driver\":\"virtio-blk-device\","
		 "\"property\":\"queue-size\",\"value\":\"64,,x\"}]"},
		{"-global driver=a.b,property=c,value=d", MEMBER(globals),
		 "[{\"driver\":\"a.b\",\"property\":\"c\","
		 "\"value\":\"d\"}]"},
		{"-device {\"driver\":\"x\",\"addr\":5}", MEMBER(devices),
		 "[{\"driver\":\"x\",\"addr\":5}]"},
		{"-chardev socket,id=a,path=/s,server,nowait", MEMBER(chardevs),
		 "[{\"backend\":\"socket\",\"id\":\"a\",\"path\":\"/s\","
		 "\"server\":\"on\",\"wait\":\"off\"},"
		 "{\"backend\":\"stdio\",\"id\":\"serial0\"}]"},
		{"-name vm,process=p -name guest=w", MEMBER(names),
		 "{\"guest\":\"w\",\"process\":\"p\"}"},
		{"-sandbox on,spawn=deny", MEMBER(sandbox),
		 "{\"enable\":\"on\",\"spawn\":\"deny\"}"},
		{"-serial none -serial file:/a,b -serial chardev:c0",
		 MEMBER(serials), "[\"none\",\"serial1\",\"c0\"]"},
		{"-serial none -serial file:/a,b -serial chardev:c0",
		 MEMBER(chardevs),
		 "[{\"backend\":\"file\",\"path\":\"/a,b\","
		 "\"id\":\"serial1\"}]"},
		{"-nographic", MEMBER(serials), "[\"serial0\"]"},
		{"-display none", MEMBER(serials), "[\"serial0\"]"},
		{"-nographic -nodefaults", MEMBER(serials), "null"},
		{"-daemonize", MEMBER(serials), "null"},
		{"-daemonize -nographic -serial null", MEMBER(serials),
		 "[\"serial0\"]"},
		{"-daemonize -nographic -nodefaults", MEMBER(serials), "null"},
		{"-M microvm,isa-serial=off", MEMBER(serials), "null"},
		{"-M {\"isa-serial\":false}", MEMBER(serials), "null"},
		{"-chardev stdio,id=c", MEMBER(serials), "null"},
		{"-device isa-serial,chardev=c", MEMBER(serials), "null"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum config_outcome outcome = CONFIG_DONE;
		struct vm_config c;
		struct err e = {0};

		if (parse_line(&c, cases[i].line, &outcome, &e))
			fail_msg("%s: %s", cases[i].line, e.text);
		assert_int_equal(outcome, CONFIG_RUN);
		expect_json(*(struct json_object **)(void *)((char *)&c +
							     cases[i].offset),
			    cases[i].json);
		config_fini(&c);
	}
}

static void sets_actions(void **state)
{
	enum config_outcome outcome;
	struct vm_config c;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse_line(&c,
				    "-no-shutdown -action panic=exit-failure "
				    "-action reboot=shutdown",
				    &outcome, &e),
			 0);
	assert_int_equal(c.on_shutdown, ACTION_SHUTDOWN_PAUSE);
	assert_int_equal(c.on_panic, ACTION_PANIC_EXIT_FAILURE);
	assert_int_equal(c.on_reboot, ACTION_REBOOT_SHUTDOWN);
	config_fini(&c);
}

static void refuses(void **state)
{
	static const struct {
		const char *line, *message;
	} bad[] = {
		{"-kernle x",
		 "-kernle: invalid option (did you mean '-kernel'?)"},
		{"--initd x",
		 "--initd: invalid option (did you mean '-initrd'?)"},
		{"-frobnicate",
		 "-frobnicate: invalid option (vireo -h lists the options)"},
		{"-m=512", "-m=512: invalid option (write '-m 512')"},
		{"--krnel=x",
		 "--krnel=x: invalid option (did you mean '-kernel'?)"},
		{"-", "-: invalid option (vireo -h lists the options)"},
		{"--", "--: invalid option (vireo -h lists the options)"},
		{"disk.img", "'disk.img': unexpected argument (a disk is "
			     "-drive file=FILE)"},
		{"-kernel", "-kernel: requires an argument: FILE"},
		{"-accel tcg",
		 "-accel tcg: 'tcg' is not available, only: kvm"},
		{"-accel tgc", "-accel tgc: 'tgc' is not a valid accelerator, "
			       "only: kvm"},
		{"-action watchdog=none", "-action watchdog=none: Property "
					  "'watchdog' not found"},
		{"-accel kvm,thread=multi",
		 "-accel kvm,thread=multi: Property 'thread' not found"},
		{"-M microvm,accel=kvm:",
		 "-M microvm,accel=kvm:: '' is not a valid accelerator, "
		 "only: kvm"},
		{"-cpu ,+x", "-cpu ,+x: a model is missing before ',+x'"},
		{"-smp 0", "-smp 0: Property 'cpus' doesn't take value '0' "
			   "(minimum: 1, maximum: 4096)"},
		{"-smp two",
		 "-smp two: Parameter 'cpus' expects integer, not 'two'"},
		{"-smp 2,core=2", "-smp 2,core=2: Property 'core' not found "
				  "(did you mean 'cores'?)"},
		{"-smp 3,cores=2,threads=2",
		 "-smp: sockets (1) * dies (1) * cores (2) * threads (2) must "
		 "equal cpus (3)"},
		{"-smp 2,maxcpus=4", "-smp: maxcpus (4) must equal cpus (2): "
				     "processors cannot be plugged in"},
		{"-smp 4096,sockets=4096,dies=4096,cores=4096,threads=4096",
		 "-smp: sockets (4096) * dies (4096) * cores (4096) * threads "
		 "(4096) must equal cpus (4096)"},
		{"-m 12Q", "-m: Parameter 'size' expects a size such as 512M, "
			   "not '12Q'"},
		{"-m 0", "-m: a guest needs some memory"},
		{"-m 16777216T", "-m: '16777216T' is too large"},
		{"-m 512,slots=2",
		 "-m 512,slots=2: Property 'slots' not found"},
		{"-device a,b=1,b=2", "-device a,b=1,b=2: 'b' is given twice"},
		{"-device {x}", "-device {x}: JSON: quoted object property "
				"name expected at 'x}'"},
		{"-action reboot=off",
		 "-action reboot=off: Property 'reboot' doesn't take value "
		 "'off' (one of: reset, shutdown)"},
		{"-sandbox of",
		 "-sandbox of: Property 'enable' doesn't take value 'of' (one "
		 "of: on, log, off)"},
		{"-sandbox on,spawn=allow",
		 "-sandbox on,spawn=allow: Property 'spawn' doesn't take value "
		 "'allow' (one of: deny)"},
		{"-name x,debug-threads=on",
		 "-name x,debug-threads=on: Property 'debug-threads' not "
		 "found"},
		{"-display gtk",
		 "-display gtk: 'gtk' is not available, only: none"},
		{"-global foo", "-global foo: expected '=' after 'foo'"},
		{"-global driver=x", "-global driver=x: Parameter 'property' "
				     "is missing"},
		{"-nographic -daemonize",
		 "-nographic cannot be used with -daemonize: say where -serial "
		 "leads to, or -nodefaults"},
		{"-M microvm,isa-serial=off -serial null",
		 "-serial: with isa-serial=off the machine has no serial "
		 "ports"},
		{"-daemonize -serial stdio",
		 "-daemonize leaves the terminal: no -serial or -chardev can "
		 "be stdio"},
		{"-d nosuch", "-d nosuch: no log topic 'nosuch': see -d help"},
		{"-D /nonexistent/x",
		 "-D /nonexistent/x: cannot open log file '/nonexistent/x': "
		 "No such file or directory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		enum config_outcome outcome;
		struct vm_config c;
		struct err e = {0};

		if (!parse_line(&c, bad[i].line, &outcome, &e))
			fail_msg("%s: taken", bad[i].line);
		assert_string_equal(e.text, bad[i].message);
		config_fini(&c);
	}
}

static void cuts_long_arguments_in_messages(void **state)
{
	enum config_outcome outcome;
	struct vm_config c;
	struct err e = {0};
	char line[2000] = "-device ";

	(void)state;
	memset(line + 8, 'x', sizeof(line) - 9);
	line[300] = ',';
	line[sizeof(line) - 1] = 0;
	assert_int_equal(parse_line(&c, line, &outcome, &e), -EINVAL);
	assert_non_null(strstr(e.text, "xxx...: key 'xxx"));
	config_fini(&c);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(takes_the_command_of_the_readme),
	cmocka_unit_test(comes_to),
	cmocka_unit_test(sets_actions),
	cmocka_unit_test(refuses),
	cmocka_unit_test(cuts_long_arguments_in_messages),
};

TEST_MAIN(tests)
