package durability_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/environment/processes"
	"github.com/go-troika/troika/e2e/poll"
)

// erasureTime is how long after the deletion personal data may be left in the producer.
// The promise is 10 s; a busy machine gets more.
const erasureTime = 30 * time.Second

// TestDeletedUserLeavesNothing deletes users while profile-service is down, one of them
// with a dead event there, and looks for them in every row of every database, in all that
// Redis has written, and in the logs.
func TestDeletedUserLeavesNothing(t *testing.T) {
	processes.Uncached()
	ctx := t.Context()
	s, err := start(ctx, os.Getenv("STACK_BIN"), "erase-"+strings.ToLower(rand.Text()[:6]), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	e := &eraser{t, s, &api{client.New(&http.Transport{DisableKeepAlives: true}, 5*time.Second), s}, nil}

	parked := e.create()
	e.await(soonTime, func() error { return e.shows(parked) })
	e.sql(environment.Profile, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.name LIKE 'renamed%' THEN RAISE 'refused'; END IF; RETURN NEW; END $$`)
	e.sql(environment.Profile, `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION refuse()`)
	e.rename(parked)
	e.await(soonTime, func() error {
		return e.changes(environment.Profile, `UPDATE event_keys SET state = 'dead' WHERE key = $1`, parked)
	})

	e.must(s.Do(ctx, driver.Stop, environment.Profile))
	unseen := e.create()
	e.rename(unseen)
	e.mustFind(environment.User, environment.Profile) // the search finds what is there
	for _, id := range []string{parked, unseen} {
		e.call(environment.User, http.MethodDelete, "/users/"+id, nil, http.StatusNoContent)
	}
	e.await(erasureTime, func() error { return e.left(environment.User, environment.Order) })
	e.must(s.Do(ctx, driver.Start, environment.Profile))
	e.must(s.Refresh(ctx))
	e.await(erasureTime, func() error { return e.left(environment.Services...) })
	for _, id := range []string{parked, unseen} {
		e.call(environment.Profile, http.MethodGet, "/profiles/"+id, nil, http.StatusNotFound)
	}
	e.await(soonTime, func() error { // and the deletion itself was handled
		return e.changes(environment.Profile, `UPDATE profiles SET bio = '' WHERE user_id = $1 AND deleted_at IS NOT NULL`, unseen)
	})
	e.nowhereElse()
}

const soonTime = 15 * time.Second

// eraser works with a system whose users it knows by their personal data.
type eraser struct {
	*testing.T
	stack *driver.Stack
	api   *api
	texts []string // emails, names, and hashes of requests with them
}

func (e *eraser) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *eraser) await(limit time.Duration, check func() error) {
	e.Helper()
	e.must(poll.Until(e.Context(), limit, check))
}

func (e *eraser) call(service, method, path string, body any, status int, changes ...client.Change) client.Response {
	e.Helper()
	r, err := e.api.retry(e.Context(), service, method, path, body, changes...)
	if err == nil && r.Status != status {
		err = unexpected(method+" "+path, r)
	}
	e.must(err)
	return r
}

// create registers a user with an Idempotency-Key.
func (e *eraser) create() (id string) {
	e.Helper()
	body := client.NewUser()
	r := e.call(environment.User, http.MethodPost, "/users", body, http.StatusCreated, client.Header("Idempotency-Key", rand.Text()))
	user, err := client.Parse[client.User](r)
	e.must(err)
	hash := sha256.Sum256(fmt.Appendf(nil, "%q %q", user.Email, user.Name))
	e.texts = append(e.texts, user.Email, user.Name, hex.EncodeToString(hash[:]))
	return user.ID
}

func (e *eraser) rename(id string) {
	e.Helper()
	name := client.Unique("renamed")
	e.texts = append(e.texts, name)
	e.call(environment.User, http.MethodPatch, "/users/"+id, map[string]string{"name": name, "email": name + "@example.com"}, http.StatusOK)
}

func (e *eraser) shows(id string) error {
	r, err := e.api.send(e.Context(), environment.Profile, http.MethodGet, "/profiles/"+id, nil)
	if err == nil && r.Status != http.StatusOK {
		err = unexpected("profile", r)
	}
	return err
}

// connect opens the database of a service as the superuser.
func (e *eraser) connect(service string) (*pgx.Conn, error) {
	password, err := os.ReadFile(filepath.Join(e.stack.Dir, "postgres", "password"))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(e.stack.Part("postgres").URL)
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword("postgres", strings.TrimSpace(string(password)))
	u.Path = "/" + strings.ReplaceAll(service, "-", "_") + "_development"
	return pgx.Connect(e.Context(), u.String())
}

func (e *eraser) sql(service, query string) {
	e.Helper()
	conn, err := e.connect(service)
	e.must(err)
	defer conn.Close(e.Context())
	_, err = conn.Exec(e.Context(), query)
	e.must(err)
}

// changes returns an error if the statement changes no row.
func (e *eraser) changes(service, query string, args ...any) error {
	conn, err := e.connect(service)
	if err != nil {
		return err
	}
	defer conn.Close(e.Context())
	tag, err := conn.Exec(e.Context(), query, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("no row for %s", query)
	}
	return err
}

// left returns an error for each table of the services' databases that has personal data.
func (e *eraser) left(services ...string) error {
	var found []error
	for _, service := range services {
		found = append(found, e.leftIn(service))
	}
	return errors.Join(found...)
}

func (e *eraser) leftIn(service string) error {
	conn, err := e.connect(service)
	if err != nil {
		return err
	}
	defer conn.Close(e.Context())
	rows, err := conn.Query(e.Context(), `SELECT oid::regclass::text FROM pg_class
		WHERE relkind IN ('r', 'm') AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var found []error
	for _, table := range tables {
		var n int
		query := `SELECT count(*) FROM ` + table + ` r, unnest($1::text[]) w WHERE strpos(r::text, w) > 0`
		if err := conn.QueryRow(e.Context(), query, e.texts).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			found = append(found, fmt.Errorf("%s: %s has personal data %d times", service, table, n))
		}
	}
	return errors.Join(found...)
}

func (e *eraser) mustFind(services ...string) {
	e.Helper()
	for _, service := range services {
		if e.leftIn(service) == nil {
			e.Errorf("no personal data is found in %s", service)
		}
	}
}

// nowhereElse searches what Redis has ever written to its disk, and the logs.
func (e *eraser) nowhereElse() {
	e.Helper()
	var written strings.Builder
	root := filepath.Join(e.stack.Dir, "redis", "appendonlydir")
	e.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		written.Write(text)
		return err
	}))
	places := map[string]string{"redis": written.String()}
	for _, service := range environment.Services {
		text, err := e.stack.Run(context.WithoutCancel(e.Context()), "logs", service)
		e.must(err)
		places[service+"'s log"] = string(text)
	}
	if !strings.Contains(places["redis"], "user.created") {
		e.Error("what Redis has written has no event")
	}
	for place, text := range places {
		for _, personal := range e.texts {
			if strings.Contains(text, personal) {
				e.Errorf("%s has %q", place, personal)
			}
		}
	}
}
