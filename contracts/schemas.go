package contracts

import "embed"

// Schemas are the JSON Schemas (2020-12) of the payloads, by event and version:
// "schemas/user.created.1.json". A schema allows additional fields.
//
//go:embed schemas
var Schemas embed.FS
