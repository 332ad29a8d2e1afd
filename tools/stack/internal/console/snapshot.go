package console

import (
	"encoding/json"
	"time"
)

// snapshot is what a page shows, as the stream sends it once a second.
type snapshot struct {
	At       time.Time `json:"at"`
	Stack    string    `json:"stack"`
	World    string    `json:"world"`
	Control  bool      `json:"control"`           // processes can be killed, paused and started here
	Receiver string    `json:"receiver"`          // of spans; "" if none listens
	Canned   []string  `json:"canned"`            // the runs that can be started: demo, load
	Problem  string    `json:"problem,omitempty"` // there is nothing to show
	Notice   string    `json:"notice,omitempty"`

	Services []service `json:"services"`
	Stores   []store   `json:"stores"`
	Edges    []edge    `json:"edges"`
	Breakers []breaker `json:"breakers"`
	Streams  []stream  `json:"streams"`
	Dead     []parked  `json:"dead"`
	Events   []event   `json:"events"` // the newest first
	Traces   []summary `json:"traces"` // the newest first
	Story    []string  `json:"story"`
}

// service is a service with its instances; figures are per second, over the last seconds.
type service struct {
	Name      string     `json:"name"`
	Health    string     `json:"health"` // healthy, degraded, down, starting or paused
	Instances []instance `json:"instances"`
	Rate      float64    `json:"rate"`
	Errors    float64    `json:"errors"` // responses with 5xx
	Millis    float64    `json:"millis"` // mean duration
	PoolUsed  float64    `json:"poolUsed"`
	PoolMax   float64    `json:"poolMax"`
	Backlog   float64    `json:"backlog"` // events committed and not yet in the log
}

type instance struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Port   int    `json:"port,omitempty"`
	RSS    int64  `json:"rss,omitempty"`
	UpMS   int64  `json:"upMs,omitempty"`
}

// store is a Postgres or Redis that the stack runs.
type store struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// edge is what flows between two parts, per second.
type edge struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Kind   string  `json:"kind"` // http or event
	Rate   float64 `json:"rate"`
	Failed float64 `json:"failed"`
}

// breaker is the circuit breaker of one instance.
type breaker struct {
	Instance string  `json:"instance"`
	Service  string  `json:"service"`
	Target   string  `json:"target"`
	State    string  `json:"state"`
	Cooldown float64 `json:"cooldown"` // seconds until a trial call, while OPEN
}

// stream is what a consumer has read of the events of a producer.
type stream struct {
	Producer   string  `json:"producer"`
	Consumer   string  `json:"consumer"`
	Partitions int     `json:"partitions"`
	Events     int64   `json:"events"`  // in the log
	Lag        int64   `json:"lag"`     // in the log, and not read
	Pending    float64 `json:"pending"` // committed, and not in the log
	Paused     bool    `json:"paused"`
	Parked     int64   `json:"parked"` // keys of the consumer that wait for a retry or a release
	Dead       int64   `json:"dead"`   // keys of the consumer that wait for an operator
}

// parked is an event that waits for an operator.
type parked struct {
	Consumer string `json:"consumer"`
	ID       string `json:"id"`
	Service  string `json:"service"`
	Event    string `json:"event"`
	Key      string `json:"key"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error"`
	TraceID  string `json:"traceId"`
}

// event is an event of a producer's log.
type event struct {
	Place    string          `json:"place"` // in the logs
	ID       string          `json:"id"`
	Event    string          `json:"event"`
	Service  string          `json:"service"`
	Key      string          `json:"key"`
	At       time.Time       `json:"at"`
	Trace    string          `json:"trace"`
	Data     json.RawMessage `json:"data"`
	Handlers []handling      `json:"handlers"`

	partition string
	position  int64
}

// handling is a consumer's attempt to handle an event, or its wait for one.
type handling struct {
	Service string  `json:"service"`
	State   string  `json:"state"`  // done, failed or waiting
	Millis  float64 `json:"millis"` // from publishing to the end of the handler
}

// summary is a trace in the list of traces.
type summary struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Service  string    `json:"service"`
	Services []string  `json:"services"`
	At       time.Time `json:"at"`
	Millis   float64   `json:"millis"`
	Spans    int       `json:"spans"`
	Failed   bool      `json:"failed"`
}

// span is a span of a trace, in the order of their starts below their parents.
type span struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Service    string            `json:"service"`
	Kind       string            `json:"kind"` // server, client, producer, consumer or internal
	Depth      int               `json:"depth"`
	Offset     float64           `json:"offset"` // milliseconds after the trace's first span
	Millis     float64           `json:"millis"`
	Failed     bool              `json:"failed"`
	Attributes map[string]string `json:"attributes"`
}

// details is a trace with its spans and log lines.
type details struct {
	summary
	Tree []span    `json:"tree"`
	Logs []logLine `json:"logs"`
}

type logLine struct {
	Part string `json:"part"`
	Text string `json:"text"` // JSON as the service wrote it
}
