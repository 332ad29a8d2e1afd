package chassis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-troika/troika/pkg/idempotency"
)

// Deadlines of a stop, which takes at most 25 s; the compose files allow 30. Each step
// has its own, and all parts together have stopTime, of which each gets at least
// leastTime even if the parts before it have used up the rest.
const (
	stopTime     = 20 * time.Second
	withdrawTime = time.Second
	partTime     = 11 * time.Second // a request or an event in progress may take 10
	shortTime    = 3 * time.Second  // for parts with no request or event in progress
	leastTime    = 500 * time.Millisecond
	closeTime    = time.Second // for each of what was opened
)

// part is something that runs as long as the service does.
type part struct {
	name string
	run  func(context.Context) error
	time time.Duration // longest stop
	stop context.CancelFunc
	done chan error // gets the result, once
}

// Background adds a function that Run runs until the service stops: then its context
// ends, and it has 3 s to return. If it returns earlier, the service stops.
func (c *Chassis) Background(name string, run func(context.Context) error) {
	c.background = append(c.background, &part{name: name, run: run, time: shortTime})
}

// Run serves until ctx is done, then stops in order: it becomes unready and
// deregisters, goes on serving until callers have noticed, ends the consumer and then
// HTTP after what they have in progress, and last the relay, so that the last events
// are still sent. It returns all errors of all steps, within 25 s of ctx's end. If a
// part fails, Run stops the others and returns its error too.
func (c *Chassis) Run(ctx context.Context) error {
	if err := c.claim.renew(ctx); errors.Is(err, errForeign) {
		return errors.Join(err, c.Close())
	}
	if err := errors.Join(c.HTTP.Listen(), c.admin.Listen()); err != nil {
		return errors.Join(err, c.Close())
	}
	parts := c.parts()
	failed := make(chan error, len(parts))
	for _, p := range parts {
		p.start(failed)
	}
	errs := []error{c.announce(ctx)}
	stopped := time.Now()
	if errs[0] == nil {
		c.Log.InfoContext(ctx, "service started", "addr", c.HTTP.Addr(), "admin_addr", c.admin.Addr(), "env", c.Config.Env)
		select {
		case <-ctx.Done():
			stopped = time.Now()
			c.drain()
		case err := <-failed:
			stopped = time.Now()
			errs = append(errs, err)
		}
	}
	for i := len(parts) - 1; i >= 0; i-- {
		until := stopped.Add(stopTime - time.Duration(i)*leastTime)
		errs = append(errs, parts[i].end(min(parts[i].time, max(time.Until(until), leastTime))))
	}
	errs = append(errs, c.Close())
	c.Log.Info("service stopped", "after", time.Since(stopped).Round(time.Millisecond))
	return errors.Join(errs...)
}

func (c *Chassis) announce(ctx context.Context) error {
	_, port, err := net.SplitHostPort(c.HTTP.Addr())
	if err != nil {
		return err
	}
	url, err := c.Config.advertised(port)
	if err != nil {
		return err
	}
	return c.Registry.Announce(ctx, c.Config.Service, url)
}

// AdminAddr returns the address of the admin port, "" before Run listens on it.
func (c *Chassis) AdminAddr() string { return c.admin.Addr() }

// parts are in the order of their start; they end in the opposite order.
func (c *Chassis) parts() []*part {
	parts := []*part{
		{name: "admin", run: c.admin.Run, time: shortTime},
		{name: "redis claim", run: c.claim.Run, time: shortTime},
		{name: "registry", run: c.Registry.Run, time: shortTime},
		{name: "idempotency", run: idempotency.Purge{DB: c.DB, Config: c.Config.Keys, Log: c.Log}.Run, time: shortTime},
	}
	if c.relay != nil {
		parts = append(parts, &part{name: "relay", run: c.relay.Run, time: shortTime})
	}
	parts = append(parts, c.background...)
	parts = append(parts, &part{name: "http", run: c.HTTP.Run, time: partTime})
	if c.consumer != nil {
		parts = append(parts, &part{name: "consumer", run: c.consumer.Run, time: partTime})
	}
	return parts
}

func (p *part) start(failed chan<- error) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.done = stop, make(chan error, 1)
	go func() {
		err := p.run(ctx)
		if ctx.Err() == nil {
			failed <- fmt.Errorf("%s ended: %w", p.name, err)
			err = nil
		}
		p.done <- err
	}()
}

// end stops the part and waits for it, at most limit.
func (p *part) end(limit time.Duration) error {
	p.stop()
	select {
	case err := <-p.done:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("stop %s: not within %v", p.name, limit.Round(time.Millisecond))
	}
}

// drain makes this instance unready, deregisters it, and waits until callers have
// noticed. If deregistration fails, the entry in Redis expires.
func (c *Chassis) drain() {
	c.Log.Info("draining", "delay", c.Config.DrainDelay)
	c.HTTP.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	if err := c.Registry.Withdraw(ctx); err != nil {
		c.Log.Warn("deregistration failed", "error", err)
	}
	time.Sleep(c.Config.DrainDelay)
}
