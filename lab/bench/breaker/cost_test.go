package breaker_test

import (
	"context"
	"testing"

	"github.com/sony/gobreaker/v2"

	"github.com/go-troika/troika/pkg/breaker"
)

// caller makes one call that succeeds.
type caller func() error

func ours() caller {
	b, ctx := breaker.New("ours", breaker.Config{}), context.Background()
	call := func(context.Context) error { return nil }
	return func() error { return b.Do(ctx, call) }
}

func peer() caller {
	b := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Name: "gobreaker"})
	call := func() (struct{}, error) { return struct{}{}, nil }
	return func() error {
		_, err := b.Execute(call)
		return err
	}
}

// bare is the call without a breaker.
func bare() caller {
	call := func(context.Context) error { return nil }
	return func() error { return call(context.Background()) }
}

var callers = []struct {
	name string
	make func() caller
}{{"bare", bare}, {"ours", ours}, {"gobreaker", peer}}

func BenchmarkClosed(b *testing.B) {
	for _, c := range callers {
		b.Run(c.name, func(b *testing.B) {
			call := c.make()
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	for _, c := range callers {
		b.Run(c.name, func(b *testing.B) {
			call := c.make()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	fail := func(context.Context) error { return errBroken }
	b.Run("ours", func(b *testing.B) {
		br := breaker.New("ours", breaker.Config{Failures: 1})
		_ = br.Do(context.Background(), fail)
		b.ReportAllocs()
		for b.Loop() {
			if err := br.Do(context.Background(), fail); err == nil {
				b.Fatal("not refused")
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		br := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 1 },
		})
		call := func() (struct{}, error) { return struct{}{}, errBroken }
		_, _ = br.Execute(call)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := br.Execute(call); err == nil {
				b.Fatal("not refused")
			}
		}
	})
}
