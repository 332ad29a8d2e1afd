package testkit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/go-troika/troika/pkg/testkit"
)

// test stands for the *testing.T of a test.
type test struct {
	testing.TB
	cleanups []func()
}

func (t *test) Helper()                  {}
func (t *test) Name() string             { return "TestCounters" }
func (t *test) Context() context.Context { return context.Background() }
func (t *test) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *test) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *test) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func (t *test) end() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		cleanup := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		cleanup()
	}
}

// A test has a Postgres database with the schema of a service, and a Redis database; both are
// its own, and gone when it ends.
func Example() {
	t := new(test)
	defer t.end()
	table := "-- +goose Up\nCREATE TABLE counters (name text, value int);"
	schema := fstest.MapFS{"00001_counters.sql": {Data: []byte(table)}}

	db := testkit.Postgres(t, "user-service", schema)
	db.Gorm.Exec(`INSERT INTO counters VALUES ('users', 3)`)
	var value int
	db.Gorm.Raw(`SELECT value FROM counters WHERE name = 'users'`).Scan(&value)

	rdb := testkit.Redis(t)
	rdb.Set(t.Context(), "orders", 4, 0)
	orders, err := rdb.Get(t.Context(), "orders").Int()
	fmt.Println(value, orders, err)
	// Output: 3 4 <nil>
}
