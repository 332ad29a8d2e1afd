// Package environment defines the running system that scenarios call.
package environment

import (
	"context"

	"github.com/go-troika/troika/contracts"
)

// Parts of an environment, as Kill names them.
const (
	User    = contracts.UserService
	Order   = contracts.OrderService
	Profile = contracts.ProfileService
	Redis   = "redis"
)

// Services are the parts that serve HTTP.
var Services = []string{User, Order, Profile}

// Instance is one running process of a service.
type Instance struct {
	URL   string // of the public port, as in http://127.0.0.1:8081
	Admin string // of the admin port
}

// Environment is a running system in which a test can call the services and inject
// faults. Its methods are safe for concurrent use, but for faults of the same part.
type Environment interface {
	// Name is local or docker.
	Name() string
	// Instances returns the instances of a service: [Replicas] of user-service,
	// one of the others. Their ports may differ after Start.
	Instances(service string) []Instance
	// Kill ends all instances of a part with SIGKILL. Its data stays.
	Kill(ctx context.Context, part string) error
	// Start starts a killed part and returns once it is ready.
	Start(ctx context.Context, part string) error
	// Wipe ends a part as Kill does and removes its data.
	Wipe(ctx context.Context, part string) error
	// Pause freezes a part until Resume.
	Pause(ctx context.Context, part string) error
	Resume(ctx context.Context, part string) error
	// Run runs a service's binary once, with this environment and nothing else,
	// and returns what it printed and its exit code.
	Run(ctx context.Context, service string, environ []string, args ...string) (string, int, error)
	// Logs returns what all instances of a part have written so far.
	Logs(ctx context.Context, part string) (string, error)
	// Close ends the system and removes everything.
	Close(ctx context.Context) error
}

// Keys is the folder with the keys of all callers (NAME.pem); "" if they share Secret. It is
// set by the environment that starts.
var Keys string

// Replicas is how many instances of user-service run.
const Replicas = 3

// Variables of every environment: the demo's secret, and a breaker that closes sooner
// than the default of 30 s, so that scenarios need not wait for it. At level debug every
// request and every event handled is logged.
const (
	Secret   = "troika-demo-secret-do-not-use-in-production"
	Cooldown = "1s"
	LogLevel = "debug"
)
