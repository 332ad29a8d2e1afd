package env_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-troika/troika/pkg/env"
)

type ServerConfig struct {
	Port    int           `env:"PORT" envDefault:"8081" validate:"min=1,max=65535"`
	Timeout time.Duration `env:"TIMEOUT" envDefault:"5s"`
	Idle    time.Duration `env:"IDLE" envDefault:"75s"`
	Token   env.Secret    `env:"TOKEN" validate:"required"`
}

func (c ServerConfig) Validate() error {
	if c.Idle < c.Timeout {
		return env.Invalid("IDLE", "is shorter than TIMEOUT (%v)", c.Timeout)
	}
	return nil
}

func ExampleLoad() {
	cfg, err := env.Load[ServerConfig]([]string{"PORT=9000", "TOKEN=hunter2"})
	fmt.Println(cfg, err)
	// Output: {9000 5s 1m15s [redacted]} <nil>
}

func ExampleLoad_problems() {
	_, err := env.Load[ServerConfig]([]string{"PORT=99999", "TIMEOUT=5", "IDLE=-1s"})
	fmt.Println(err)

	if all, ok := errors.AsType[*env.Error](err); ok {
		fmt.Println(len(all.Problems), "problems")
	}
	// Output:
	// IDLE: is shorter than TIMEOUT (5s)
	// PORT: must be at most 65535
	// TIMEOUT: "5" is not a duration such as 500ms or 30s
	// TOKEN: is required
	// 4 problems
}
