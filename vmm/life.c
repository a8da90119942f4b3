/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine's job takes its requests one by one and does them in straight
 * lines of code, yielding where they take long; it is about only while there is
 * something to do. While it changes the VM, the VM's vCPUs are stopped.
 */
#include "vmm/life.h"

#include "arch/lib/audit.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "vmm/vcpu.h"

#define CRASHES_TOLD 4 /* in full, of a machine that restarts by itself */

const char *const life_state_names[LIFE_STATES] = {
	[LIFE_OFF] = "off",	    [LIFE_STARTING] = "starting", [LIFE_RUNNING] = "running",
	[LIFE_PAUSED] = "paused", [LIFE_ENDED] = "ended",
};

/* In which states a request makes sense when nothing else is under way. */
static const struct {
	unsigned states; /* BIT(enum life_state) */
	const char *wrong;
} rules[LIFE_REQUESTS] = {
	[LIFE_START] = {BIT(LIFE_OFF) | BIT(LIFE_ENDED), "runs already"},
	[LIFE_PAUSE] = {BIT(LIFE_RUNNING), "is not running"},
	[LIFE_RESUME] = {BIT(LIFE_PAUSED), "is not paused"},
	[LIFE_RESET] = {BIT(LIFE_RUNNING) | BIT(LIFE_PAUSED), "is not running"},
	[LIFE_KILL] = {BIT(LIFE_STARTING) | BIT(LIFE_RUNNING) | BIT(LIFE_PAUSED), "is not running"},
	[LIFE_DESTROY] = {~(unsigned)BIT(LIFE_OFF), "is off"},
	[LIFE_GUEST] = {BIT(LIFE_RUNNING) | BIT(LIFE_PAUSED), ""},
};

struct machine *life_machines;

struct machine *life_find(const char *name)
{
	struct machine *m = life_machines;

	while (m && strcmp(m->config.vm, name))
		m = m->next;
	return m;
}

void life_add(struct machine *machine)
{
	struct machine **end = &life_machines;

	while (*end)
		end = &(*end)->next;
	machine->held = true;
	machine->console = console_open(machine->config.vm);
	if (!machine->console) /* its start tries again */
		log_warn("[%s] no memory for its console yet: the keyboard is not its",
			 machine->config.vm);
	*end = machine;
}

static void stop(struct machine *m)
{
	if (!m->held)
		vm_stop(m->vm);
	m->held = true;
}

static void go(struct machine *m)
{
	m->state = LIFE_RUNNING;
	vm_run_clock(m->vm);
	m->held = false;
	vm_go(m->vm);
}

/* Its keyboard goes to another that runs, or to the monitor. */
static void give_up_keyboard(const struct machine *m)
{
	struct machine *other = life_machines;

	if (console_focused() != m->console)
		return;
	while (other && other->state != LIFE_RUNNING)
		other = other->next;
	console_focus(other ? other->console : NULL); /* its VM may be going, too */
}

/* Line by line, since others wait for this pCPU. */
static void tell_vcpu(struct vcpu *vcpu)
{
	bool more = !vcpu->halted && !vcpu->waits_startup;

	vcpu_load(vcpu);
	log_info("[%s] vCPU %u, %s, RIP %lx", vcpu->vm->name, vcpu->id,
		 more ? "running" : vcpu->halted ? "halted" : "not started",
		 virt->get(vcpu->virt, VREG_RIP));
	vcpu_put(vcpu);
	for (unsigned line = 0; more; line++) {
		job_yield();
		vcpu_load(vcpu);
		more = virt->dump(vcpu->virt, line);
		vcpu_put(vcpu);
	}
}

/* For who wants to know why it crashed. */
static void tell_state(const struct vm *vm)
{
	struct vcpu *vcpu;

	VM_FOR_EACH_VCPU(vcpu, vm)
		tell_vcpu(vcpu);
}

static void finish(struct machine *m, const char *reason)
{
	stop(m);
	vm_pause_clock(m->vm);
	if (m->vm->crashed && m->crashes < CRASHES_TOLD)
		tell_state(m->vm);
	str_format(m->reason, sizeof(m->reason), "%s", reason);
	while (!console_settle())
		job_yield();
	machine_log_costs(m->vm);
	log_info("[%s] %s", m->config.vm, m->reason);
	m->state = LIFE_ENDED;
	give_up_keyboard(m);
}

static void on_request(struct vm *vm)
{
	life_ask(vm->owner, LIFE_GUEST);
}

static void give_back(struct machine *m)
{
	audit(AUDIT_VM_END, m->vm);
	vm_destroy(m->vm);
	m->vm = NULL;
}

/* From whatever state to a running guest. */
static void begin(struct machine *m, bool anew)
{
	enum life_state before = m->state;

	m->state = LIFE_STARTING;
	if (m->vm)
		stop(m);
	/* A life that has ended leaves nothing to the next one but the frames. */
	if (m->vm && anew)
		give_back(m);
	m->held = true;
	if (!m->vm && machine_create(&m->config, &m->vm)) {
		str_format(m->reason, sizeof(m->reason), "could not be made");
		m->vm = NULL;
		m->state = LIFE_OFF;
		return;
	}
	m->console = m->vm->console;
	m->vm->owner = m;
	m->vm->on_request = on_request;
	if (machine_start(m->vm, &m->cancel)) {
		finish(m, m->vm->end_reason[0] ? m->vm->end_reason : "killed");
		return;
	}
	if (before == LIFE_PAUSED)
		m->state = LIFE_PAUSED;
	else
		go(m);
}

