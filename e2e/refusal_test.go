package e2e_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

func TestTokensAreRefused(t *testing.T) {
	shared(t, func(b *bundle) {
		good := client.Good(client.Caller, environment.User)
		signed := good.Sign(client.Caller)
		none := client.Claims{"alg": "none", "typ": "JWT"}
		now := time.Now()
		expired := good.With("iat", now.Add(-2*time.Hour).Unix()).With("exp", now.Add(-time.Hour).Unix())
		for _, row := range []struct{ name, token, text string }{
			{"missing", "", "Service token required"},
			{"not a token", "not-a-token", "Invalid service token"},
			{"another secret", good.SignAs(client.Claims{"alg": "HS256"}, sha256.New, strings.Repeat("x", 32)),
				"Invalid service token"},
			{"altered signature", signed[:len(signed)-2] + swap(signed[len(signed)-2:]), "Invalid service token"},
			{"stripped signature", signed[:strings.LastIndex(signed, ".")+1], "Invalid service token"},
			{"alg none", good.SignAs(none, sha512.New, environment.Secret), "Invalid service token"},
			{"HS512 with the right secret", good.SignAs(client.Claims{"alg": "HS512"}, sha512.New, environment.Secret),
				"Invalid service token"},
			{"for another service", client.Good(client.Caller, environment.Order).Sign(client.Caller),
				"Invalid service token"},
			{"issuer is not the service", good.With("iss", "order-service").Sign(client.Caller), "Invalid service token"},
			{"no service", good.With("service", nil).Sign(client.Caller), "Invalid service token"},
			{"no end", good.With("exp", nil).Sign(client.Caller), "Invalid service token"},
			{"past its end", expired.Sign(client.Caller), "Invalid service token"},
			{"ten years of life", good.With("exp", now.AddDate(10, 0, 0).Unix()).Sign(client.Caller),
				"Invalid service token"},
		} {
			a := b.do(environment.User, http.MethodGet, "/users", nil, client.Header("X-Service-Token", row.token))
			b.isProblem(row.name, a, http.StatusUnauthorized, row.text)
		}
		for _, caller := range []string{environment.Order, environment.Profile} {
			token := client.Good(caller, environment.User).Sign(caller)
			a := b.do(environment.User, http.MethodGet, "/users", nil, client.Header("X-Service-Token", token))
			b.isProblem("caller "+caller, a, http.StatusForbidden, "Caller not allowed")
		}
	})
}

// swap returns two other characters of base64.
func swap(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, s)
}

// isProblem checks that a response is the error body of RFC 9457 with the system's
// fields, and that it does not show internals.
func (b *bundle) isProblem(name string, a client.Response, status int, text string) {
	b.Helper()
	if a.Status != status {
		b.Errorf("%s: status %d, want %d: %.300s", name, a.Status, status, a.Body)
		return
	}
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		b.Errorf("%s: Content-Type %q", name, kind)
	}
	p, err := client.Parse[problem](a)
	if err != nil {
		b.Errorf("%s: %v", name, err)
		return
	}
	if p.Status != status || p.Error == "" || p.Type == "" || p.Title == "" || p.Code == "" {
		b.Errorf("%s: incomplete problem %s", name, a.Body)
	}
	if text != "" && p.Error != text {
		b.Errorf("%s: error %q, want %q", name, p.Error, text)
	}
	if p.TraceID == "" || p.TraceID != a.Header.Get("X-Trace-ID") || p.RequestID != a.Header.Get("X-Request-ID") {
		b.Errorf("%s: trace %q and request %q differ from the headers %q and %q", name,
			p.TraceID, p.RequestID, a.Header.Get("X-Trace-ID"), a.Header.Get("X-Request-ID"))
	}
	for _, inside := range []string{".go:", "goroutine", "SQLSTATE", "json:", "gorm", "pgx"} {
		if strings.Contains(string(a.Body), inside) {
			b.Errorf("%s: the body shows internals (%s): %s", name, inside, a.Body)
		}
	}
}

