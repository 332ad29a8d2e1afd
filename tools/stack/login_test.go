package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Email, Password string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/auth/login" {
			t.Errorf("got %s, %v", r.URL, err)
		}
		if in.Email != "ada@example.com" || in.Password != "three plain words" {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "Email or password is wrong"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"accessToken": "a.b.c"})
	}))
	t.Cleanup(server.Close)
	for input, want := range map[string]result{
		"three plain words\n": {out: "a.b.c\n"},
		"three plain words":   {out: "a.b.c\n"},
		"three other words\n": {err: "stack: login: 401 Unauthorized: Email or password is wrong\n", code: 1},
		"":                    {err: "stack: login: 401 Unauthorized: Email or password is wrong\n", code: 1},
	} {
		var out, errs strings.Builder
		cmd := command(t, nil, "login", "--email", "ada@example.com", "--url", server.URL)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
		_ = cmd.Run() // the exit code shows the error
		if got := (result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}); got != want {
			t.Errorf("%q: got %+v, want %+v", input, got, want)
		}
	}
}
