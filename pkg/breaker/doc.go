// Package breaker implements the circuit breaker of Nygard, "Release It!" (2nd ed., ch. 5):
// after some failures in a row it refuses calls at once for a while, then a single trial
// decides whether to go on.
//
//   - A breaker is CLOSED (calls pass), OPEN (calls are refused with an [*OpenError]) or
//     HALF_OPEN (one trial passes, the others are refused).
//   - An outcome is [Success], [Failure] or [Ignore]. A call that its caller cancelled is
//     ignored: it must not open the breaker.
//   - Each state has a generation, and a call reports to the one it began in. A late
//     response of an earlier state changes nothing.
//   - The trial holds the half-open slot on a lease. When it panics, exits its goroutine
//     or hangs, another trial can begin.
//   - In the closed state a call allocates nothing.
package breaker
