package chassis_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

// post sends a body as the operator does and returns status and body.
func (i *instance) post(path, token, body string) (int, string) {
	i.t.Helper()
	return i.send(http.MethodPost, path, token, body)
}

func (i *instance) send(method, path, token, body string) (int, string) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(serviceauth.Header, token)
	resp, err := client.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	if i.api != nil {
		err := i.api.Check(req, []byte(body), apitest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(answer)})
		if err != nil {
			i.t.Errorf("%s %s %s: %v", method, path, body, err)
		}
	}
	return resp.StatusCode, string(answer)
}

// admin is the instance by its admin port.
func (i *instance) admin() *instance {
	i.t.Helper()
	testkit.Eventually(i.t, 10*time.Second, func() string {
		if i.AdminAddr() == "" {
			return "does not listen"
		}
		return ""
	})
	return &instance{
		Chassis: i.Chassis, t: i.t, url: "http://" + i.AdminAddr(), api: apitest.OpenAPI(i.t, "../events/httpapi/operator.yaml"),
	}
}

// Whoever reaches the service's port does not reach what people do about events.
func TestOperatorsRoutesAreOnTheAdminPort(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	i := start(t, s.environ, func(ch *chassis.Chassis) {
		ch.Relay()
		consumes(ch, spoken, func(context.Context, *gorm.DB, string) error { return nil })
	})
	admin := i.admin()
	admin.api.Routes(t, i.AdminRoutes())
	for _, route := range i.AdminRoutes() {
		path := strings.Replace(route.Path, ":profile", "heap", 1)
		if status, body := i.send(route.Method, path, s.token(serviceauth.Operator), "{}"); path != "/docs" && path != "/openapi.yaml" && status != http.StatusNotFound {
			t.Errorf("%s %s on the service's port: %d %s", route.Method, path, status, body)
		}
		want, guarded := http.StatusOK, strings.HasPrefix(path, "/events/") || strings.HasPrefix(path, "/log/")
		if guarded {
			want = http.StatusUnauthorized
		}
		if status, body := admin.send(route.Method, path, "", "{}"); status != want {
			t.Errorf("%s %s on the admin port without a token: %d %s", route.Method, path, status, body)
		}
		if !guarded {
			continue
		}
		for _, caller := range []string{"gateway", "user-service", s.name} {
			if status, body := admin.send(route.Method, path, s.token(caller), "{}"); status != http.StatusForbidden {
				t.Errorf("%s %s on the admin port by %s: %d %s", route.Method, path, caller, status, body)
			}
		}
		_, body := admin.send(route.Method, path, s.token(serviceauth.Operator), "{}")
		if strings.Contains(body, "caller_not_allowed") || strings.Contains(body, "service_token") {
			t.Errorf("%s %s on the admin port by the operator: %s", route.Method, path, body)
		}
	}
}

// A service that hears its own events has both sides in one process.
func TestOperatorLooksAfterDeadLetters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	i := start(t, append(s.environ, "REGISTRY=redis"), func(ch *chassis.Chassis) {
		ch.Relay()
		consumes(ch, spoken, func(context.Context, *gorm.DB, string) error {
			return events.Permanent(errors.New("cannot be spoken"))
		})
	})
	ctx, span := i.Tracer.Start(t.Context(), "speak")
	defer span.End()
	err := i.DB.Transaction(func(tx *gorm.DB) error { return events.Publish(ctx, tx, spoken, "hello") })
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(serviceauth.Operator)
	testkit.Eventually(t, 10*time.Second, func() string {
		if got := i.admin().body("/events/parked?state=dead", token); !strings.Contains(got, `"error":"cannot be spoken"`) {
			return got
		}
		return ""
	})
	for line := range strings.Lines(i.log.String()) {
		if strings.Contains(line, "handler failed; event parked") && !strings.Contains(line, `"trace_id":"`) {
			t.Errorf("no trace in %s", line)
		}
	}
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/events/redrive", `{}`, 400, "nothing_selected"},
		{"/events/redrive", `{"id":"0199b7a2-0000-7000-8000-000000000000"}`, 404, "event_not_parked"},
		{"/events/redrive", `{"id":"00000000-0000-0000-0000-000000000000"}`, 400, "must be a UUID"},
		{"/events/discard", `{"id":"00000000-0000-0000-0000-000000000000","reason":"\u3164"}`, 400, "reason"},
		{"/events/redrive", `{"event":"word.spoken","all":true}`, 400, "nothing_selected"},
		{"/events/redrive", `{"event":"word.spoken"}`, 200, `"events":1`},
		{"/events/discard", `{"all":true}`, 400, "reason"},
		{"/events/discard", `{"all":true,"reason":"test"}`, 200, `"events":1`},
		{"/events/replay", `{"service":"` + s.name + `"}`, 400, "replay_from"},
		{"/events/replay", `{"service":"stranger","position":0}`, 422, "not_subscribed"},
		{"/events/replay", `{"service":"` + s.name + `","partition":"99","position":0}`, 422, "no_such_partition"},
		{"/events/replay", `{"service":"` + s.name + `","position":7}`, 422, "position_of_all"},
		{"/events/replay", `{"service":"` + s.name + `","since":"2020-01-01T00:00:00Z"}`, 200, `"events":1`},
		{"/events/pause", ``, 204, ""},
		{"/events/resume", ``, 204, ""},
	} {
		if status, body := i.admin().post(c.path, token, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, body)
		}
	}
	if got := i.admin().body("/events/status", token); !strings.Contains(got, `"paused":false`) {
		t.Error(got)
	}
	if status, _ := i.admin().post("/events/pause", s.token("stranger-service"), ""); status != http.StatusForbidden {
		t.Errorf("a stranger's pause: %d", status)
	}
}
