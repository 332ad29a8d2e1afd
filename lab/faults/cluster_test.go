package faults_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

// TestEventsOnARedisCluster has the streams on a Redis Cluster of three masters, which
// loses masters and moves slots under writers.
func TestEventsOnARedisCluster(t *testing.T) {
	c := startCluster(t)
	l := newLab(t, c.open)
	l.each([]fault{
		{"nothing", func() { l.under(steady, pause); c.follow(l) }},
		{"each master is killed, and comes back empty", func() { l.under(steady, c.killEach); c.follow(l) }},
		{"the streams' slots move from master to master",
			func() { l.under(steady, func() { c.moveStreams(l.t) }); c.follow(l) }},
		{"4, 16 and 4 partitions", l.repartitioned},
	})
}

// cluster is three masters without replicas.
type cluster struct {
	t       *testing.T
	masters []*redisServer
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	const slots = 1 << 14
	c := &cluster{t: t}
	var meet []any // the first
	for i := range 3 {
		bus := freePort(t)
		s := startRedis(t, freePort(t), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-require-full-coverage", "no",
			"--cluster-node-timeout", "1000")
		c.masters = append(c.masters, s)
		c.do(s, "CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		if i == 0 {
			meet = []any{"CLUSTER", "MEET", "127.0.0.1", s.port, bus}
			continue
		}
		c.do(s, meet...)
	}
	c.ready()
	return c
}

// ready waits until every master knows who serves every slot.
func (c *cluster) ready() {
	c.t.Helper()
	for _, s := range c.masters {
		testkit.Eventually(c.t, patience, func() string {
			info, err := s.client.ClusterInfo(c.t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
				return fmt.Sprint(info, err)
			}
			return ""
		})
	}
}

func (c *cluster) do(s *redisServer, args ...any) any {
	c.t.Helper()
	v, err := s.client.Do(c.t.Context(), args...).Result()
	if err != nil {
		c.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func (c *cluster) open() redis.UniversalClient {
	var addrs []string
	for _, s := range c.masters {
		addrs = append(addrs, "127.0.0.1:"+strconv.Itoa(s.port))
	}
	return openRedis(c.t, redis.UniversalOptions{Addrs: addrs})
}

// follow waits until every stream ends where the log does: events arrive without Redis,
// too.
func (c *cluster) follow(l *lab) {
	l.t.Helper()
	client := c.open()
	testkit.Eventually(l.t, patience, func() string {
		var parts []struct{ Part, LastPos int64 }
		const query = `SELECT part, last_pos FROM event_parts WHERE NOT closed AND last_pos > 0`
		if err := l.published.Gorm.Raw(query).Scan(&parts).Error; err != nil {
			return err.Error()
		}
		for _, p := range parts {
			last, err := client.XRevRangeN(l.t.Context(), events.StreamName(testkit.Env, publisher, p.Part), "+", "-",
				1).Result()
			if err != nil || len(last) == 0 || last[0].ID != events.EntryID(p.LastPos) {
				return fmt.Sprintf("stream of part %d ends with %v, %v; the log with %d", p.Part, last, err, p.LastPos)
			}
		}
		return ""
	})
}

func (c *cluster) killEach() {
	for _, s := range c.masters {
		pause()
		s.kill()
		pause()
		s.start()
		c.ready()
	}
	pause()
}

// moveStreams moves the slots with keys of the events to the next master, twice.
func (c *cluster) moveStreams(t *testing.T) {
	t.Helper()
	for range 2 {
		moved := map[int64]bool{}
		for i, from := range c.masters {
			to := c.masters[(i+1)%len(c.masters)]
			keys, err := from.client.Keys(t.Context(), testkit.Env+":events:*").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				slot, err := from.client.ClusterKeySlot(t.Context(), key).Result()
				if err != nil {
					t.Fatal(err)
				}
				if !moved[slot] {
					moved[slot] = true
					c.moveSlot(slot, from, to)
				}
			}
		}
		if len(moved) == 0 {
			t.Fatal("there is no stream")
		}
		pause()
	}
}

// moveSlot moves a slot as redis-cli does: https://redis.io/docs/latest/commands/cluster-setslot
func (c *cluster) moveSlot(slot int64, from, to *redisServer) {
	c.t.Helper()
	source, target := c.do(from, "CLUSTER", "MYID"), c.do(to, "CLUSTER", "MYID")
	c.do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	c.do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	for {
		keys, err := from.client.ClusterGetKeysInSlot(c.t.Context(), int(slot), 100).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "AUTH", secret, "KEYS"}
		for _, key := range keys {
			args = append(args, key)
		}
		c.do(from, args...)
		pause()
	}
	for _, s := range slices.Concat([]*redisServer{to, from}, c.masters) {
		c.do(s, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
}
