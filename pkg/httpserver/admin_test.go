package httpserver_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/metrics"
)

func TestAdmin(t *testing.T) {
	m := metrics.New("user-service")
	admin := httpserver.NewAdmin("127.0.0.1:0", m, map[string]http.Handler{
		"POST /events/redrive": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }),
	})
	if err := admin.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.Run(ctx) }()

	url := "http://" + admin.Addr()
	for path, want := range map[string]string{
		"/metrics":                       `target_info{service_name="user-service"} 1`,
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d without %q", path, resp.StatusCode, want)
		}
	}
	resp, err := http.Post(url+"/events/redrive", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("extra handler: %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
