// Package postgres has the SQL of events: a producer's outbox and log ([Log]), and a
// consumer's offsets, inbox and parked events ([Consumer]). Decisions are made in
// packages relay and consumer; only the watermark, which saves work of the outbox's
// queries, is kept here.
package postgres
