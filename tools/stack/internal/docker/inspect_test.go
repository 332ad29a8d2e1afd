package docker_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

const inspected = `[
{"Id":"a1","State":{"Status":"running","Pid":7,"StartedAt":"2026-01-01T10:00:00Z",
  "Health":{"Status":"healthy","Log":[
   {"End":"2026-01-01T10:00:00.2Z","ExitCode":1},{"End":"2026-01-01T10:00:00.7Z","ExitCode":0}]}},
 "Config":{"Labels":{"com.docker.compose.service":"user-service","com.docker.compose.container-number":"1"}},
 "NetworkSettings":{"Ports":{"8081/tcp":null}}},
{"Id":"a2","State":{"Status":"paused","Pid":8,"StartedAt":"2026-01-01T10:00:00Z"},
 "Config":{"Labels":{"com.docker.compose.service":"user-service","com.docker.compose.container-number":"2"}}},
{"Id":"m","State":{"Status":"exited","ExitCode":0},
 "Config":{"Labels":{"com.docker.compose.service":"user-service-migrate"}}},
{"Id":"k","State":{"Status":"exited","ExitCode":137},
 "Config":{"Labels":{"com.docker.compose.service":"user-service-db"}}},
{"Id":"d","State":{"Status":"running","Pid":9,"StartedAt":"2026-01-01T10:00:01Z","Health":{"Status":"starting"}},
 "Config":{"Labels":{"com.docker.compose.service":"load-balancer"}},
 "NetworkSettings":{"Ports":{"8081/tcp":[{"HostIp":"127.0.0.1","HostPort":"21234"}]}}}
]`

func TestParseInspect(t *testing.T) {
	t.Parallel()
	services := []checkout.Service{{Name: "user-service", Port: 8081}}
	now := time.Date(2026, 1, 1, 10, 0, 5, 0, time.UTC)
	parts, err := docker.ParseInspect([]byte(inspected), services, now)
	if err != nil {
		t.Fatal(err)
	}
	const url = "http://127.0.0.1:21234"
	want := []stack.Part{
		{Name: "load-balancer", Container: "d", Service: "load-balancer", State: stack.Starting, PID: 9, UptimeMS: 4000},
		{Name: "user-service-1", Container: "a1", Service: "user-service", State: stack.Ready, PID: 7,
			Port: 21234, URL: url, UptimeMS: 5000, ReadyMS: 700},
		{Name: "user-service-2", Container: "a2", Service: "user-service", State: stack.Paused, PID: 8,
			Port: 21234, URL: url},
		{Name: "user-service-db", Container: "k", Service: "user-service-db", State: stack.Exited, Detail: "exit status 137"},
		{Name: "user-service-migrate", Container: "m", Service: "user-service-migrate", State: stack.Exited,
			Detail: "done, exit status 0"},
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func FuzzParseInspect(f *testing.F) {
	f.Add([]byte(inspected))
	f.Fuzz(func(t *testing.T, text []byte) {
		parts, err := docker.ParseInspect(text, nil, time.Now())
		if err != nil && parts != nil {
			t.Error("parts beside an error")
		}
	})
}
