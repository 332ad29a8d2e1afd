// Package load generates a closed loop of requests: each caller sends its next request
// when it has the response to the last. It speaks HTTP/1.1 over plain connections, to
// take little from the processors that it shares with what is measured.
package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Job is what callers request.
type Job struct {
	Addr   string
	Status int           // of a good response; any other ends the job
	Next   func() []byte // makes the next request; called by all callers at once
}

// Result is the outcome of a job.
type Result struct {
	Took      time.Duration
	Latencies []time.Duration // of every request
}

// Rate returns the requests a second.
func (r Result) Rate() float64 { return float64(len(r.Latencies)) / r.Took.Seconds() }

// Run runs so many callers for d. The error is the first that a caller met.
func Run(ctx context.Context, job Job, callers int, d time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	latencies := make([][]time.Duration, callers)
	began := time.Now()
	for i := range callers {
		group.Go(func() (err error) {
			latencies[i], err = repeat(ctx, job)
			return err
		})
	}
	err := group.Wait()
	return Result{time.Since(began), slices.Concat(latencies...)}, err
}

// repeat sends requests until ctx is done.
func repeat(ctx context.Context, job Job) ([]time.Duration, error) {
	conn, err := Dial(ctx, job.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var latencies []time.Duration
	for ctx.Err() == nil {
		request := job.Next()
		sent := time.Now()
		status, body, err := conn.Do(request)
		if err != nil {
			return latencies, err
		}
		if status != job.Status {
			return latencies, fmt.Errorf("%.60q: status %d: %.300s", request, status, body)
		}
		latencies = append(latencies, time.Since(sent))
	}
	return latencies, nil
}
