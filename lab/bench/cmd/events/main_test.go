package main

import (
	"io"
	"strings"
	"testing"

	"github.com/go-troika/troika/lab/bench/internal/figure"
)

func TestMissingServersAreNamed(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), nil, []string{"HOME=/"}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"TEST_POSTGRES_URL", "TEST_REDIS_URL", "make bench"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:hunter2@host:x/", "postgres://u:hunter2@host/"} {
		err := run(t.Context(), nil, []string{"TEST_POSTGRES_URL=" + url, "TEST_REDIS_URL=redis://:hunter2@%zz"}, io.Discard)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-full", "-memory", "1000", "-only", "drain,move", "-strict"})
	if err != nil {
		t.Fatal(err)
	}
	if o.plan.Rounds != figure.Full.Rounds || o.plan.Memory != 1000 || len(o.plan.Only) != 2 || !o.Strict {
		t.Errorf("got %+v", o)
	}
	if _, err := parse([]string{"-only", "drain", "-write", "page.md"}); err == nil {
		t.Error("a page with only some of the figures was accepted")
	}
	if _, err := parse([]string{"-only", "speed"}); err == nil || !strings.Contains(err.Error(), "speed") {
		t.Errorf("an unknown figure: %v", err)
	}
}
