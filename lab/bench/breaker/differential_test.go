package breaker_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	histories = 400
	steps     = 150
)

// Over random histories both let the same calls pass and are in the same state
// after every step, but for the differences that have a test of their own.
func TestSameBehaviourOverRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(histories) {
		compareOver(t, seed)
	}
}

func FuzzSameBehaviour(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compareOver(t, seed) })
}

func compareOver(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		}()
		random := rand.New(rand.NewPCG(seed, 1))
		w := newTwins(t)
		for range steps {
			w.compare(w.step(random))
		}
		for len(w.open) > 0 {
			w.end(0, outcomes[0].end)
		}
	})
}

// step takes a random step and returns its name.
func (w *twins) step(random *rand.Rand) string {
	switch random.IntN(8) {
	case 0: // never a whole number of seconds: at the very end of a cooldown they differ
		d := time.Duration(random.Int64N(int64(3*cooldown/2))) + time.Nanosecond
		if d%time.Second == 0 {
			d++
		}
		<-time.After(d)
		return "a wait of " + d.String()
	case 1, 2, 3:
		w.begin()
		return "the beginning of a call"
	default:
		if len(w.open) == 0 {
			w.begin()
			return "the beginning of a call"
		}
		outcome := outcomes[random.IntN(len(outcomes))]
		w.end(random.IntN(len(w.open)), outcome.end)
		return "a call's " + outcome.name
	}
}
