// Package models contains the tables of order-service: columns, queries and migrations.
package models

import (
	"embed"
	"io/fs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the service's migrations, oldest first by name (pressly/goose).
var Schema, _ = fs.Sub(migrations, "migrations") // the error is about a malformed literal
