package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/traffic"
)

// load sends requests to a stack that is up and prints how long they took.
func (a *app) load(ctx context.Context, args []string) error {
	l := traffic.Load{Out: a.out}
	fs := a.flags("load")
	fs.IntVar(&l.Clients, "clients", 8, "")
	fs.IntVar(&l.Rate, "rate", 0, "")
	fs.DurationVar(&l.Duration, "duration", 10*time.Second, "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if l.Clients < 1 || l.Clients > 1000 || l.Rate < 0 || l.Rate > 100_000 || l.Duration < time.Second {
		return fmt.Errorf("load: --clients is 1 to 1000, --rate 0 (no limit) to 100000, --duration at least 1s: %w", errUsage)
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	return l.Run(ctx, t)
}

// seed fills a stack that is up with users and orders.
func (a *app) seed(ctx context.Context, args []string) error {
	s := traffic.Seed{Out: a.out}
	fs := a.flags("seed")
	fs.IntVar(&s.Users, "users", 50, "")
	fs.Uint64Var(&s.Number, "number", 1, "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if s.Users < 1 || s.Users > 100_000 {
		return fmt.Errorf("seed: --users is 1 to 100000: %w", errUsage)
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	return s.Run(ctx, t)
}

// target returns the running stack, for requests of the gateway.
func (a *app) target(ctx context.Context) (*traffic.Target, error) {
	s, err := a.running(ctx)
	if err != nil {
		return nil, err
	}
	sign, err := a.signer("gateway")
	if err != nil {
		return nil, err
	}
	return traffic.NewTarget(ctx, s, sign)
}