/* The guest has ended, or wants a reset. */
static void serve_guest(struct machine *m)
{
	struct vm *vm = m->vm;

	if (vm->requests & VM_REQUEST_END) {
		finish(m, vm->end_reason);
		/* Not one that crashes as soon as it runs. */
		if (vm->crashed && m->config.on_crash == ON_RESTART && vm_now(vm) > vm_clock_hz(vm)) {
			m->crashes++;
			begin(m, true);
		}
	} else if (!(vm->requests & VM_REQUEST_RESET)) {
		return;
	} else if (m->config.on_reboot == ON_STOP) {
		finish(m, "ended by a reset");
	} else {
		begin(m, false);
	}
}

static void destroy(struct machine *m)
{
	if (m->state != LIFE_ENDED)
		finish(m, "killed");
	give_back(m);
	m->state = LIFE_OFF;
}

static void serve(struct machine *m, enum life_request request)
{
	/* What came before it may have changed the state. */
	if (!(rules[request].states & BIT(m->state)))
		return;
	switch (request) {
	case LIFE_START:
		begin(m, true);
		break;
	case LIFE_PAUSE:
		stop(m);
		vm_pause_clock(m->vm);
		m->state = LIFE_PAUSED;
		break;
	case LIFE_RESUME:
		go(m);
		break;
	case LIFE_RESET:
		log_info("[%s] reset by the monitor", m->config.vm);
		begin(m, false);
		break;
	case LIFE_KILL:
		finish(m, "killed");
		break;
	case LIFE_DESTROY:
		destroy(m);
		break;
	default:
		serve_guest(m);
	}
}

/*
 * Whether the next request is to be served now. Who waits in life_enter comes before those
 * made after, or a guest that resets itself at once would keep it waiting. Lock held.
 */
static bool go_on(struct machine *m)
{
	bool more = m->queued && m->waits != 1;

	m->working = more || m->waits;
	if (!more)
		__atomic_store_n(&m->waits, 0, __ATOMIC_RELEASE);
	return more;
}

/* Takes the oldest request; false when the job is to end. */
static bool take(struct machine *m, enum life_request *request)
{
	bool more;

	SPIN_HOLD(&m->lock);
	more = go_on(m);
	if (more) {
		*request = m->queue[0];
		memmove(m->queue, m->queue + 1, --m->queued);
		m->waits -= m->waits > 0;
	}
	m->cancel = false;
	for (unsigned i = 0; i < m->queued; i++)
		m->cancel |= m->queue[i] == LIFE_KILL || m->queue[i] == LIFE_DESTROY;
	return more;
}

static void work(void *arg)
{
	struct machine *m = arg;
	enum life_request request = LIFE_REQUESTS;

	while (take(m, &request))
		serve(m, request);
}

/* Whether a request is in order now; with the lock held. */
static const char *check(const struct machine *m, enum life_request request)
{
	if (m->queued == LIFE_QUEUE)
		return "has too much to do already";
	if (m->working || m->queued || (rules[request].states & BIT(m->state)))
		return NULL;
	return rules[request].wrong;
}

/* With `working` set by the caller. A guest's request comes again until it is heard: told once. */
static const char *start_job(struct machine *m)
{
	bool told = m->jobless;

	/* The job before may be on its last instructions. */
	while (m->job.fn && !__atomic_load_n(&m->job.task.gone, __ATOMIC_ACQUIRE))
		cpu_relax();
	m->jobless = job_start(&m->job, m->config.vm, ~0ull, work, m);
	if (!m->jobless)
		return NULL;
	if (!told)
		log_warn("[%s] no memory for a job: requests wait or are forgotten", m->config.vm);
	spin_lock(&m->lock);
	m->queued = 0;
	go_on(m);
	spin_unlock(&m->lock);
	return "cannot be served: no memory for a job";
}

const char *life_ask(struct machine *machine, enum life_request request)
{
	const char *wrong;
	bool begin_job;

	spin_lock(&machine->lock);
	/* The guest's wish stands in its VM; to note it once is enough. */
	if (request == LIFE_GUEST && machine->queued &&
	    machine->queue[machine->queued - 1] == LIFE_GUEST)
		wrong = "";
	else
		wrong = check(machine, request);
	begin_job = !wrong && !machine->working;
	if (!wrong) {
		machine->queue[machine->queued++] = request;
		machine->working = true;
		machine->cancel |= request == LIFE_KILL || request == LIFE_DESTROY;
	}
	spin_unlock(&machine->lock);
	return begin_job ? start_job(machine) : wrong;
}

void life_wait(struct machine *machine)
{
	life_enter(machine);
	life_leave(machine);
}

void life_enter(struct machine *machine)
{
	spin_lock(&machine->lock);
	machine->waits = machine->working ? machine->queued + 1 : 0;
	machine->working = true;
	spin_unlock(&machine->lock);
	while (__atomic_load_n(&machine->waits, __ATOMIC_ACQUIRE))
		job_yield();
}

void life_leave(struct machine *machine)
{
	bool more;

	spin_lock(&machine->lock);
	more = go_on(machine);
	spin_unlock(&machine->lock);
	if (more)
		start_job(machine);
}

bool life_all_ended(void)
{
	for (const struct machine *m = life_machines; m; m = m->next)
		if (m->working || (m->state != LIFE_OFF && m->state != LIFE_ENDED))
			return false;
	return true;
}
