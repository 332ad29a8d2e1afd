package serviceclient_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceclient"
)

func Example() {
	users := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/users/1" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"No such user","code":"user_not_found"}`)
			return
		}
		fmt.Fprint(w, `{"id":"1","name":"Ann"}`)
	}))
	defer users.Close()
	reg, err := registry.New(registry.Config{URLs: map[string]string{"user-service": users.URL}}, registry.Deps{})
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := serviceclient.NewTransport()
	defer transport.CloseIdleConnections()
	client := serviceclient.New("user-service", serviceclient.Config{}, serviceclient.Deps{
		Service: "order-service", Registry: reg, Transport: transport,
	})

	type user struct{ ID, Name string }
	ann, err := serviceclient.Get[user](context.Background(), client, "/users/1")
	fmt.Println(ann.Name, err)

	_, err = serviceclient.Get[user](context.Background(), client, "/users/2")
	fmt.Println(serviceclient.StatusOf(err), err)
	// Output:
	// Ann <nil>
	// 404 GET user-service/users/2: status 404 user_not_found No such user
}
