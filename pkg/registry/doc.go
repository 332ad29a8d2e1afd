// Package registry finds a healthy instance of a service.
//
// A [Registry] returns the address of an instance for a call, from memory and at once. [Config].Kind chooses where
// the addresses come from:
//
//   - static: the comma list of <NAME>_SERVICE_URL;
//   - dns: every A and AAAA record of the host in that URL is an instance (a headless Kubernetes Service);
//   - redis: instances register themselves with [Registry.Announce] and are found under their service's name.
//
// Entries may also be added by hand with [Registry.Register], with any kind.
//
// # Calls never wait for the registry
//
// [Registry.Run] refreshes in the background. An error or an empty list leaves the last known instances in
// place: an outage of Redis or DNS stops no call. Deregistration is a command ([Registry.Withdraw] leaves a
// tombstone, obeyed at once). Disappearance is only a hint: an instance that is no longer listed stays until a
// health check fails, because it may serve after Redis was flushed or its heartbeat was late.
//
// With dns and redis the configured URL is a standby: used before the first answer, and whenever no found
// instance is usable.
//
// # Which instance
//
// [Registry.Pick] draws two usable instances at random and takes the one with the lower cost: peak-sensitive
// moving average of its latency, divided by the 4th power of its success rate, times the calls in flight plus one.
// Costs within a factor of two, in-flight aside, count as equal, so that noise starves no instance. Five consecutive
// failures eject an instance for 10 s × n, n counting its recent ejections; at most half of a pool is ejected,
// and when less than half is available ejection is ignored.
//
// # Health
//
// The health endpoint of each instance is requested every 30 s (±10 %), all in parallel, 2 s each; one that is
// unhealthy, ejected or no longer listed every second. Before its first check an instance is unknown: used only
// while none is known to be healthy. The response names its service, so that an address that now belongs to
// another service is noticed and not called. An instance seen down and then up again starts afresh,
// without its ejection and history. While every instance is unhealthy GetService fails, but Pick goes on:
// a health check that errs must not stop calls that would succeed.
package registry
