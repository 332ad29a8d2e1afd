package measure

import "time"

// Plan says how often and how long is measured.
type Plan struct {
	Rounds int           // turns of every route; each side once in a turn
	Slice  time.Duration // of a side in a turn
	Starts int           // of each service
	Events int           // that are followed one by one, in all
	Beside time.Duration // how long events are followed beside writers, in all
	Settle time.Duration // before an idle service's memory is read
}

// Short takes about two minutes.
var Short = Plan{
	Rounds: 5, Slice: 2 * time.Second, Starts: 5, Events: 200, Beside: 5 * time.Second, Settle: 5 * time.Second,
}

// Full takes about six minutes.
var Full = Plan{
	Rounds: 15, Slice: 4 * time.Second, Starts: 10, Events: 500, Beside: 15 * time.Second, Settle: 30 * time.Second,
}

const (
	Callers = 8   // requests at a time, and writers beside an event
	readers = 256 // users that are looked up in turn
	warmUp  = 1500 * time.Millisecond
	drain   = 100 * time.Millisecond // after a slice: its events leave on its account
)

// reference is the same system in Node.js (express, axios, ioredis, sequelize), as
// measured once on two such cores; design figures, not of this run.
var reference = struct {
	cpu    map[string]float64 // µs of the services' CPU per request
	rate   map[string]float64 // requests a second
	idle   float64            // ms, an event end to end, p50
	beside float64            // the same beside 8 writers
	memory float64            // MiB of three idle processes
	start  float64            // ms to healthy; the better of 500 and 650
}{
	cpu:  map[string]float64{getUser: 814, postUser: 2026, postOrder: 4337},
	rate: map[string]float64{getUser: 1352, postUser: 599, postOrder: 319},
	idle: 4.2, beside: 7.5, memory: 278, start: 500,
}
