package road

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/bench/internal/lab"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
)

func TestBurst(t *testing.T) {
	ctx := t.Context()
	s, err := env.Load[lab.Servers](os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	cfg, name, _ := s.PostgresConfig()
	opts, _ := s.RedisOptions()
	l, err := lab.Open(ctx, cfg, name, opts, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o, err := NewOurs(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	cctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- o.Carry(cctx) }()
	for i := range 60 {
		if err := o.Write(ctx, NewEvent(1, i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := untilStreamed(ctx, o, 60); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{100000, 100000} {
		before, _ := o.Streamed(ctx)
		t0 := time.Now()
		err = o.writer.Gorm.Transaction(func(tx *gorm.DB) error {
			for _, e := range NewEvents(1, n) {
				if err := events.Publish(ctx, tx, o.kind, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		if err := untilStreamed(ctx, o, before+int64(n)); err != nil {
			t.Fatal(err)
		}
		t.Logf("burst %d: insert %v, moved in %v = %.0f/s", n, t1.Sub(t0), time.Since(t1), float64(n)/time.Since(t1).Seconds())
	}
	cancel()
	<-done
}
