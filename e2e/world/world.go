// Package world gives the scenarios a running system, whatever it runs on.
package world

import (
	"context"

	"github.com/go-troika/troika/contracts"
)

// Parts of a world, as Kill and its kin name them.
const (
	User    = contracts.UserService
	Order   = contracts.OrderService
	Profile = contracts.ProfileService
	Redis   = "redis"
)

// Services are the parts that answer HTTP.
var Services = []string{User, Order, Profile}

// Instance is one running process of a service.
type Instance struct {
	URL   string // of the public port, as in http://127.0.0.1:8081
	Admin string // of the admin port
}

// World is a running system that a test can call and harm. Its methods may be
// used from several goroutines, but harm to one part must not overlap.
type World interface {
	// Name is local or docker.
	Name() string
	// Instances returns the instances of a service: [Replicas] of user-service,
	// one of the others. Their ports may differ after Start.
	Instances(service string) []Instance
	// Kill ends all instances of a part as kill -9 does. Its data stays.
	Kill(ctx context.Context, part string) error
	// Start brings a killed part back and returns once it is ready.
	Start(ctx context.Context, part string) error
	// Wipe ends a part as Kill does and takes its data away.
	Wipe(ctx context.Context, part string) error
	// Pause freezes a part in the middle of what it does, until Resume.
	Pause(ctx context.Context, part string) error
	Resume(ctx context.Context, part string) error
	// Run runs a service's binary once, with this environment and nothing else,
	// and returns what it printed and its exit code.
	Run(ctx context.Context, service string, environ []string, args ...string) (string, int, error)
	// Logs returns what all instances of a part have written so far.
	Logs(ctx context.Context, part string) (string, error)
	// Close ends the world and leaves nothing behind.
	Close(ctx context.Context) error
}

// Replicas is how many instances of user-service every world runs.
const Replicas = 3

// Environment of every world: the demo's secret, and a breaker that closes
// sooner than the default of 30 s, so that scenarios need not wait for it. At
// level debug every request and every event handled is logged.
const (
	Secret   = "troika-demo-secret-do-not-use-in-production"
	Cooldown = "1s"
	LogLevel = "debug"
)
