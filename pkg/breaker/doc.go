// Package breaker stops calling what is broken: after some failures in a row the
// calls are refused at once for a while, then a single trial decides whether to go on.
//
// It is the circuit breaker of Nygard, "Release It!" (2nd ed., ch. 5), with the corners
// that are usually left open closed:
//
//   - A breaker is CLOSED (calls pass), OPEN (calls are refused with an [*OpenError]) or
//     HALF_OPEN (one trial passes, the others are refused).
//   - An outcome is [Success], [Failure] or [Ignore]. A caller who hung up says nothing
//     about the other side, and must not open it.
//   - Each state has a generation and a call reports to the one it began in. An answer
//     that comes late changes nothing.
//   - The trial holds the half-open slot on a lease. When it panics, exits its goroutine
//     or hangs, the slot comes free again.
//   - In the closed state without failures a call takes no lock, reads no clock and
//     allocates nothing, whatever the number of goroutines.
package breaker
