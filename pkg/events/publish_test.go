package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestPublishOutsideTransactionIsRefused(t *testing.T) {
	b := setup(t)
	err := events.Publish(t.Context(), b.from.Gorm, deposited, deposit{"a", 1})
	if !errors.Is(err, events.ErrNoTransaction) {
		t.Errorf("got %v, want ErrNoTransaction", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	b := setup(t)
	kind := func(source, key string) events.Type[string] {
		return events.NewType(source, "novel.written", 1, func(string) string { return key })
	}
	for _, c := range []struct {
		name    string
		kind    events.Type[string]
		payload string
		want    error
	}{
		{"another service's type", kind("somebody", "k"), "x", events.ErrForeignType},
		{"an event over 256 KiB", kind(publisher, "k"), strings.Repeat("x", events.MaxEnvelope), events.ErrTooLarge},
		{"a key over 512 bytes", kind(publisher, strings.Repeat("k", events.MaxKey+1)), "x", events.ErrTooLarge},
	} {
		err := b.from.Gorm.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, c.kind, c.payload) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if got := testkit.Published(t, b.from); len(got) != 0 {
		t.Errorf("published all the same: %v", got)
	}
}

// The largest event and the longest key arrive, also if they fail at first.
func TestLargestEventAndLongestKey(t *testing.T) {
	b := setup(t)
	b.relay()
	type novel struct{ Key, Text string }
	written := events.NewType(publisher, "novel.written", 1, func(n novel) string { return n.Key })
	s := events.NewSubscriptions()
	events.On(s, written, func(ctx context.Context, tx *gorm.DB, n novel) error {
		if m, _ := events.FromContext(ctx); m.Attempt == 1 {
			return errors.New("not at first")
		}
		return tx.Exec(`INSERT INTO effects (account, n) VALUES (left(?, 1), ?)`, n.Key, len(n.Text)).Error
	})
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	text := strings.Repeat("x", 250<<10)
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, written, novel{strings.Repeat("k", events.MaxKey), text})
	})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, limit, func() string {
		if got := b.effects("k"); len(got) != 1 || got[0] != len(text) {
			return "not there"
		}
		return ""
	})
}

func TestHandlerGetsMetadata(t *testing.T) {
	b := setup(t)
	b.relay()
	seen := make(chan events.Meta, 1)
	b.consume(func(ctx context.Context, _ *gorm.DB, _ deposit) error {
		m, ok := events.FromContext(ctx)
		if !ok {
			t.Error("no event in the handler's context")
		}
		seen <- m
		return nil
	})
	b.publish("a", 1, 1)
	m := <-seen
	want := testkit.Published(t, b.from)[0]
	if m.ID != want.ID || m.Key != "a" || m.Attempt != 1 || !m.Published.Equal(want.Timestamp) {
		t.Errorf("got %+v for %+v", m, want)
	}
}

// The golden file is the envelope as other programs may read it.
func TestEnvelopeGolden(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "envelope.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.ParseEnvelope(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Envelope{
		Event: "deposit.made", Data: json.RawMessage(`{"account":"a","n":1}`), Service: publisher, Key: "a", Version: 1,
		Timestamp: time.Date(2026, 1, 31, 10, 0, 0, 123456000, time.UTC), ID: uuid.MustParse("0199aa3e-7c00-7000-8000-00000000000b"),
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Tracestate: "vendor=1",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("envelope read (-want +got):\n%s", diff)
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), strings.TrimSpace(string(golden)); got != want {
		t.Errorf("envelope written:\n got %s\nwant %s", got, want)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(`{"event":"a","data":{},"id":"0199aa3e-7c00-7000-8000-00000000000b","version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := events.ParseEnvelope(data)
		if err == nil && (e.ID == uuid.Nil || e.Event == "" || e.Version < 1 || len(e.Data) == 0) {
			t.Errorf("accepted %s", data)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add("0-1", "5", "4", "{}")
	f.Fuzz(func(t *testing.T, id, mark, prev, envelope string) {
		e, ok := events.DecodeEntry(id, map[string]any{"m": mark, "p": prev, "e": envelope})
		if ok && (e.Pos < 1 || len(e.Envelope) > events.MaxEntry) {
			t.Errorf("accepted %s: %+v", id, e.Position)
		}
	})
}
