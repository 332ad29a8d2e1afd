package userauth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/userauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signer is the service that publishes the keys.
type signer struct {
	mu      sync.Mutex
	keys    []ed25519.PublicKey
	down    bool
	fetched int
}

func (s *signer) fetch(context.Context) (userauth.JWKS, error) {
	<-time.After(time.Second) // of the bubble's clock
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched++
	if s.down {
		return userauth.JWKS{}, errors.New("connection refused")
	}
	return userauth.NewKeySet(s.keys...).JWKS(), nil
}

func (s *signer) set(down bool, keys ...ed25519.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.keys = down, keys
}

func (s *signer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

var (
	secondPrivate = ed25519.NewKeyFromSeed([]byte("fedcba9876543210fedcba9876543210"))
	secondPublic  = secondPrivate.Public().(ed25519.PublicKey)
)

func ofSecondKey(t *testing.T) http.Header {
	t.Helper()
	head := map[string]any{"kid": jws.Thumbprint(secondPublic)}
	return header("Bearer " + sign(t, jwt.SigningMethodEdDSA, secondPrivate, head, nil))
}

func TestRemote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &signer{down: true}
		v := userauth.NewVerifier(issuer, userauth.NewRemote(s.fetch))
		first, second := header("Bearer "+good(t, nil)), ofSecondKey(t)

		for range 3 { // keys were never received: not the person's fault
			if _, err := v.Verify(t.Context(), first); !errors.Is(err, userauth.ErrKeysUnavailable) {
				t.Fatalf("without keys: %v", err)
			}
		}
		if n := s.count(); n != 1 {
			t.Errorf("%d fetches at once, want 1", n)
		}
		s.set(false, public)
		<-time.After(250 * time.Millisecond)
		var wg sync.WaitGroup
		for range 10 { // they wait for one fetch
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), first); err != nil {
					t.Errorf("with keys: %v", err)
				}
			})
		}
		wg.Wait()
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}

		s.set(true, public) // away: the known key still counts, an unknown one is no key
		<-time.After(5 * time.Second)
		if _, err := v.Verify(t.Context(), header("Bearer "+good(t, jwt.MapClaims{"jti": "2"}))); err != nil {
			t.Errorf("while the signer is away: %v", err)
		}
		for range 3 {
			if _, err := v.Verify(t.Context(), second); !errors.Is(err, userauth.ErrInvalid) {
				t.Errorf("an unknown key: %v", err)
			}
		}
		if n := s.count(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}

		s.set(false, secondPublic, public) // rotation: the new key is found at once
		<-time.After(5 * time.Second)
		if _, err := v.Verify(t.Context(), second); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
	})
}

// A key that is no longer published ends, at the latest, with the next regular reading.
func TestRemoteRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &signer{down: true}
		remote := userauth.NewRemote(s.fetch)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- remote.Run(ctx) }()

		<-time.After(8 * time.Second)
		if n := s.count(); n < 4 || n > 5 {
			t.Errorf("%d fetches in the first 8 s, want one after each of 0.25, 0.5, 1 and 2 s", n)
		}
		s.set(false, public)
		<-time.After(5 * time.Second)
		if _, err := remote.Key(t.Context(), kid); err != nil {
			t.Errorf("13 s after the start: %v", err)
		}
		before := s.count()
		s.set(false, secondPublic)
		<-time.After(5*time.Minute + 2*time.Second)
		if n := s.count() - before; n != 1 {
			t.Errorf("%d fetches in five minutes", n)
		}
		if _, err := remote.Key(t.Context(), kid); err == nil {
			t.Error("the old key outlives the reading of the set")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRemoteOfAHungSigner has a fetch that never returns: each request waits no longer than its
// own deadline, or five seconds without one, and Run ends.
func TestRemoteOfAHungSigner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		remote := userauth.NewRemote(func(ctx context.Context) (userauth.JWKS, error) {
			<-ctx.Done()
			return userauth.JWKS{}, ctx.Err()
		})
		for _, patience := range []time.Duration{time.Second, time.Second, time.Minute} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			start := time.Now()
			_, err := remote.Key(ctx, kid)
			if took := time.Since(start); took > min(patience, 5*time.Second) || !errors.Is(err, userauth.ErrKeysUnavailable) {
				t.Errorf("with a deadline of %v: %v after %v", patience, err, took)
			}
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- remote.Run(ctx) }()
		<-time.After(time.Second)
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("Run goes on after its context has ended")
			<-done
		}
	})
}
