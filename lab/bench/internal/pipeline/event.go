package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Size is how many bytes of JSON an event has, without its envelope.
const Size = 1024

const keys = 1000 // aggregates that events are about

// Event is what is measured.
type Event struct {
	// Slice is the measurement that the event belongs to. A pipeline may deliver
	// it again during a later one.
	Slice int64 `json:"slice"`
	// N counts the events of a slice from 0, those of its warm-up from -1 downwards.
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

// NewEvent returns the n-th event of a slice, Size bytes long in JSON.
func NewEvent(slice int64, n int) Event {
	used := len(fmt.Sprintf(`{"slice":%d,"n":%d,"pad":""}`, slice, n))
	return Event{Slice: slice, N: n, Pad: strings.Repeat("x", Size-used)}
}

// NewEvents returns the first n events of a slice.
func NewEvents(slice int64, n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = NewEvent(slice, i)
	}
	return events
}

// Key names the aggregate that the event is about.
func (e Event) Key() string { return "aggregate-" + strconv.Itoa((e.N%keys+keys)%keys) }

// encode returns the event as JSON.
func (e Event) encode() []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // two numbers and a string
	}
	return data
}

// decode calls h with the event in data.
func decode(data []byte, h Handler) error {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	h(e)
	return nil
}
