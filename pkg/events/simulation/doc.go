// Package simulation runs the relay and the consumer as they are, against models of
// Postgres and Redis, one step at a time in virtual time. The same seed is the same
// history, to the last step. Faults come between any two effects: processes crash and
// freeze, commits are done and not answered, either database is put back to an earlier
// commit or begins anew, the producer fails over and the old primary goes on answering,
// Redis loses its tail, entries, everything, or is full, somebody forges entries, clocks
// step by days, keys are erased, retention is early, handlers fail, two releases of a consumer run at
// once, the number of parts changes, an operator replays. At the end everything is
// quiet, and then each event that the producer's history holds must have taken effect
// once, in the order of its key.
//
// It holds tests only. make simulate runs a million histories, and plants faults in
// the code to see that they are found.
//
// Three things are excused, and only for the events concerned: what retention deleted
// before it was read may be missing or late, an event that an erasing one of its key
// follows may be missing, and an event that was applied, lay on no
// history while a replay undid others, and came back with an older backup, stays before
// them.
//
// Not modelled: transactions of one database that overlap (they come one after the
// other; package interleaving has them meet), discards, a standby that answers,
// handlers that overrun, forged entries with the id of a real event.
package simulation
