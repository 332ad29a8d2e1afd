// Package consumer applies the events of other services, each exactly once and
// in the order of its key.
//
// The progress of a consumer is one row per part of a producer's log, the offset: a
// position and its mark. A batch of events takes effect in one transaction that
// locks this row, compares it as a whole, calls the handlers, records the events
// in the inbox and moves the offset. Everything else only saves work: which
// instance reads a part, what Redis holds, what the producer last returned.
//
// Events that a stream lacks, because it was trimmed or emptied, or because the consumer
// is new, replays or was restored from a backup, come from the producer's log. At least
// once a second the consumer asks the producer where its log ends and whether the offset
// is on its history. If it is not, the producer's history has changed, and the consumer
// goes back to the last place that both have.
//
// An event whose handler fails is parked, and with it what follows of its key.
package consumer
