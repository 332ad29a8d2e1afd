package events_test

import (
	"context"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
)

// recordLater is record in one round trip with the commit.
func recordLater(_ context.Context, tx *gorm.DB, d deposit) error {
	return database.Later(tx, `INSERT INTO effects (account, n) VALUES ($1, $2)`, d.Account, d.N)
}

// What a handler left for later fails among others of the same transaction: only
// its own event is set aside, and what follows of its key waits.
func TestStatementForLaterFailsForItsOwnEvent(t *testing.T) {
	t.Parallel()
	cfg := events.DefaultConfig()
	cfg.Partitions = 1
	b := openFor(t, cfg)
	b.exec(b.to, `ALTER TABLE effects ADD CONSTRAINT no_third CHECK (account <> 'a' OR n <> 3)`)
	b.relay()
	b.publish("a", 1, 4)
	b.publish("b", 1, 3)
	b.publish("a", 5, 6)
	c := b.operated(recordLater)
	b.expect("b", 3)
	b.expect("a", 2)
	var blamed []string
	for _, p := range b.waitParked(c, "waiting", 4) {
		if strings.Contains(p.Error, "no_third") {
			blamed = append(blamed, p.Key)
		}
	}
	if len(blamed) != 1 || blamed[0] != "a" {
		t.Errorf("events of %v are said to have failed, want one of a", blamed)
	}

	b.exec(b.to, `ALTER TABLE effects DROP CONSTRAINT no_third`)
	if _, err := c.Redrive(t.Context(), events.Selection{}); err != nil {
		t.Fatal(err)
	}
	b.expect("a", 6)
	b.waitParked(c, "", 0)
}
