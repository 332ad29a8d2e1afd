package alerts_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// fault is a row of the table in docs/runbook.md.
type fault struct {
	name, alert string
	labels      map[string]string // some of the alert's
	panel       string            // of the dashboard
}

var faults = []fault{
	{"all instances of user-service end", "BreakerOpen",
		map[string]string{"job": "order-service", "server_address": "user-service"}, "State of breakers"},
	{"profile-service ends", "ServiceGone", map[string]string{"job": "profile-service"}, "Instances"},
	{"one instance of order-service ends", "InstanceDown", map[string]string{"job": "order-service"}, "Instances"},
	{"Redis ends", "DatabaseFails", map[string]string{"db_system_name": "redis"}, "Failed operations per second"},
	{"Postgres ends", "RequestsFail", map[string]string{"job": "user-service"}, "Share of failed requests"},
	{"a session holds a lock on the table of users", "RequestsSlow", map[string]string{"job": "user-service"}, "Duration of requests"},
	{"a session holds a lock on the event log", "EventsNotRelayed",
		map[string]string{"job": "user-service"}, "Age of the oldest event in the outbox"},
	{"the consumer of profile-service is paused", "EventsNotConsumed", map[string]string{"job": "profile-service"}, "Lag of consumers"},
	{"a producer publishes an event that cannot be decoded", "DeadEvents",
		map[string]string{"job": "profile-service"}, "Keys with parked events"},
}

// dashboard is what the tests read of Grafana's model.
type dashboard struct {
	Panels []struct {
		Type, Title, Description string
		Targets                  []struct{ Expr string }
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "deploy/observability/grafana/dashboards/troika.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRunbook compares the runbook with the rules, the dashboard and the faults.
func TestRunbook(t *testing.T) {
	t.Parallel()
	runbook, rules, d := read(t, "docs/runbook.md"), read(t, "deploy/observability/rules.yml"), readDashboard(t)
	for _, f := range faults {
		row := "| " + f.name + " | [" + f.alert + "](#" + strings.ToLower(f.alert) + ") | " + f.panel + " |\n"
		if !strings.Contains(runbook, row) || !strings.Contains(rules, "alert: "+f.alert+"\n") {
			t.Errorf("there is no rule, or docs/runbook.md lacks the row\n%s", row)
		}
		found := false
		for _, p := range d.Panels {
			found = found || p.Title == f.panel && strings.Contains(p.Description, f.alert) && len(p.Targets) > 0
		}
		if !found {
			t.Errorf("no panel %q that names %s", f.panel, f.alert)
		}
	}
	anchors := regexp.MustCompile(`docs/runbook.md#([a-z]+)`).FindAllStringSubmatch(rules, -1)
	if n := strings.Count(rules, "- alert:"); n == 0 || n != len(anchors) {
		t.Errorf("%d alerts name %d entries of the runbook", n, len(anchors))
	}
	services, err := os.ReadDir("../../services")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if !strings.Contains(rules, `absent(up{job="`+s.Name()+`"} == 1)`) {
			t.Errorf("ServiceGone does not look for %s", s.Name())
		}
	}
	for _, a := range anchors {
		if !strings.Contains(strings.ToLower(runbook), "\n### "+a[1]+"\n") {
			t.Errorf("docs/runbook.md has no entry %s", a[1])
		}
	}
}
