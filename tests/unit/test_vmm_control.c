/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_control.c - what a VM's control methods answer, and what they refuse. The machine behind
 * them is a stand-in. Tests vmm/control.
 */
#include <errno.h>
#include <jansson.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vhost/control/dispatch.h"
#include "vmm/control.h"
#include "vmm/vm.h"

static struct vm vm;
static struct options opt;
static struct vcpu vcpus[2];
static struct virtio_device device;
static int answer; /* of the step that is asked for */
static char called[64];

static int step(const char *name)
{
	snprintf(called, sizeof(called), "%s", name);
	return answer;
}

const char *vm_state_name(enum vm_state state)
{
	return state == VM_PAUSED ? "paused" : "running";
}

int vm_pause(struct vm *machine)
{
	int ret = step("pause");

	if (ret == 0)
		machine->state = VM_PAUSED;
	return ret;
}

int vm_resume(struct vm *machine)
{
	machine->state = VM_RUNNING;
	return step("resume");
}

int vm_reset(struct vm *machine)
{
	(void)machine;
	return step("reset");
}

int vm_powerdown(struct vm *machine)
{
	(void)machine;
	return step("powerdown");
}

void vm_end(struct vm *machine, enum vm_exit code)
{
	(void)machine;
	ck_assert_int_eq(code, VM_EXIT_OK);
	step("end");
}

json_t *vcpu_stats(const struct vcpu *vcpu)
{
	return json_pack("{s:{s:i, s:i}, s:{s:i}}", "exits", "io", (int)vcpu->index + 1, "mmio", 10,
			 "kernel", "irq_injections", 100);
}

json_t *vhost_user_report(const struct vhost_user *vu)
{
	(void)vu;
	return json_pack("{s:s}", "name", "blk0");
}

struct virtio_device *vhost_user_virtio(struct vhost_user *vu)
{
	(void)vu;
	return &device;
}

void virtio_pci_count_kicks(struct virtio_pci *vpci, bool count)
{
	(void)vpci;
	step(count ? "count" : "do not count");
}

static void setup(void)
{
	memset(&vm, 0, sizeof(vm));
	opt = (struct options){
		.load = {.kernel_path = "/k", .cmdline = "quiet"},
		.ram = {.size = 512u << 20, .numa_node = -1},
		.topology = {2, 1, 2, 1},
		.serial = "stdio",
		.sandbox = true,
	};
	vcpus[1].index = 1;
	vcpus[0].cpu = -1;
	vcpus[1].cpu = 3;
	device = (struct virtio_device){.name = "blk0", .num_queues = 2};
	device.queues[0] =
		(struct virtio_queue){.enabled = true, .size = 64, .vector = 1, .kicks = 7};
	device.queues[1] = (struct virtio_queue){.vector = MSIX_NO_VECTOR};
	vm.opt = &opt;
	vm.state = VM_RUNNING;
	vm.vcpus = vcpus;
	vm.num_vcpus = 2;
	vm.num_devices = 1;
	answer = 0;
	called[0] = '\0';
}

/* call - Return: the response, for the caller to release. */
static json_t *call(const char *method, const char *params)
{
	struct rpc_table table = {control_methods, control_num_methods, &vm};
	struct rpc_output out = {0};
	char text[256];
	json_t *response;

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
	ck_assert_int_eq(rpc_answer(&table, text, strlen(text), &out), 0);
	response = json_loadb(out.data + out.start, out.end - out.start, 0, NULL);
	ck_assert_ptr_nonnull(response);
	rpc_output_free(&out);
	return response;
}