func TestBadInput(t *testing.T) {
	const user = `{"email":"a@example.com","name":"A"}`
	const order = `"userId":"0199aa3e-7c00-7000-8000-000000000001"`
	const item = `"items":[{"sku":"s","quantity":1,"unitPrice":1}]`
	unknown := "/users/0199aa3e-7c00-7000-8000-00000000ffff"
	plain := client.Header("Content-Type", "text/plain")
	shared(t, func(b *bundle) {
		for _, row := range []struct {
			name, service, method, path, body string
			status                            int
			changes                           []client.Change
		}{
			{"no body", environment.User, "POST", "/users", "", 400, nil},
			{"cut off", environment.User, "POST", "/users", user[:20], 400, nil},
			{"not an object", environment.User, "POST", "/users", `[` + user + `]`, 400, nil},
			{"null", environment.User, "POST", "/users", `null`, 400, nil},
			{"trailing data", environment.User, "POST", "/users", user + `{}`, 400, nil},
			{"unknown key", environment.User, "POST", "/users", `{"email":"a@example.com","name":"A","admin":true}`, 400, nil},
			{"duplicate key", environment.User, "POST", "/users", `{"email":"a@example.com","name":"A","name":"B"}`, 400, nil},
			{"wrong-case key", environment.User, "POST", "/users", `{"Email":"a@example.com","name":"A"}`, 400, nil},
			{"wrong type", environment.User, "POST", "/users", `{"email":"a@example.com","name":7}`, 400, nil},
			{"NUL in a string", environment.User, "POST", "/users", `{"email":"a@example.com","name":"A\u0000"}`, 400, nil},
			{"not UTF-8", environment.User, "POST", "/users", "{\"email\":\"a@example.com\",\"name\":\"\xff\"}", 400, nil},
			{"absurd depth", environment.User, "POST", "/users", strings.Repeat("[", 100_000), 400, nil},
			{"email without a domain", environment.User, "POST", "/users", `{"email":"a","name":"A"}`, 400, nil},
			{"plain text", environment.User, "POST", "/users", user, 415, []client.Change{plain}},
			{"no content type", environment.User, "POST", "/users", user, 415,
				[]client.Change{client.Header("Content-Type", "")}},
			{"over 1 MiB", environment.User, "POST", "/users", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, nil},
			{"id is no UUID", environment.User, "GET", "/users/7", "", 400, nil},
			{"unknown user", environment.User, "GET", unknown, "", 404, nil},
			{"unknown path", environment.User, "GET", "/unknown", "", 404, nil},
			{"wrong method", environment.User, "PUT", "/users", user, 405, nil},
			{"limit 0", environment.User, "GET", "/users?limit=0", "", 400, nil},
			{"limit 101", environment.User, "GET", "/users?limit=101", "", 400, nil},
			{"limit in words", environment.Profile, "GET", "/profiles?limit=ten", "", 400, nil},
			{"foreign cursor", environment.Profile, "GET", "/profiles?cursor=unknown", "", 400, nil},
			{"unknown parameter", environment.Order, "GET", "/orders?colour=red", "", 400, nil},
			{"unknown status", environment.Order, "GET", "/orders?status=lost", "", 400, nil},
			{"no items", environment.Order, "POST", "/orders", `{` + order + `,"items":[]}`, 400, nil},
			{"quantity 0", environment.Order, "POST", "/orders",
				`{` + order + `,"items":[{"sku":"s","quantity":0,"unitPrice":1}]}`, 400, nil},
			{"negative price", environment.Order, "POST", "/orders",
				`{` + order + `,"items":[{"sku":"s","quantity":1,"unitPrice":-1}]}`, 400, nil},
			{"fraction of a cent", environment.Order, "POST", "/orders",
				`{` + order + `,"items":[{"sku":"s","quantity":1,"unitPrice":0.5}]}`, 400, nil},
			{"no such currency form", environment.Order, "POST", "/orders", `{` + order + `,"currency":"dollars",` + item + `}`,
				400, nil},
			{"order of an unknown user", environment.Order, "POST", "/orders", `{` + order + `,` + item + `}`, 422, nil},
			{"unknown order", environment.Order, "POST", "/orders/0199aa3e-7c00-7000-8000-00000000ffff/complete", "", 404, nil},
			{"avatar that is no URL", environment.Profile, "PATCH", "/profiles/0199aa3e-7c00-7000-8000-00000000ffff",
				`{"avatarUrl":"javascript:alert(1)"}`, 400, nil},
		} {
			var body any
			if row.method != http.MethodGet {
				body = []byte(row.body)
			}
			a := b.do(row.service, row.method, row.path, body, row.changes...)
			b.isProblem(row.name, a, row.status, "")
		}
	})
}

