package servicebench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/load"
	"github.com/go-troika/troika/lab/report"
)

const (
	lookPause = 250 * time.Microsecond // between two looks at the profile
	eventTime = 10 * time.Second
)

// events follows users from the request that creates them until their profile, which
// the event makes, can be read: without other load, and beside writers.
func (b *Bench) events(ctx context.Context) ([]report.Line, error) {
	f, err := b.newFollower(ctx)
	if err != nil {
		return nil, err
	}
	defer f.close()
	const title = "event from request to profile, "
	idle, err := f.follow(ctx, func(n int) bool { return n < b.Plan.Events })
	if err != nil {
		return nil, fmt.Errorf("follow events: %w", err)
	}
	lines := eventLines(title+"idle", idle, reference.idle)
	asMany := reference.rate[postUser]
	for _, w := range []struct {
		name string
		rate float64 // users a second, in all; 0 is unlimited
	}{{fmt.Sprintf("8 writers beside at the reference's %.0f/s", asMany), asMany}, {"8 writers beside at full speed", 0}} {
		beside, err := b.besideWriters(ctx, f, w.rate)
		if err != nil {
			return nil, fmt.Errorf("follow events beside writers: %w", err)
		}
		lines = append(lines, eventLines(title+w.name, beside, reference.beside)...)
	}
	return lines, nil
}

func eventLines(name string, took []time.Duration, reference float64) []report.Line {
	return []report.Line{
		line(name+", p50", "ms", report.Values{report.Ours: milliseconds(took, 0.5), report.Reference: reference}).
			To(report.Reference).AtMost(1),
		line(name+", p99", "ms", report.Values{report.Ours: milliseconds(took, 0.99)}),
	}
}

// besideWriters follows events while others are written, at a rate or as fast as
// possible.
func (b *Bench) besideWriters(ctx context.Context, f *follower, rate float64) ([]time.Duration, error) {
	writers, err := b.postUser(ctx, report.Ours)
	if err != nil {
		return nil, err
	}
	if rate > 0 {
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		next := writers.job.Next
		writers.job.Next = func() []byte {
			<-tick.C
			return next()
		}
	}
	written := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, writers.job, Callers, warmUp+b.Plan.Beside)
		written <- err
	}()
	err = poll.Sleep(ctx, warmUp)
	end := time.Now().Add(b.Plan.Beside - drain)
	followed, errFollow := f.follow(ctx, func(int) bool { return err == nil && time.Now().Before(end) })
	return followed, errors.Join(err, errFollow, <-written)
}

// follower creates users and looks for their profiles.
type follower struct {
	users, profiles *load.Conn
	create          func() []byte
	look            func(id string) []byte
}

func (b *Bench) newFollower(ctx context.Context) (*follower, error) {
	users, toUsers, errUsers := b.endpoint(report.Ours, contracts.UserService)
	profiles, toProfiles, errProfiles := b.endpoint(report.Ours, contracts.ProfileService)
	if err := errors.Join(errUsers, errProfiles); err != nil {
		return nil, err
	}
	userConn, err := load.Dial(ctx, users.Addr)
	if err != nil {
		return nil, err
	}
	profileConn, err := load.Dial(ctx, profiles.Addr)
	if err != nil {
		return nil, errors.Join(err, userConn.Close())
	}
	return &follower{
		users: userConn, profiles: profileConn,
		create: func() []byte { return b.newUser(toUsers) },
		look:   func(id string) []byte { return load.Request(http.MethodGet, "/profiles/"+id, "", toProfiles...) },
	}, nil
}

func (f *follower) close() {
	f.users.Close()
	f.profiles.Close()
}

// follow follows one event after the other until more returns false.
func (f *follower) follow(ctx context.Context, more func(n int) bool) ([]time.Duration, error) {
	var took []time.Duration
	for more(len(took)) {
		request := f.create()
		began := time.Now()
		id, err := create(f.users, request)
		if err != nil {
			return nil, err
		}
		if err := f.await(ctx, f.look(id), began.Add(eventTime)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// await looks until the profile is there.
func (f *follower) await(ctx context.Context, request []byte, deadline time.Time) error {
	for {
		status, body, err := f.profiles.Do(request)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			return nil
		case status != http.StatusNotFound:
			return fmt.Errorf("%.60q: status %d: %.300s", request, status, body)
		case time.Now().After(deadline):
			return fmt.Errorf("%.60q: no profile after %v", request, eventTime)
		}
		if err := poll.Sleep(ctx, lookPause); err != nil {
			return err
		}
	}
}
