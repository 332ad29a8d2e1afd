package serviceclient_test

import (
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/serviceclient"
)

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"error":"No such user","code":"user_not_found","requestId":"r"}`))
	f.Add([]byte(`{"error":{"nested":true}}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, text := range serviceclient.ParseProblem(body) {
			if len(text) > 256 {
				t.Errorf("a text of %d bytes", len(text))
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2015 07:28:00 GMT")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, value string) {
		if wait := serviceclient.ParseRetryAfter(value, time.Unix(0, 0)); wait < 0 {
			t.Errorf("%q means %v", value, wait)
		}
	})
}
