package chassis_test

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/env"
)

func TestRedisConfiguration(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewTLSServer(nil)
	defer issuer.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}))
	const production = "APP_ENV=production"
	for _, c := range []struct {
		environ []string
		wrong   string // the variable of the only problem
	}{
		{[]string{"REDIS_URL=redis://redis:6379"}, ""},
		{[]string{"REDIS_URL=rediss://user-service@redis:6379", "REDIS_PASSWORD=hunter2"}, ""},
		{[]string{"REDIS_URL=rediss://user-service@redis:6379", "REDIS_PASSWORD=hunter2", "REDIS_CA=" + ca, production}, ""},
		{[]string{"REDIS_URL=rediss://user-service:hunter2@redis:6379", production}, ""},
		{[]string{"REDIS_URL=redis://user-service:hunter2@a:6379?addr=b:6379&master_name=m", production}, ""},
		{[]string{"REDIS_URL=redis://user-service@redis:6379", production}, "REDIS_PASSWORD"},
		{[]string{"REDIS_URL=redis://redis:6379", production}, "REDIS_PASSWORD"},
		{[]string{"REDIS_URL=redis://:hunter2@redis:6379", "REDIS_PASSWORD=hunter2"}, "REDIS_PASSWORD"},
		{[]string{"REDIS_URL=redis://user-service:hunter2@redis:many"}, "REDIS_URL"},
		{[]string{"REDIS_URL=rediss://user-service:hunter2@redis:6379?skip_verify=true"}, "REDIS_URL"},
		{[]string{"REDIS_URL=redis://redis:6379", "REDIS_CA=" + ca}, "REDIS_CA"},
		{[]string{"REDIS_URL=rediss://:hunter2@redis:6379", "REDIS_CA=hunter2"}, "REDIS_CA"},
	} {
		_, err := env.Load[chassis.Config](append([]string{"APP_ENV=test", "SERVICE_NAME=x", "DB_USER=x", "DB_PASSWORD=x",
			"SERVICE_SECRET=a-secret-of-32-characters-or-more"}, c.environ...))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (text != "") != (c.wrong != "") || !strings.HasPrefix(text, c.wrong) || strings.Contains(text, "\n") ||
			strings.Contains(text, "hunter2") {
			t.Errorf("%q: %q", c.environ, text)
		}
	}
}
