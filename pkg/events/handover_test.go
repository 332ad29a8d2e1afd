package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

// instance is one process of the subscribing service.
type instance struct {
	metrics *prometheus.Registry
	stop    func()
}

func (b *bus) instance(h events.Handler[deposit]) instance {
	b.t.Helper()
	deps := testkit.EventDeps(b.t)
	metrics := prometheus.NewRegistry()
	deps.Metrics = metrics
	c := events.NewConsumer(events.ConsumerOptions{
		Name: subscriber, DB: testkit.Open(b.t, b.to.Name()), Redis: b.redis, History: testkit.LogOf(b.from),
		Dial: func() redis.UniversalClient {
			own := *b.redis.Options()
			own.PoolSize = 1
			return redis.NewClient(&own)
		},
		Config: b.cfg, Deps: deps,
	})
	events.On(c, deposited, h)
	return instance{metrics, testkit.Run(b.t, c.Run)}
}

// owns is how many partitions the instance reads.
func (i instance) owns(t *testing.T) int {
	t.Helper()
	families, err := i.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "event_consumer_partitions" {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatal("no metric event_consumer_partitions")
	return 0
}

func waitShares(t *testing.T, instances []instance, want ...int) {
	t.Helper()
	testkit.Eventually(t, patience, func() string {
		var got []int
		for _, i := range instances {
			got = append(got, i.owns(t))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("instances own %v partitions, want %v", got, want)
		}
		return ""
	})
}

// Consumers go from one to three and back to one, under a writer.
func TestConsumersScale(t *testing.T) {
	b := setup(t)
	b.relay()
	instances := []instance{b.instance(record)}
	stopWriter := b.write(8)
	waitShares(t, instances, 4)
	instances = append(instances, b.instance(record), b.instance(record))
	waitShares(t, instances, 1, 1, 2)
	instances[0].stop()
	waitShares(t, instances[1:], 2, 2)
	instances[1].stop()
	waitShares(t, instances[2:], 4)
	for key, n := range stopWriter() {
		b.expect(key, n)
	}
}

// write publishes events of so many keys in turn, until the result is called,
// which gives the last n of each.
func (b *bus) write(keys int) (stop func() map[string]int) {
	done := make(chan struct{})
	published := map[string]int{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			key := fmt.Sprint("key-", i%keys)
			published[key]++
			err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
				return events.Publish(b.t.Context(), tx, deposited, deposit{key, published[key]})
			})
			if err != nil {
				b.t.Error(err)
				return
			}
		}
	})
	stop = sync.OnceValue(func() map[string]int {
		close(done)
		wg.Wait()
		return published
	})
	b.t.Cleanup(func() { stop() })
	return stop
}

// An instance is asked to stop while its handler is in the middle of a batch:
// it finishes the event, and another goes on behind it.
func TestStopInMidBatch(t *testing.T) {
	b := setup(t)
	b.relay()
	b.publish("a", 1, 50)
	b.waitEntries(50)
	inHand, goOn := make(chan struct{}), make(chan struct{})
	first := b.instance(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 20 {
			close(inHand)
			<-goOn
		}
		return record(ctx, tx, d)
	})
	<-inHand
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		first.stop()
	}()
	second := b.instance(record)
	select {
	case <-stopped:
		t.Error("did not wait for its handler")
	default:
	}
	if n := len(b.effects("a")); n != 0 {
		t.Errorf("%d effects of an open transaction", n)
	}
	close(goOn)
	<-stopped
	b.expect("a", 50)
	waitShares(t, []instance{second}, 4)
}

// TestHandover prints how long events wait for a successor when an instance that
// owns half of the partitions stops.
func TestHandover(t *testing.T) {
	b := setup(t)
	b.relay()
	old, next := b.instance(record), b.instance(record)
	waitShares(t, []instance{old, next}, 2, 2)
	const rounds, keys = 7, 8 // keys in all partitions
	var took []time.Duration
	for n := 1; n <= rounds; n++ {
		old.stop()
		began := time.Now()
		for key := range keys {
			b.publish(fmt.Sprint("key-", key), n, n)
		}
		for key := range keys {
			b.expect(fmt.Sprint("key-", key), n)
		}
		took = append(took, time.Since(began))
		old, next = next, b.instance(record)
		waitShares(t, []instance{old, next}, 2, 2)
	}
	slices.Sort(took)
	t.Logf("successor has handled after %v (median of %v)", took[rounds/2], took)
	if took[rounds/2] > 10*time.Second {
		t.Errorf("median %v", took[rounds/2])
	}
}
