package events

import (
	"embed"
	"io/fs"

	"github.com/go-troika/troika/pkg/database"
)

// Config is what operators may set.
type Config struct {
	// Partitions is the number of partitions of a service's events: how many
	// consumers of one group can work at once. It must be the same in every
	// service, and changing it gives keys new partitions: drain first.
	Partitions int `env:"EVENT_PARTITIONS" envDefault:"4" validate:"min=1,max=256"`
	// Workers is the most events a consumer handles at the same time, each
	// with a database connection besides the pool that serves requests.
	Workers int `env:"EVENT_WORKERS" envDefault:"4" validate:"min=1,max=64"`
	// LogDays is how many whole days the log keeps events besides today: how far
	// back a replay can go, and how long a subscriber may be away.
	LogDays int `env:"EVENT_LOG_DAYS" envDefault:"7" validate:"min=1,max=3650"`
	// StreamCap is the most entries a partition's stream holds in Redis. Below
	// it, only what every group has acknowledged is trimmed.
	StreamCap int64 `env:"EVENT_STREAM_CAP" envDefault:"1000000" validate:"min=1000"`
}

// DefaultConfig is the Config of an empty environment.
func DefaultConfig() Config {
	return Config{Partitions: 4, Workers: 4, LogDays: 7, StreamCap: 1_000_000}
}

//go:embed migrations/*.sql
var migrations embed.FS

// Schema holds the tables of this package, which a publishing or consuming
// service's database must have.
func Schema() database.Schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return database.Schema{Table: "event_schema_version", Files: files}
}
