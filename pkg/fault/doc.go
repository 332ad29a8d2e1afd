// Package fault defines the error that a service shows to its callers: a [Kind] that
// decides the status, a code for programs and a message for people. Its cause is for the
// log only.
//
// Expected outcomes are package variables, tested with [errors.Is]:
//
//	var ErrEmailTaken = fault.New(fault.Conflict, "email_taken", "Email is already taken")
//
//	return fmt.Errorf("register user: %w", ErrEmailTaken.With(err))
//
// The server turns any error into a response through [From]. An error that is not a fault
// becomes Internal, and its text does not leave the process.
package fault
