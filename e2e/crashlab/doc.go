// Package crashlab kills parts of a running system at random moments, under
// writers, and then counts: every user that was created has one event in the log
// and one profile, the events of each user are in order, and nothing is doubled.
//
// Its test is the short form, part of make test. The long one, with a seed of an
// earlier run to repeat its choices:
//
//	make chaos-events KILLS=200 SEED=42
//
// The seed fixes what is killed and after which pause; how the processes and the
// kernel interleave is new in each run.
package crashlab
