package userauth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"github.com/go-troika/troika/pkg/fault"
)

// JWKSPath is the path at which the signer publishes its keys.
const JWKSPath = "/.well-known/jwks.json"

const (
	refreshEvery = 5 * time.Minute
	refetchAfter = 5 * time.Second        // the least time between fetches for unknown kids
	firstRetry   = 250 * time.Millisecond // the same, until the first set was received
	fetchTime    = 5 * time.Second        // the most that a fetch takes, and that a request waits
)

// ErrKeysUnavailable is the error of a service that has never received the keys.
var ErrKeysUnavailable = fault.New(fault.Unavailable, "user_keys_unavailable", "Access tokens cannot be checked").
	WithRetryAfter(time.Second)

// Remote is the key set of another service. It keeps the last set that it received, for as
// long as that service is away. It implements [Keys].
type Remote struct {
	fetch func(context.Context) (JWKS, error)

	turn  chan struct{} // is held by the one that fetches
	tried time.Time     // the end of the last fetch; turn is held

	mu   sync.RWMutex
	keys KeySet // nil until the first was received
}

// NewRemote returns the set that fetch reads. fetch returns once its context is done, after five
// seconds at the latest, and logs its failure.
func NewRemote(fetch func(context.Context) (JWKS, error)) *Remote {
	return &Remote{fetch: fetch, turn: make(chan struct{}, 1)}
}

// Run reads the set every five minutes; until the first success after a quarter of a second, then
// after twice the time each, up to five seconds. It returns nil once ctx is done.
func (r *Remote) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		wait := refreshEvery
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		if r.refresh(ctx) != nil && r.current() == nil {
			wait, retry = retry, min(2*retry, refetchAfter)
		}
		<-r.turn
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Key implements [Keys]. An unknown kid is a reason to read the set again, once in five
// seconds, or in a quarter of a second before the first success; requests that arrive
// meanwhile wait for it, until ctx is done and at most five seconds: then the error is
// ErrKeysUnavailable.
func (r *Remote) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if key, err := r.current().Key(ctx, kid); err == nil {
		return key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrKeysUnavailable.With(ctx.Err())
	}
	type result struct {
		key ed25519.PublicKey
		err error
	}
	done := make(chan result, 1)
	go func() { // goes on if this request is cancelled, because others wait for it
		defer func() { <-r.turn }()
		key, err := r.find(context.WithoutCancel(ctx), kid)
		done <- result{key, err}
	}()
	select {
	case found := <-done:
		return found.key, found.err
	case <-ctx.Done():
		return nil, ErrKeysUnavailable.With(ctx.Err())
	}
}

// find returns a key of the set, which it reads again if that is due. The turn is held.
func (r *Remote) find(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	key, err := r.current().Key(ctx, kid) // another request may have read it
	if err == nil {
		return key, nil
	}
	pause := refetchAfter
	if r.current() == nil {
		pause = firstRetry
	}
	if time.Since(r.tried) < pause {
		return nil, r.unknown(nil)
	}
	if err := r.refresh(ctx); err != nil {
		return nil, r.unknown(err)
	}
	return r.current().Key(ctx, kid)
}

// unknown returns the error of a kid that is not in the set: without a set nothing is known.
func (r *Remote) unknown(cause error) error {
	if r.current() == nil {
		return ErrKeysUnavailable.With(cause)
	}
	return errors.Join(errUnknownKey, cause)
}

func (r *Remote) current() KeySet {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys
}

// refresh reads the set. The turn is held.
func (r *Remote) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	published, err := r.fetch(ctx)
	r.tried = time.Now()
	if err != nil {
		return err
	}
	keys, err := published.KeySet()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}
