package registry_test

import (
	"fmt"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/registry"
)

func Example() {
	r, err := registry.New(registry.Config{
		URLs: map[string]string{"user-service": "http://10.0.0.1:8081"},
	}, registry.Deps{})
	if err != nil {
		fmt.Println(err)
		return
	}
	url, err := r.GetService("user-service")
	fmt.Println(url, err)
	_, err = r.GetService("order-service")
	fmt.Println(err)
	// Output:
	// http://10.0.0.1:8081 <nil>
	// service order-service not available
}

// A caller that reports how its calls went is kept away from instances that fail or are slow.
func ExampleRegistry_Pick() {
	r, err := registry.New(registry.Config{}, registry.Deps{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := r.Register("user-service", "http://10.0.0.1:8081"); err != nil {
		fmt.Println(err)
		return
	}
	lease, err := r.Pick("user-service")
	if err != nil {
		fmt.Println(err)
		return
	}
	began := time.Now()
	// ... call lease.URL ...
	lease.Done(breaker.Success, time.Since(began))
	fmt.Println(lease.URL)
	// Output: http://10.0.0.1:8081
}
