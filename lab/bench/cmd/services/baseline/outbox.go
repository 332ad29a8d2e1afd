package main

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const partitions = 4 // the services' default

const insertEvent = `INSERT INTO event_outbox (part, event_id, key, envelope) VALUES ($1, $2, $3, $4)`

type envelope struct {
	Event     string    `json:"event"`
	Data      any       `json:"data"`
	Timestamp time.Time `json:"timestamp"`
	Service   string    `json:"service"`
	ID        uuid.UUID `json:"id"`
	Key       string    `json:"key"`
	Version   int       `json:"version"`
}

// publish writes the outbox row, which no relay reads.
func publish(ctx context.Context, tx pgx.Tx, service, event string, about uuid.UUID, data any) error {
	e := envelope{event, data, time.Now().UTC(), service, uuid.Must(uuid.NewV7()), about.String(), 1}
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(e.Key))
	_, err = tx.Exec(ctx, insertEvent, int(h.Sum32()%partitions), e.ID, e.Key, string(raw))
	return err
}
