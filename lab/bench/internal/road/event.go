package road

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Size is how many bytes of JSON an event has, without what a road wraps
// around it.
const Size = 1024

const keys = 1000 // aggregates that events are about

// Event is what travels.
type Event struct {
	// Slice says which measurement the event belongs to. A road may deliver
	// it again when a later one runs.
	Slice int64 `json:"slice"`
	// N counts the events of a slice from 0. Those that only warm up count
	// from -1 downwards.
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

// NewEvent makes the n-th event of a slice, Size bytes long in JSON.
func NewEvent(slice int64, n int) Event {
	used := len(`{"slice":,"n":,"pad":""}`) + len(strconv.FormatInt(slice, 10)) + len(strconv.Itoa(n))
	return Event{Slice: slice, N: n, Pad: strings.Repeat("x", Size-used)}
}

// NewEvents makes the first n events of a slice.
func NewEvents(slice int64, n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = NewEvent(slice, i)
	}
	return events
}

// Key names the aggregate that the event is about.
func (e Event) Key() string {
	n := e.N % keys
	if n < 0 {
		n += keys
	}
	return "aggregate-" + strconv.Itoa(n)
}

// encode returns the event as JSON.
func (e Event) encode() []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // two numbers and a string
	}
	return data
}

// decode hands the event in data over to h.
func decode(data []byte, h Handler) error {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	h(e)
	return nil
}
