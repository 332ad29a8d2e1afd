package e2e_test

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-troika/troika/e2e/environment"
)

// metrics reads an instance's metrics from its admin port.
func (b *bundle) metrics(instance environment.Instance) string {
	b.Helper()
	a, err := b.client.Send(b.Context(), environment.User, http.MethodGet, instance.Admin+"/metrics", nil)
	b.must(err)
	return string(a.Body)
}

// lookups returns how many users were looked up at each instance of user-service.
func (b *bundle) lookups() []float64 {
	b.Helper()
	var counts []float64
	for _, instance := range b.env.Instances(environment.User) {
		total := 0.0
		lines := bufio.NewScanner(strings.NewReader(b.metrics(instance)))
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), "} ")
			if strings.HasPrefix(name, "http_server_request_duration_seconds_count{") &&
				strings.Contains(name, `http_route="/users/:id"`) {
				n, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
				b.must(err)
				total += n
			}
		}
		counts = append(counts, total)
	}
	return counts
}

// logsAreJSON checks every line that the services have written.
func (b *bundle) logsAreJSON() {
	b.Helper()
	for _, service := range environment.Services {
		text, err := b.env.Logs(b.Context(), service)
		b.must(err)
		for line := range strings.Lines(text) {
			if name, said, named := strings.Cut(line, " | "); named && !strings.Contains(name, "{") {
				line = said // behind the instance's name, which processes share a log with
			}
			if !json.Valid([]byte(line)) {
				b.Errorf("%s logged, not as JSON: %s", service, line)
			}
		}
	}
}

// randomHex returns n random bytes, as hexadecimal digits.
func randomHex(n int) string {
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails
	return hex.EncodeToString(bytes)
}
