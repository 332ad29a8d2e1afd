//go:build alerts

package alerts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
)

// speed is by how much the times of the rules are shortened.
const speed = 60

// prometheus is a running server.
type prometheus struct{ base string }

// startPrometheus scrapes all instances of a stack, twice a second, and evaluates the rules as often.
func startPrometheus(t *testing.T, s *driver.Stack) prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("install prometheus, of Debian's package of this name for example: %v", err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules.yml", faster(read(t, "deploy/observability/rules.yml")))
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}\nrule_files: [rules.yml]\nscrape_configs:\n")
	for _, service := range environment.Services {
		var targets []string
		for _, p := range s.Instances(service) {
			targets = append(targets, strconv.Quote("127.0.0.1:"+strconv.Itoa(p.AdminPort)))
		}
		fmt.Fprintf(&config, "- {job_name: %s, static_configs: [{targets: [%s]}]}\n", service, strings.Join(targets, ", "))
	}
	write("prometheus.yml", config.String())
	address, err := driver.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=error")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", out.String())
		}
	})
	p := prometheus{"http://" + address}
	err = poll.Until(t.Context(), 30*time.Second, func() error { return p.query("vector(1)") })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	duration = regexp.MustCompile(`\b(\d+)([smh])\b`)
	age      = regexp.MustCompile(`(_seconds\) >) \d+`)
)

// faster divides the durations of rules by speed, and lowers the thresholds that are ages.
func faster(rules string) string {
	rules = duration.ReplaceAllStringFunc(rules, func(d string) string {
		parsed, err := time.ParseDuration(d)
		if err != nil {
			return d
		}
		return max(parsed/speed, time.Second).Round(time.Second).String()
	})
	return age.ReplaceAllString(rules, "$1 4")
}

// get decodes the data of an answer of the HTTP API.
func (p prometheus) get(path string, data any) error {
	resp, err := http.Get(p.base + path) //nolint:noctx // ends with the server
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return json.Unmarshal(body, &struct {
		Data any `json:"data"`
	}{data})
}

// firing returns the alerts that fire, by name, each with its labels.
func (p prometheus) firing() (map[string][]map[string]string, error) {
	var data struct {
		Alerts []struct {
			State  string            `json:"state"`
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := p.get("/api/v1/alerts", &data); err != nil {
		return nil, err
	}
	firing := map[string][]map[string]string{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			firing[a.Labels["alertname"]] = append(firing[a.Labels["alertname"]], a.Labels)
		}
	}
	return firing, nil
}

// query evaluates an expression.
func (p prometheus) query(expr string) error {
	return p.get("/api/v1/query?query="+url.QueryEscape(expr), new(any))
}

// names returns the names of all metrics.
func (p prometheus) names() ([]string, error) {
	var names []string
	err := p.get("/api/v1/label/__name__/values", &names)
	return names, err
}
