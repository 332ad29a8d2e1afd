package events_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/testkit"
)

// schemaVersion1 is a database with the first schema of this package.
func schemaVersion1(t *testing.T) *database.DB {
	t.Helper()
	const name = "00001_events.sql"
	text, err := os.ReadFile(filepath.Join("migrations", name))
	if err != nil {
		t.Fatal(err)
	}
	database1 := "test_first_" + uuid.NewString()[:8]
	testkit.CreateDatabase(t, database1)
	db := testkit.Open(t, database1)
	schema := database.Schema{Table: events.Schema().Table, Files: fstest.MapFS{name: {Data: text}}}
	if err := db.Migrate(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// old is an event as the first schema has it.
type old struct {
	id       uuid.UUID
	part     int
	envelope string
}

func newOld(key string, n int) old {
	h := fnv.New32a()
	h.Write([]byte(key))
	id := uuid.Must(uuid.NewV7())
	return old{id, int(h.Sum32() % 4), fmt.Sprintf(
		`{"event":"deposit.made","data":{"account":%q,"n":%d},"timestamp":"2026-01-01T00:00:00Z","service":%q,"id":%q,"key":%q,"version":1}`,
		key, n, publisher, id, key)}
}

const oldInsert = `INSERT INTO event_outbox (part, event_id, key, envelope) VALUES (?, ?, ?, ?)`

// A database of the first schema is migrated while its writers go on: what was
// handled, what was parked, what waits in the log and in the outbox, and what old
// and new writers publish afterwards take effect once, in order.
func TestMigrationFromSchemaVersion1(t *testing.T) {
	t.Parallel()
	b := &bus{t: t, redis: testkit.Redis(t), from: schemaVersion1(t), to: schemaVersion1(t)}
	b.exec(b.to, effectsTable)
	b.exec(b.from, `CREATE TABLE event_log_20200101 PARTITION OF event_log FOR VALUES FROM ('2020-01-01+00') TO ('2020-01-02+00')`)
	b.exec(b.from, `INSERT INTO event_streams (part) SELECT generate_series(0, 3)`)
	last := map[int]int64{}
	place := func(key string, n int) (old, int64) {
		e := newOld(key, n)
		last[e.part]++
		b.exec(b.from, `INSERT INTO event_log (part, pos, event_id, key, envelope, created_at) VALUES (?, ?, ?, ?, ?, now())`,
			e.part, last[e.part], e.id, key, e.envelope)
		b.exec(b.from, `UPDATE event_streams SET last_pos = ? WHERE part = ?`, last[e.part], e.part)
		return e, last[e.part]
	}
	stream := func(e old) string { return fmt.Sprintf("events:{%s:%d}", publisher, e.part) }
	handled := func(e old, pos int64) {
		b.exec(b.to, `INSERT INTO event_inbox (consumer, event_id) VALUES (?, ?)`, subscriber, e.id)
		b.exec(b.to, `INSERT INTO event_offsets (consumer, stream, gen, pos) VALUES (?, ?, 1, ?)
ON CONFLICT (consumer, stream) DO UPDATE SET pos = excluded.pos`, subscriber, stream(e), pos)
	}
	park := func(e old, pos int64, key, state string) {
		b.exec(b.to, `INSERT INTO event_parked (consumer, event_id, stream, gen, pos, key, envelope, attempts, state, last_error)
VALUES (?, ?, ?, 1, ?, ?, ?, 3, ?, 'bad data')`, subscriber, e.id, stream(e), pos, key, e.envelope, state)
	}
	for n := 1; n <= 6; n++ { // handled
		e, pos := place("a", n)
		handled(e, pos)
		b.exec(b.to, `INSERT INTO effects (account, n) VALUES ('a', ?)`, n)
	}
	for n, state := range []string{"discarded", "dead", "waiting", "waiting"} { // parked
		e, pos := place("p", n)
		handled(e, pos)
		park(e, pos, "p", state)
	}
	for n := 7; n <= 10; n++ { // placed and not handled
		place("a", n)
	}
	for n := 11; n <= 15; n++ { // not placed
		e := newOld("a", n)
		b.exec(b.from, oldInsert, e.part, e.id, "a", e.envelope)
	}

	writers, writing, enough := b.from, make(chan int, 1), atomic.Bool{}
	go func() {
		n := 0
		for !enough.Load() {
			e := newOld("w", n+1)
			if err := writers.Gorm.Exec(oldInsert, e.part, e.id, "w", e.envelope).Error; err != nil {
				t.Error(err)
				break
			}
			n++
		}
		writing <- n
	}()
	for _, db := range []*database.DB{b.from, b.to} {
		if err := db.Migrate(t.Context(), events.Schema()); err != nil {
			t.Fatal(err)
		}
	}
	b.from, b.to = testkit.Open(t, b.from.Name()), testkit.Open(t, b.to.Name())
	if err := b.from.Gorm.Use(events.NewOutbox(publisher)); err != nil {
		t.Fatal(err)
	}
	b.relay()
	b.consume(record)
	b.expect("a", 15)
	enough.Store(true)
	written := <-writing
	b.publish("w", written+1, written+5) // new writers after old ones
	b.publish("a", 16, 20)
	b.expect("w", written+5)
	b.expect("a", 20)

	if dead := b.parked("dead", 1)[0]; dead.Key != "p" || dead.Error != "bad data" || dead.Event != deposited.Name() {
		t.Errorf("dead letter %+v", dead)
	}
	b.parked("behind", 2)
	if _, err := b.operator().Redrive(t.Context(), admin.Selection{Event: deposited.Name()}); err != nil {
		t.Fatal(err)
	}
	b.expect("p", 3)
	b.repartition(8)
	b.publish("a", 21, 25)
	b.expect("a", 25)
}
