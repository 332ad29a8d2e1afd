// Package resilience injects faults into a running system under load and checks the
// guarantees of a call: instances of user-service are killed, stopped, frozen, slow and
// broken, all of them at once too; Redis is down, slow and emptied; everything is
// restarted in turn; three times the capacity is offered.
//
// The system is the real one: local processes, Postgres and Redis, started by the
// stack command, two or three instances of each service. The callers use
// pkg/serviceclient with the registry in Redis, as another service would. A
// fault that a healthy instance cannot be brought to show comes from [Faulty],
// a proxy that registers as an instance; Redis is slowed by a testkit.Proxy.
//
// Each fault is one test and prints one line. Those of the short form are part of
// make test; the long one lasts longer, checks all targets and writes the results into
// docs/resilience.md:
//
//	make chaos
//	make chaos RUN=TestKilled
package resilience
