package fault_test

import (
	"errors"
	"fmt"

	"github.com/go-troika/troika/pkg/fault"
)

var ErrUserNotFound = fault.New(fault.NotFound, "user_not_found", "User not found")

func Example() {
	// Deep inside, an expected outcome gets its cause and is wrapped on the way up.
	err := fmt.Errorf("place order: %w", ErrUserNotFound.With(errors.New("select: no rows")))

	// At the edge, one place turns it into an answer.
	f := fault.From(err)
	fmt.Println(f.Kind().Status(), f.Code(), f.Message())
	fmt.Println("log:", err)

	// What is not a fault stays inside.
	fmt.Println(fault.From(errors.New("disk full")).Message())
	// Output:
	// 404 user_not_found User not found
	// log: place order: User not found: select: no rows
	// Internal server error
}
