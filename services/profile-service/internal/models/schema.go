// Package models holds profile-service's rows: their columns, the queries on them
// and the migrations that make their tables.
package models

import (
	"embed"
	"io/fs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the service's migrations, oldest first by name (pressly/goose).
var Schema, _ = fs.Sub(migrations, "migrations") // the error is about a malformed literal
