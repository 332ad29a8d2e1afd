// Package durability applies one kind of fault after another to a running system, under
// writers, and then compares: every user that was created has its events in the
// log and one profile, the events of each user are in order, and nothing is
// doubled. It kills instances, Redis and Postgres, stops the relay that leads,
// removes Redis and its data, and ends database sessions.
//
// Its test is the short form, part of make test. The long one takes about six
// minutes; the choices of an earlier run are repeated with its seed:
//
//	make chaos-events
//	make chaos-events KILLS=200 SEED=42
//
// The seed chooses what is killed and after which pause; how the processes interleave is
// new in each run.
package durability
