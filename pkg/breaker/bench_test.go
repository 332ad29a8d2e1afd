package breaker_test

import (
	"context"
	"testing"

	"github.com/go-troika/troika/pkg/breaker"
)

func BenchmarkClosed(b *testing.B) {
	br := breaker.New("users", breaker.Config{})
	ctx, call := context.Background(), answer(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := br.Do(ctx, call); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	br := breaker.New("users", breaker.Config{})
	ctx, call := context.Background(), answer(nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := br.Do(ctx, call); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	br := breaker.New("users", breaker.Config{Failures: 1})
	ctx, call := context.Background(), answer(errBroken)
	_ = br.Do(ctx, call)
	b.ReportAllocs()
	for b.Loop() {
		if err := br.Do(ctx, call); err == nil {
			b.Fatal("not refused")
		}
	}
}

func TestClosedPathAllocatesNothing(t *testing.T) {
	br := breaker.New("users", breaker.Config{})
	ctx, call := context.Background(), answer(nil)
	if n := testing.AllocsPerRun(1000, func() { _ = br.Do(ctx, call) }); n != 0 {
		t.Errorf("%v allocations per call, want 0", n)
	}
}
