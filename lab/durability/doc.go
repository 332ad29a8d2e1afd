// Package durability harms a running system in one way after another, under
// writers, and then counts: every user that was created has its events in the
// log and one profile, the events of each user are in order, and nothing is
// doubled. It kills instances, Redis and Postgres, stops the relay that leads,
// takes Redis and its data away, and ends database sessions.
//
// Its test is the short form, part of make test. The long one takes about six
// minutes and ends with a table; an earlier run's choices are repeated with its
// seed:
//
//	make chaos-events
//	make chaos-events KILLS=200 SEED=42
//
// The seed fixes what is killed and after which pause; how the processes and the
// kernel interleave is new in each run.
package durability
