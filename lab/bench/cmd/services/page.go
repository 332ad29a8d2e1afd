package main

import (
	"fmt"

	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/service/measure"
)

// describe says what is measured, and how.
func describe(s lab.Setup, p measure.Plan) string {
	return fmt.Sprintf("%v; medians of %d slices of %v on each side, in turn, with %d callers that ask again as soon as "+
		"they have their answer. Ours: all three services as their images have them, with their default configuration "+
		"(service tokens checked, metrics counted, relay and consumers at work, log at info into a file). "+
		"Floor: the same SQL, outbox row included, in bare gin and pgx without any middleware; nobody carries its "+
		"events on. CPU is user and system time of the services asked, from /proc; that of the generator, of Postgres "+
		"and of Redis is not in it. Reference: the same system in Node.js (express, axios, ioredis, sequelize), "+
		"taken earlier on two such cores, not in this run.", s, p.Rounds, p.Slice, measure.Callers)
}
