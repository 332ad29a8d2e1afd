package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/go-troika/troika/contracts/contractstest"
	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

// transport checks every request and response of a scenario against the OpenAPI document
// of the service that sends the response.
type transport struct {
	*http.Transport
	t         *testing.T
	documents map[string]*apitest.API // by service
	admin     *apitest.API
}

func documented(t *testing.T, next *http.Transport) transport {
	t.Helper()
	documents := map[string]*apitest.API{}
	for _, service := range environment.Services {
		documents[service] = apitest.OpenAPI(t, "../services/"+service+"/openapi.yaml")
	}
	return transport{next, t, documents, apitest.OpenAPI(t, "../pkg/events/httpapi/operator.yaml")}
}

// RoundTrip implements [http.RoundTripper].
func (d transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if sent, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	resp, err := d.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	d.check(r, sent, apitest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)})
	return resp, nil
}

func (d transport) check(r *http.Request, sent []byte, answer apitest.Answer) {
	name := answer.Header.Get("X-Service-Name")
	document := d.documents[name]
	if r.URL.Path == "/metrics" {
		document = d.admin
	}
	if document == nil {
		d.t.Errorf("%s %s: %d of an unknown service %q: %.300s", r.Method, r.URL, answer.Status, name, answer.Body)
		return
	}
	if err := document.Check(r, sent, answer); err != nil {
		d.t.Errorf("%s %s of %s: %v", r.Method, r.URL, name, err)
	}
}

// TestEventsFollowTheirSchemas reads the events of all scenarios from the log, as consumers
// do. That checks them.
func TestEventsFollowTheirSchemas(t *testing.T) {
	shared(t, func(b *bundle) {
		user := b.register()
		order := b.place(user.ID)
		b.complete(order.ID)
		b.do(environment.User, http.MethodPatch, "/users/"+user.ID, map[string]string{"name": client.Unique("grace")})
		b.do(environment.User, http.MethodDelete, "/users/"+user.ID, nil)
		for _, want := range []struct{ service, event, key string }{
			{environment.User, "user.created", user.ID},
			{environment.User, "user.updated", user.ID},
			{environment.User, "user.deleted", user.ID},
			{environment.Order, "order.created", order.ID},
			{environment.Order, "order.completed", order.ID},
		} {
			eventually(b, soon, func() error { return b.published(want.service, want.event, want.key) })
		}
	})
}

// eventLog returns the events in a service's log. It fails the test for one that its schema
// does not allow.
func (b *bundle) eventLog(service string) []events.Envelope {
	b.Helper()
	var all []events.Envelope
	asked := b.do(service, http.MethodPost, "/events/log/ask", map[string]any{"questions": []any{}})
	for _, part := range decode[struct{ Parts []events.Part }](b, asked, http.StatusOK).Parts {
		for after, end := part.Base.Pos, false; !end; {
			path := fmt.Sprintf("/events/log?part=%d&after=%d", part.Number, after)
			page := decode[events.Page](b, b.do(service, http.MethodGet, path, nil), http.StatusOK)
			for _, record := range page.Records {
				event, err := events.ParseEnvelope([]byte(record.Envelope))
				b.must(err)
				contractstest.Check(b, event)
				all, after = append(all, event), record.Pos
			}
			end = len(page.Records) == 0
		}
	}
	return all
}
