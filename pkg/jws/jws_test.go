package jws_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/jws"
)

// RFC 8037, appendix A.3, has this key and its thumbprint.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	key, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got := jws.Thumbprint(key); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("thumbprint %s", got)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := jws.NewCache[string](2)
		cache.Add("a", "Ann", time.Now().Add(time.Minute))
		if got, ok := cache.Get("a"); got != "Ann" || !ok {
			t.Errorf("Get = %q, %v", got, ok)
		}
		if _, ok := cache.Get("b"); ok {
			t.Error("a token that was not added is there")
		}
		<-time.After(time.Minute)
		if _, ok := cache.Get("a"); ok {
			t.Error("an expired token is there")
		}
		for i := range 3 {
			cache.Add(fmt.Sprint(i), "", time.Now().Add(time.Minute))
		}
		if _, ok := cache.Get("2"); !ok {
			t.Error("the last one is not there")
		}
		if _, ok := cache.Get("0"); ok {
			t.Error("more than 2 are there")
		}
	})
}

func Example() {
	cache := jws.NewCache[string](1000)
	cache.Add("eyJhbGciOiJFZERTQSJ9.e30.c2ln", "order-service", time.Now().Add(time.Hour))
	fmt.Println(cache.Get("eyJhbGciOiJFZERTQSJ9.e30.c2ln"))
	// Output: order-service true
}
