package openapi_test

import (
	"fmt"
	"strings"

	"github.com/go-troika/troika/pkg/openapi"
)

func ExamplePage() {
	page, err := openapi.Page([]byte("openapi: 3.0.3\ninfo: {title: Words, version: '1'}\npaths:\n  /words:\n    get: {summary: List words}\n"))
	fmt.Println(strings.Contains(string(page), "List words"), err)
	// Output: true <nil>
}
