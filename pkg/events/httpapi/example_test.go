package httpapi_test

import (
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/httpapi"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// A producer serves its log to other services.
func ExampleServeLog() {
	_ = func(server *httpserver.Server, log *postgres.Log) {
		httpapi.ServeLog(server, log)
	}
	// Output:
}

// A consumer reads the logs of its producers, with one client for each.
func ExampleReader() {
	_ = func(clients map[string]*serviceclient.Client) events.Source {
		return httpapi.Reader{Client: func(producer string) *serviceclient.Client { return clients[producer] }}
	}
	// Output:
}
