// Package resilience does to a running system what happens to one in service, under
// callers, and checks what a call is promised: instances of user-service are
// killed, stopped, frozen, slow and broken, all of them at once too; Redis is
// gone, slow and emptied; everything is restarted in turn; three times the
// capacity is offered.
//
// The system is the real one: local processes, Postgres and Redis, started by the
// stack command, two or three instances of each service. The callers use
// pkg/serviceclient with the registry in Redis, as one more service would. A
// fault that a healthy instance cannot be brought to show comes from [Faulty],
// which announces itself as an instance and stands in front of a real one; Redis
// is slowed by a [Relay].
//
// Each fault is one test and prints one line. Those of the short form are part of
// make test; the long one lasts longer, holds the figures to their targets and
// writes them into docs/resilience.md:
//
//	make chaos
//	make chaos RUN=TestKilled
package resilience
