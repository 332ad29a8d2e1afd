package registry_test

import (
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/registry"
)

func FuzzHealthAnswer(f *testing.F) {
	f.Add([]byte(`{"status":"healthy","service":"user-service"}`))
	f.Add([]byte(`{"service":7}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if name := registry.NamedService(body); len(name) > 3*len(body) {
			t.Errorf("a name of %d bytes out of %d", len(name), len(body))
		}
	})
}

func FuzzRedisEntries(f *testing.F) {
	f.Add("0 http://10.0.0.1:8081 up http://10.0.0.2:8081 gone")
	f.Add("-1 javascript:alert(1) up http://x up x")
	f.Fuzz(func(t *testing.T, reply string) {
		flat := strings.Split(reply, " ")
		if live, gone := registry.ParseEntries(user, flat); (live+gone)*2 > len(flat) {
			t.Errorf("%d instances out of %d strings", live+gone, len(flat))
		}
	})
}
