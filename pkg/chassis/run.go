package chassis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-troika/troika/pkg/httpserver"
)

// Deadlines of the steps of a stop; with the longest DrainDelay they stay
// within 25 s, and the compose files grant 30 s.
const (
	withdrawTime = time.Second
	partTime     = 11 * time.Second // for one part to end: longer than a handler may take
	closeTime    = 3 * time.Second
)

// part is something that runs as long as the service does.
type part struct {
	name string
	run  func(context.Context) error
	stop context.CancelFunc
	done chan error // gets the result, once
}

// Run serves until ctx is done, then stops in order: say that it stops
// (readiness, registry), go on serving until others have noticed, end the
// consumer and then HTTP with what they have in hand, and last the relay, so
// that what was just published still goes out. It gives all errors of all
// steps. If a part fails, Run stops the others and gives its error too.
func (c *Chassis) Run(ctx context.Context) error {
	if err := c.HTTP.Listen(); err != nil {
		return errors.Join(err, c.Close())
	}
	parts := c.parts()
	failed := make(chan error, len(parts))
	for _, p := range parts {
		p.start(failed)
	}
	_, port, _ := net.SplitHostPort(c.HTTP.Addr())
	err := c.Registry.Announce(ctx, c.Config.Service, c.Config.advertised(port))
	if err == nil {
		c.Log.InfoContext(ctx, "service runs", "addr", c.HTTP.Addr(), "admin_port", c.Config.AdminPort, "env", c.Config.Env)
		select {
		case <-ctx.Done():
			c.drain()
		case err = <-failed:
		}
	}
	errs := []error{err}
	for i := len(parts) - 1; i >= 0; i-- {
		errs = append(errs, parts[i].end())
	}
	c.Log.Info("service stopped")
	return errors.Join(append(errs, c.Close())...)
}

// parts are in the order of their start; they end in the opposite order.
func (c *Chassis) parts() []*part {
	parts := []*part{
		{name: "admin", run: httpserver.NewAdmin(c.Config.adminAddr(), c.Metrics, nil).Run},
		{name: "registry", run: c.Registry.Run},
	}
	if c.relay != nil {
		parts = append(parts, &part{name: "relay", run: c.relay.Run})
	}
	parts = append(parts, &part{name: "http", run: c.HTTP.Run})
	if c.consumer != nil {
		parts = append(parts, &part{name: "consumer", run: c.consumer.Run})
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

// end stops the part and waits for it, within limits.
func (p *part) end() error {
	p.stop()
	select {
	case err := <-p.done:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
		return nil
	case <-time.After(partTime):
		return fmt.Errorf("stop %s: not within %v", p.name, partTime)
	}
}

// drain says that this instance stops, and waits until others have noticed.
func (c *Chassis) drain() {
	c.Log.Info("service drains", "for", c.Config.DrainDelay)
	c.HTTP.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	if err := c.Registry.Withdraw(ctx); err != nil {
		c.Log.Warn("others were not told of the stop", "error", err)
	}
	time.Sleep(c.Config.DrainDelay)
}
