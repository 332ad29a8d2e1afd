package events

import (
	"embed"
	"io/fs"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/tracing"
)

// Config is read from the environment.
type Config struct {
	// LogDays is how long the log keeps events: how far back a replay can go,
	// and how long a subscriber may be away.
	LogDays int `env:"EVENT_LOG_DAYS" envDefault:"7" validate:"min=1,max=3650"`
	// StreamCap is about the number of entries that a part's stream holds in
	// Redis. What is older comes from the log, which always keeps as many.
	StreamCap int64 `env:"EVENT_STREAM_CAP" envDefault:"10000" validate:"min=100,max=1000000"`
	// Retries is the number of parked events that a consumer tries at the same
	// time.
	Retries int `env:"EVENT_RETRIES" envDefault:"4" validate:"min=1,max=64"`
}

// Deps are the log, metrics and tracer of relay and consumer.
type Deps struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Tracer  *tracing.Tracer
}

//go:embed migrations/*.sql
var migrations embed.FS

// Schema returns the tables of this package, which the database of a publishing
// or consuming service must have.
func Schema() database.Schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return database.Schema{Table: "event_schema_version", Files: files}
}
