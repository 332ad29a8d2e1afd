// Package config declares the environment variables of user-service.
package config

import (
	"crypto/ed25519"
	"slices"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/userauth"
)

// Config is the configuration; .env.example lists the variables with their defaults.
type Config struct {
	Chassis  chassis.Config
	Services contracts.ServiceURLs
	// TokenKey holds the Ed25519 keys of access tokens, PKCS #8 in PEM. The first signs; the
	// public halves of all are published.
	TokenKey env.Secret `env:"USER_TOKEN_KEY"`
}

// Validate checks TokenKey.
func (c Config) Validate() error {
	_, _, err := c.TokenKeys()
	return err
}

// demoSeed is the seed of the demo's key, which is public.
const demoSeed = "troika demo key, not for real use"

// TokenKeys returns the key that signs access tokens, and the keys that verify them. In
// development and test without USER_TOKEN_KEY it is the demo's, which is refused elsewhere.
func (c Config) TokenKeys() (signing ed25519.PrivateKey, all userauth.KeySet, err error) {
	demo := ed25519.NewKeyFromSeed([]byte(demoSeed)[:ed25519.SeedSize])
	text := c.TokenKey.Reveal()
	switch {
	case text == "" && c.Chassis.IsDemo():
		return demo, keySet(demo), nil
	case text == "":
		return nil, nil, env.Invalid("USER_TOKEN_KEY", "is required")
	}
	keys, err := serviceauth.PrivateKeys(text)
	if err != nil {
		return nil, nil, env.Invalid("USER_TOKEN_KEY", "%v", err)
	}
	if !c.Chassis.IsDemo() && slices.ContainsFunc(keys, func(k ed25519.PrivateKey) bool { return k.Equal(demo) }) {
		return nil, nil, env.Invalid("USER_TOKEN_KEY", "is the demo's, which is public")
	}
	return keys[0], keySet(keys...), nil
}

func keySet(keys ...ed25519.PrivateKey) userauth.KeySet {
	public := make([]ed25519.PublicKey, len(keys))
	for i, k := range keys {
		public[i] = k.Public().(ed25519.PublicKey)
	}
	return userauth.NewKeySet(public...)
}

// Base implements [chassis.Configuration].
func (c Config) Base() chassis.Config {
	c.Chassis.Registry.URLs = c.Services.URLs()
	return c.Chassis
}

// Defaults are this service's own defaults of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=user-service",
	"PORT=8081",
	"ADMIN_PORT=9081",
	"DB_USER=user_service",
}
