package serviceauth_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

func Example() {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{
		Secret: env.NewSecret(serviceauth.DemoSecret),
	}, "order-service", "development")
	if err != nil {
		fmt.Println(err)
		return
	}

	// order-service calls.
	token, err := serviceauth.NewSigner(keys, "order-service").Token("user-service")
	if err != nil {
		fmt.Println(err)
		return
	}
	request := http.Header{}
	request.Set(serviceauth.Header, token)

	// user-service is called.
	caller, err := serviceauth.NewVerifier(keys, "user-service").Verify(request)
	fmt.Println(caller, err)
	ctx := serviceauth.WithCaller(context.Background(), caller)
	fmt.Println("called by", serviceauth.Caller(ctx))

	// The token is worth nothing elsewhere.
	_, err = serviceauth.NewVerifier(keys, "billing-service").Verify(request)
	fmt.Println(err != nil)
	// Output:
	// order-service <nil>
	// called by order-service
	// true
}
