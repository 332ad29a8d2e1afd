// Package simulation runs the relay and the consumer as they are, against models of
// Postgres and Redis, in one goroutine at a time and on one seed: the same seed is the
// same history, to the last step. Faults come between any two effects: processes crash
// and freeze, commits are done and not answered, either database is put back to an
// earlier commit, Redis loses its tail, entries, everything, or its patience, somebody
// forges entries, clocks step, retention is early, handlers fail, partitions change. At
// the end everything is quiet, and then each event that the producer's history holds
// must have taken effect once, in the order of its key.
//
// It is for tests: go test ./events/simulation -histories 1000000.
//
// Not modelled: transactions of one database that overlap (they come one after the
// other), replays by an operator, a standby that answers, two versions of a consumer.
package simulation
