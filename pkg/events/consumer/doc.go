// Package consumer applies the events of other services, each exactly once and
// in the order of its key.
//
// Where a consumer stands is one row per part of a producer's log, the offset: a
// position and its mark. A batch of events takes effect in one transaction that
// locks this row, compares it as a whole, calls the handlers, records the events
// in the inbox and moves the offset. Everything else only saves work: which
// instance reads a part, what Redis holds, what was checkOffset of the producer.
//
// What a stream cannot give, because it was cut, emptied, or the consumer is new,
// replays or was restored from a backup, comes from the producer's log, which is
// asked at least once a second where it ends and whether the offset is on its
// history. If it is not, the producer's history has changed, and the consumer
// goes back to the last place that both have.
//
// An event whose handler fails is parked, and with it what follows of its key.
package consumer
