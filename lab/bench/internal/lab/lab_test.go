package lab_test

import (
	"strings"
	"testing"

	"github.com/go-troika/troika/lab/bench/internal/lab/labtest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exec runs a query on a connection of its own.
func exec(t *testing.T, url, query string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), query)
	return err
}

func TestReturnedDatabasesAreTakenAgainEmpty(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	first, err := l.TakeDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := exec(t, l.URL(first), `CREATE TABLE things ()`); err != nil {
		t.Fatal(err)
	}
	second, err := l.TakeDatabase(t.Context())
	if err != nil || second == first {
		t.Fatalf("took %q while %q was taken, error %v", second, first, err)
	}
	if err := l.ReturnDatabase(first); err != nil {
		t.Fatal(err)
	}
	again, err := l.TakeDatabase(t.Context())
	if err != nil || again != first {
		t.Fatalf("took %q, want %q again, error %v", again, first, err)
	}
	if err := exec(t, l.URL(again), `SELECT FROM things`); err == nil {
		t.Error("the table is still there")
	}
}

func TestSetupNamesServersAndTheirPromise(t *testing.T) {
	t.Parallel()
	setup, err := labtest.Open(t).Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if setup.Unsafe != "" || setup.Postmaster == 0 || setup.RedisPID == 0 || !strings.Contains(setup.String(), "fsync on") {
		t.Errorf("got %+v", setup)
	}
}

func TestLeasedRedisIsNobodyElses(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	first, giveBack, err := l.LeaseRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, giveBackSecond, err := l.LeaseRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("%s was leased twice", first)
	}
	for _, f := range []func() error{giveBack, giveBackSecond} {
		if err := f(); err != nil {
			t.Error(err)
		}
	}
}
