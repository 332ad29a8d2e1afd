package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

func Example() {
	users := breaker.New("user-service", breaker.Config{Failures: 2, Cooldown: 30 * time.Second})
	users.OnTransition(func(t breaker.Transition) { fmt.Println(t.Name, t.From, "→", t.To) })

	ctx := context.Background()
	for range 2 {
		err := users.Do(ctx, func(context.Context) error { return errors.New("connection refused") })
		fmt.Println(err)
	}

	err := users.Do(ctx, func(context.Context) error { panic("not reached") })
	if refusal, ok := errors.AsType[*breaker.OpenError](err); ok {
		fmt.Println("refused, ask again in half a minute:", refusal.RetryAfter > 29*time.Second)
	}
	// Output:
	// connection refused
	// user-service CLOSED → OPEN
	// connection refused
	// refused, ask again in half a minute: true
}