/* expect - the result, as text with sorted names, is @expected. */
static void expect(const char *method, const char *params, const char *expected)
{
	json_t *response = call(method, params);
	char *text = json_dumps(json_object_get(response, "result"),
				JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
	free(text);
	json_decref(response);
}

static void expect_error(const char *method, const char *params, int code, const char *words)
{
	json_t *response = call(method, params), *error = json_object_get(response, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	ck_assert_int_eq(json_integer_value(json_object_get(error, "code")), code);
	ck_assert_msg(message && strstr(message, words), "said: %s", message);
	json_decref(response);
}

START_TEST(info)
{
	expect("vm.info", "{}",
	       "{\"devices\":1,\"kernel\":{\"cmdline\":\"quiet\",\"file\":\"/k\",\"initrd\":null},"
	       "\"memory\":{\"bytes\":536870912,\"hugepages\":false,\"numa_node\":null,"
	       "\"prealloc\":false},\"name\":\"ringside-vmm\",\"resets\":0,\"sandbox\":true,"
	       "\"serial\":\"stdio\",\"state\":\"running\",\"topology\":{\"cores\":2,\"sockets\":1,"
	       "\"threads\":1},\"uptime_ms\":0,\"vcpus\":2,\"version\":\"" RINGSIDE_VERSION "\"}");
}
END_TEST

/* A path is any bytes; JSON is UTF-8. */
START_TEST(a_path_that_is_no_text)
{
	json_t *response, *kernel;

	opt.load.kernel_path = "/k\xff\xc3";
	opt.load.cmdline = "gr\xc3\xbcn";
	response = call("vm.info", "{}");
	kernel = json_object_get(json_object_get(response, "result"), "kernel");
	ck_assert_str_eq(json_string_value(json_object_get(kernel, "file")), "/k??");
	ck_assert_str_eq(json_string_value(json_object_get(kernel, "cmdline")), "gr\xc3\xbcn");
	json_decref(response);
}
END_TEST

START_TEST(steps)
{
	static const struct {
		const char *method, *called, *result;
	} cases[] = {
		{"vm.pause", "pause", "{\"state\":\"paused\"}"},
		{"vm.resume", "resume", "{\"state\":\"running\"}"},
		{"vm.reset", "reset", "{\"state\":\"running\"}"},
		{"vm.powerdown", "powerdown", "{\"state\":\"running\"}"},
		{"vm.quit", "end", "{\"state\":\"running\"}"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		expect(cases[i].method, "{}", cases[i].result);
		ck_assert_str_eq(called, cases[i].called);
		called[0] = '\0';
		expect_error(cases[i].method, "{\"now\":true}", RPC_INVALID_PARAMS, "now");
		ck_assert_str_eq(called, ""); /* a mistake changes nothing */
	}
}
END_TEST

START_TEST(refused_steps)
{
	answer = -EBUSY;
	expect_error("vm.pause", "{}", RPC_FAILED, "a machine that is running cannot be paused");
	expect_error("vm.reset", "{}", RPC_FAILED, "cannot be reset");
	answer = -ENODEV;
	expect_error("vm.powerdown", "{}", RPC_FAILED, "nobody in the guest listens");
}
END_TEST

#define TOTAL "\"total\":{\"exits\":{\"io\":3,\"mmio\":20},\"kernel\":{\"irq_injections\":200}}"
#define VCPUS                                                                              \
	"\"vcpus\":[{\"cpu\":null,\"exits\":{\"io\":1,\"mmio\":10},"                       \
	"\"kernel\":{\"irq_injections\":100},\"vcpu\":0},"                                 \
	"{\"cpu\":3,\"exits\":{\"io\":2,\"mmio\":10},\"kernel\":{\"irq_injections\":100}," \
	"\"vcpu\":1}]"

START_TEST(stats)
{
	expect("vm.stats", "{}",
	       "{\"devices\":[{\"config_interrupts\":0,\"device\":\"blk0\",\"queues\":["
	       "{\"enabled\":true,\"kicks\":null,\"queue\":0,\"size\":64,\"vector\":1},"
	       "{\"enabled\":false,\"kicks\":null,\"queue\":1,\"size\":0,\"vector\":null}]}]," TOTAL
	       "," VCPUS "}");
}
END_TEST

START_TEST(kicks)
{
	json_t *response, *queues;

	expect("vm.count-kicks", "{\"on\":true}", "{\"on\":true}");
	ck_assert_str_eq(called, "count");
	response = call("vm.stats", "{}");
	queues = json_object_get(
		json_array_get(json_object_get(json_object_get(response, "result"), "devices"), 0),
		"queues");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(queues, 0), "kicks")),
			 7);
	json_decref(response);
	expect("vm.count-kicks", "{\"on\":false}", "{\"on\":false}");
	ck_assert_str_eq(called, "do not count");
	expect_error("vm.count-kicks", "{}", RPC_INVALID_PARAMS, "on");
	expect_error("vm.count-kicks", "{\"on\":1}", RPC_INVALID_PARAMS, "true or false");
}
END_TEST

START_TEST(devices)
{
	expect("device.list", "{}", "{\"devices\":[{\"name\":\"blk0\"}]}");
	vm.num_devices = 0;
	expect("device.list", "{}", "{\"devices\":[]}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_control");
	TCase *tcase = tcase_create("methods");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, info);
	tcase_add_test(tcase, a_path_that_is_no_text);
	tcase_add_test(tcase, steps);
	tcase_add_test(tcase, refused_steps);
	tcase_add_test(tcase, stats);
	tcase_add_test(tcase, kicks);
	tcase_add_test(tcase, devices);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
