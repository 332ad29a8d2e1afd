package main

import (
	"io"
	"strings"
	"testing"

	"github.com/go-troika/troika/lab/bench/service/measure"
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

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-full", "-strict", "-write", "page.md"})
	if err != nil || o.plan != measure.Full || !o.Strict || o.Write != "page.md" {
		t.Errorf("got %+v, error %v", o, err)
	}
	if o, err := parse(nil); err != nil || o.plan != measure.Short {
		t.Errorf("got %+v, error %v", o, err)
	}
}
