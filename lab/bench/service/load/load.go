package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Job is what callers ask, and of whom.
type Job struct {
	Addr   string
	Status int           // of a good answer; any other ends the job
	Next   func() []byte // makes the next request; called by all callers at once
}

// Result is what became of a job.
type Result struct {
	Took      time.Duration
	Latencies []time.Duration // of every request
}

// Rate is requests a second.
func (r Result) Rate() float64 { return float64(len(r.Latencies)) / r.Took.Seconds() }

// Run has so many callers work for d. The error is the first that a caller met.
func Run(ctx context.Context, job Job, callers int, d time.Duration) (Result, error) {
	conns, err := dial(ctx, job.Addr, callers)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var work sync.WaitGroup
	latencies, errs := make([][]time.Duration, callers), make([]error, callers)
	began := time.Now()
	for i, conn := range conns {
		work.Go(func() {
			if latencies[i], errs[i] = repeat(ctx, job, conn); errs[i] != nil {
				cancel()
			}
		})
	}
	work.Wait()
	result := Result{Took: time.Since(began)}
	for _, l := range latencies {
		result.Latencies = append(result.Latencies, l...)
	}
	return result, errors.Join(errs...)
}

func dial(ctx context.Context, addr string, n int) ([]*Conn, error) {
	var conns []*Conn
	for range n {
		c, err := Dial(ctx, addr)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// repeat works until ctx is done.
func repeat(ctx context.Context, job Job, conn *Conn) ([]time.Duration, error) {
	var latencies []time.Duration
	for ctx.Err() == nil {
		request := job.Next()
		sent := time.Now()
		status, body, err := conn.Do(request)
		if err != nil {
			return latencies, err
		}
		if status != job.Status {
			return latencies, fmt.Errorf("%.60q answered %d: %.300s", request, status, body)
		}
		latencies = append(latencies, time.Since(sent))
	}
	return latencies, nil
}
