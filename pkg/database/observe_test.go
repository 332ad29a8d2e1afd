package database_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// TestStatementsOfATraceAreSpans also checks that no value leaves the process: neither an argument
// nor what an error of Postgres quotes.
func TestStatementsOfATraceAreSpans(t *testing.T) {
	t.Parallel()
	spans := testkit.NewSpans(t)
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: spans.URL, SampleRatio: 1}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	db := testkit.Postgres(t, "traced", nil)
	const private = "ann@example.com"
	if err := db.Gorm.Exec("CREATE TABLE words (word text PRIMARY KEY)").Error; err != nil { // outside of the trace
		t.Fatal(err)
	}
	ctx, root := tracer.Start(t.Context(), "root")
	g := db.Gorm.WithContext(ctx)
	for range 2 {
		_ = g.Exec(`INSERT INTO "words" VALUES (?)`, private).Error // the second time in vain
	}
	var word string
	if err := g.Raw("SELECT word FROM words WHERE word = ?", private).Scan(&word).Error; err != nil {
		t.Fatal(err)
	}
	if err := g.Exec("UPDATE words SET word = ?::uuid", private).Error; err == nil || !strings.Contains(err.Error(), private) {
		t.Errorf("error %v, want one that quotes the value", err)
	}
	root.End()
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range spans.All() {
		if s.Name == "root" {
			continue
		}
		failed := ""
		if s.Failed {
			failed = " " + s.Attributes["db.response.status_code"]
		}
		got = append(got, s.Kind+" "+s.Name+failed)
		for name, value := range s.Attributes {
			if strings.Contains(value, private) {
				t.Errorf("%s of %s holds a value: %s", name, s.Name, value)
			}
		}
		if s.Parent != root.SpanContext().SpanID().String() || s.Attributes["db.query.text"] == "" {
			t.Errorf("%s: parent %s, text %q", s.Name, s.Parent, s.Attributes["db.query.text"])
		}
	}
	want := []string{
		"CLIENT INSERT words", `CLIENT INSERT words string_value:"23505"`, "CLIENT SELECT words",
		`CLIENT UPDATE words string_value:"22P02"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestStatementsAreCounted(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "counted", nil)
	m := metrics.New("user-service")
	db.Observe(m)
	for _, statement := range []string{
		"SELECT 1", "SELECT 2", "SELECT nothing", "SET statement_timeout = '10ms'; SELECT pg_sleep(10)",
	} {
		_ = db.Gorm.Exec(statement).Error
	}
	cfg := testkit.Config(t)
	cfg.Port = 1 // nothing listens
	away, err := database.Open(t.Context(), cfg, "away")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	gone := metrics.New("user-service")
	away.Observe(gone)
	for range 5 {
		_ = away.Gorm.Exec("SELECT 1").Error
	}
	if d := gone.Health().Metrics.Dependencies["postgresql"]; d.Errors < 5 {
		t.Errorf("without a server %+v was counted, want 5 errors at least", d)
	}
	got := m.Health().Metrics.Dependencies["postgresql"]
	if got.Calls != 4 || got.Errors != 1 { // a wrong statement is no failure of Postgres
		t.Errorf("counted %+v, want 4 calls and 1 error", got)
	}
}
