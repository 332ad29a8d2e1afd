// Package fault is the one error a service shows to its callers: a [Kind] that
// decides the answer, a code for programs and a message for people, with the cause
// kept for the log.
//
// Expected outcomes are package variables, tested with [errors.Is]:
//
//	var ErrEmailTaken = fault.New(fault.Conflict, "email_taken", "Email is already taken")
//
//	return fmt.Errorf("register user: %w", ErrEmailTaken.With(err))
//
// One place, the server, turns any error into an answer through [From]. What is not a
// fault becomes Internal, and no word of it leaves the process.
package fault