func TestConflictingRequests(t *testing.T) {
	shared(t, func(b *bundle) {
		body := client.NewUser()
		user := decode[client.User](b, b.do(environment.User, http.MethodPost, "/users", body), http.StatusCreated)
		b.isProblem("taken email", b.do(environment.User, http.MethodPost, "/users", body), http.StatusConflict, "")

		order := b.place(user.ID)
		cancel := "/orders/" + order.ID + "/cancel"
		for range 2 { // the second changes nothing and returns the same
			r := b.do(environment.Order, http.MethodPost, cancel, nil)
			if got := decode[client.Order](b, r, http.StatusOK); got.Status != "cancelled" {
				b.Errorf("cancelled order is %+v", got)
			}
		}
		complete := b.do(environment.Order, http.MethodPost, "/orders/"+order.ID+"/complete", nil)
		b.isProblem("completing a cancelled order", complete, http.StatusConflict, "")
	})
}

func TestOneAnswerListsAllInvalidFields(t *testing.T) {
	shared(t, func(b *bundle) {
		a := b.do(environment.Order, http.MethodPost, "/orders", map[string]any{
			"userId": "someone", "currency": "dollars", "colour": "red",
			"items": []map[string]any{{"sku": "", "quantity": 0, "unitPrice": 1}},
		})
		b.isProblem("five problems", a, http.StatusBadRequest, "")
		p, err := client.Parse[problem](a)
		b.must(err)
		fields := map[string]bool{}
		for _, f := range p.Errors {
			fields[f.Field] = true
		}
		for _, want := range []string{"userId", "currency", "colour", "items[0].sku", "items[0].quantity"} {
			if !fields[want] {
				b.Errorf("%s is not listed: %s", want, a.Body)
			}
		}
	})
}

func TestFiveMistakesInTheConfiguration(t *testing.T) {
	shared(t, func(b *bundle) {
		const secret = "short-and-private"
		for _, service := range environment.Services {
			text, code, err := b.env.Run(b.Context(), service, []string{
				"SERVICE_NAME=" + service, "APP_ENV=production", "DB_HOST=127.0.0.1", "DB_PORT=5432", "DB_USER=u", "DB_PASSWORD=p",
				"REDIS_URL=redis://u:p@127.0.0.1:6379", "ADMIN_PORT=9999",
				"PORT=none", "DB_POOL_MAX=-1", "LOG_LEVEL=loud", "REGISTRY=zookeeper", "SERVICE_SECRET=" + secret,
			})
			b.must(err)
			lines := strings.Split(strings.TrimSpace(text), "\n")
			want := []string{"PORT", "DB_POOL_MAX", "LOG_LEVEL", "REGISTRY", "SERVICE_SECRET"}
			if service == environment.User {
				want = append(want, "USER_TOKEN_KEY") // has no default in production
			}
			if code != 2 || len(lines) != len(want) {
				b.Errorf("%s: exit code %d and %d lines, want 2 and %d:\n%s", service, code, len(lines), len(want), text)
			}
			for _, variable := range want {
				if !strings.Contains("\n"+text, "\n"+variable+":") {
					b.Errorf("%s: no line begins with %s:\n%s", service, variable, text)
				}
			}
			if strings.Contains(text, secret) {
				b.Errorf("%s prints its secret:\n%s", service, text)
			}
		}
	})
}
