package events_test

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
)

type word struct {
	Text string `json:"text"`
}

// The key of an event is what it concerns: events of one key arrive in order.
var wordSpoken = events.NewType("word-service", "word.spoken", 1, func(w word) string { return w.Text })

// A producer publishes in the transaction that makes the event true.
func ExamplePublish() {
	speak := func(ctx context.Context, db *gorm.DB, w word) error {
		return database.Transaction(ctx, db, func(tx *gorm.DB) error {
			return events.Publish(ctx, tx, wordSpoken, w)
		})
	}
	_ = speak
	fmt.Println(wordSpoken.Source(), "publishes", wordSpoken.Name())
	// Output: word-service publishes word.spoken
}

// A consumer's handler runs in the transaction that records the delivery.
func ExampleOn() {
	s := events.NewSubscriptions()
	events.On(s, wordSpoken, func(ctx context.Context, tx *gorm.DB, w word) error {
		return tx.Exec(`INSERT INTO heard VALUES (?)`, w.Text).Error
	})
	fmt.Println(s.Sources())
	// Output: [word-service]
}
