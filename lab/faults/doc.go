// Package faults injects faults into the servers of the events, under writers without HTTP:
// it starts two Postgres servers, one of them with a standby, and a Redis with a
// replica and a sentinel; eight writers publish, two relays and two consumers work,
// and after each fault what took effect is compared with what was committed, event
// by event and key by key.
//
// Its test is the short form, part of make test. The long one is part of
//
//	make chaos-events
package faults
