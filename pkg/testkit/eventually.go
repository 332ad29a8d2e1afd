package testkit

import (
	"testing"
	"time"
)

// Eventually waits until check returns "", and fails the test with what it returned
// last if that takes longer than limit.
func Eventually(t testing.TB, limit time.Duration, check func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, problem)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("test ended: %s", problem)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
