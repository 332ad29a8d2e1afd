package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = time.Second // for one replica; the next is tried after it
	grace       = time.Second // what open connections still get after a stop
)

// serve listens on every leaf and returns when ctx is done and the last
// connection has ended, at most a second later.
func serve(ctx context.Context, leaves []leaf, log io.Writer) error {
	listeners := make([]net.Listener, 0, len(leaves))
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	var config net.ListenConfig
	for _, l := range leaves {
		listener, err := config.Listen(ctx, "tcp", l.listen)
		if err != nil {
			return err
		}
		listeners = append(listeners, listener)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var open sync.WaitGroup
	for i, l := range leaves {
		open.Go(func() {
			if err := accept(ctx, listeners[i], l.target, &open, log); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	for _, l := range listeners {
		l.Close()
	}
	open.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func accept(ctx context.Context, l net.Listener, target string, open *sync.WaitGroup, log io.Writer) error {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		open.Go(func() {
			if err := pass(ctx, client.(*net.TCPConn), target); err != nil {
				fmt.Fprintf(log, "door: %s: %v\n", target, err)
			}
		})
	}
}

// pass joins client with one replica of target until both directions have ended.
// With no replica to be had the client sees a reset, as it would without a door.
func pass(ctx context.Context, client *net.TCPConn, target string) error {
	defer client.Close()
	server, err := dial(ctx, target)
	if err != nil {
		return errors.Join(err, client.SetLinger(0))
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() {
		end := time.Now().Add(grace)
		client.SetDeadline(end)
		server.SetDeadline(end)
	})
	defer stop()

	var back sync.WaitGroup
	back.Go(func() { relay(client, server) })
	relay(server, client)
	back.Wait()
	return nil
}

// relay copies one direction and passes on how it ended: a half-close as a
// half-close, a broken connection as the end of both.
func relay(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}

// dial asks the resolver anew for each connection, because replicas come and go,
// and tries them in random order, because a resolver may always name the same first.
func dial(ctx context.Context, target string) (*net.TCPConn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*dialTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	dialer := net.Dialer{Timeout: dialTimeout}
	var failed []error
	for _, address := range addresses {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address, port))
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
