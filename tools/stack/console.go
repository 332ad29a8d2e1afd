package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/console"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/stack"
	"github.com/go-troika/troika/tools/stack/internal/traffic"
)

// Addresses of the console, on this machine only.
const (
	pagePort     = 8090
	receiverPort = 4318 // of OTLP over HTTP
	tracesTo     = "OTEL_EXPORTER_OTLP_ENDPOINT"
)

// console shows a stack that is up, until Ctrl-C.
func (a *app) console(ctx context.Context, args []string) error {
	var cfg console.Config
	fs := a.flags("console")
	fs.StringVar(&cfg.Listen, "listen", fmt.Sprintf("127.0.0.1:%d", pagePort), "")
	fs.StringVar(&cfg.Receiver, "receiver", "", "")
	fs.Func("forward", "", func(text string) error {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%q is not a URL", text)
		}
		cfg.Forward = strings.TrimSuffix(text, "/")
		return nil
	})
	fs.Func("service", "", func(text string) error {
		address, err := console.ParseAddress(text)
		cfg.Addresses = append(cfg.Addresses, address)
		return err
	})
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	for _, text := range []string{cfg.Listen, cfg.Receiver} {
		if _, _, err := net.SplitHostPort(text); err != nil && text != "" {
			return fmt.Errorf("console: %q is not HOST:PORT: %w", text, errUsage)
		}
	}
	if cfg.Addresses == nil {
		s, err := a.running(ctx)
		if err != nil {
			return err
		}
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		cfg.Stack = s
		if cfg.Receiver == "" {
			cfg.Receiver = a.freeReceiver(status)
		}
	}
	c, err := a.openConsole(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "console: %s\n", c.URL())
	return c.Run(ctx)
}

// openConsole opens a console with the keys of this invocation.
func (a *app) openConsole(cfg console.Config) (c *console.Console, err error) {
	if cfg.Gateway, err = a.signer("gateway"); err != nil {
		return nil, err
	}
	if cfg.Operator, err = a.signer(serviceauth.Operator); err != nil {
		return nil, err
	}
	for _, address := range cfg.Addresses {
		cfg.Services = append(cfg.Services, address.Service)
	}
	if cfg.Stack != nil {
		if cfg.Runs == nil {
			cfg.Runs = map[string]console.Run{}
		}
		cfg.Runs["load"] = func(ctx context.Context, out io.Writer) error {
			t, err := traffic.NewTarget(ctx, cfg.Stack, cfg.Gateway)
			if err != nil {
				return err
			}
			return traffic.Load{Clients: 8, Rate: 50, Duration: 20 * time.Second, Out: out}.Run(ctx, t)
		}
		for _, s := range a.Services {
			cfg.Services = append(cfg.Services, s.Name)
		}
	}
	return console.New(cfg)
}

// sendTraces makes the services of a stack to start send their spans to where the console
// will receive them, twice a second, unless the caller has chosen a receiver.
func (a *app) sendTraces() error {
	if a.Environ.Get(tracesTo) != "" {
		return nil
	}
	port, err := new(machine.Ports).Take(receiverPort)
	a.Environ = a.Environ.With(map[string]string{
		tracesTo: fmt.Sprintf("http://127.0.0.1:%d", port), "OTEL_BSP_SCHEDULE_DELAY": "500",
	})
	return err
}

// freeReceiver returns the address of receiverOf, "" if another program listens there.
func (a *app) freeReceiver(s stack.Status) string {
	address := receiverOf(s)
	if address == "" {
		return ""
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(a.out, "without traces: another program receives them:", err)
		return ""
	}
	_ = l.Close()
	return address
}

// receiverOf returns the address that the services of a stack send their spans to, "" if
// it is not one of this machine.
func receiverOf(s stack.Status) string {
	u, err := url.Parse(s.Traces)
	if err != nil || u.Port() == "" || !net.ParseIP(u.Hostname()).IsLoopback() {
		return ""
	}
	return u.Host
}
