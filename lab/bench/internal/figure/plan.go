package figure

import "time"

// Plan says how often and how long is measured.
type Plan struct {
	Rounds    int           // turns of every figure
	Steady    time.Duration // of a slice at a steady rate; longer than Idle
	Idle      time.Duration // how long the other database's transaction stays open
	Backlog   int           // events that are drained through the outbox
	Stocked   int           // events that wait in the stream
	Writers   int           // that write at full speed
	Write     time.Duration // of a slice in which they do
	Insert    time.Duration // of a slice of bare transactions
	Takeovers int           // relays that are killed, and stopped
	Memory    int           // events of the backlog for the memory figure; 0 leaves it out
	Only      []string      // names of the figures that are taken; none means all
}

// Short takes about three minutes.
var Short = Plan{
	Rounds: 3, Steady: 3500 * time.Millisecond, Idle: 3 * time.Second, Backlog: 12_000, Stocked: 20_000,
	Writers: 32, Write: 3 * time.Second, Insert: time.Second, Takeovers: 3,
}

// Full takes about twelve minutes.
var Full = Plan{
	Rounds: 5, Steady: 5 * time.Second, Idle: 3 * time.Second, Backlog: 20_000, Stocked: 50_000,
	Writers: 32, Write: 3 * time.Second, Insert: 2 * time.Second, Takeovers: 10,
}

const (
	rate       = 200 // events a second, steady
	warmUps    = 30  // events before a slice
	clients    = 8   // of bare transactions
	waitLimit  = time.Minute
	waitPoll   = time.Millisecond
	runUpLimit = 20 * time.Second
)
