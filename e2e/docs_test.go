package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources reads all Go files of the repository below the folders that keep
// wants.
func sources(t *testing.T, keep func(path string) bool, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !keep(path) {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// TestEveryProblemIsDocumented compares the codes in the code with the page
// that the type of every problem points to.
func TestEveryProblemIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?:fault\.New\(fault\.\w+,\s*|Code\w+\s+= )"(\w+)"`)
	known := map[string]bool{"internal_error": true, "timeout": true}
	shipped := sources(t, func(path string) bool { return !isTest(path) }, "contracts", "pkg", "services")
	for _, match := range code.FindAllStringSubmatch(shipped, -1) {
		known[match[1]] = true
	}
	documented := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(page), -1) {
		documented[match[1]] = true
		if !known[match[1]] {
			t.Errorf("docs/problems.md has %s, which no code answers", match[1])
		}
	}
	for name := range known {
		if !documented[name] {
			t.Errorf("docs/problems.md lacks %s", name)
		}
	}
}

// TestEveryMetricIsDocumented compares the names in the code with the tables of
// the pages.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	var page []byte
	for _, name := range []string{"../docs/architecture.md", "../docs/events.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page = append(page, text...)
	}
	const name = `((?:http_server|http_client|circuit_breaker|registry|db_pool|` +
		`event_(?:relay|outbox|stream|consumer|handler|parked))[a-z_]*)`
	shipped := sources(t, func(path string) bool { return !isTest(path) }, "contracts", "pkg", "services")
	found := func(pattern, text string) map[string]bool {
		names := map[string]bool{}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names[match[1]] = true
		}
		return names
	}
	exposed, documented := found(`"`+name+`"`, shipped), found("`"+name+"`", string(page))
	for name := range exposed {
		if !documented[name] {
			t.Errorf("the tables lack the metric %s", name)
		}
	}
	for name := range documented {
		if !exposed[name] {
			t.Errorf("the tables have the metric %s, which no code exposes", name)
		}
	}
}

// TestDocsNameTestsThatExist holds what the pages promise to the tests.
func TestDocsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	tests := sources(t, isTest, "contracts", "pkg", "services", "tools", "e2e", "lab")
	pages := []string{"../README.md", "../CONTRIBUTING.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1) {
			if !strings.Contains(tests, "func "+name+"(") {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
}

// TestServicesDifferOnlyWhereTheyMust compares the files beside the services' code: but
// for names, ports and the variables that only one service has they are the same.
func TestServicesDifferOnlyWhereTheyMust(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`(?m)^    (BREAKER)_\w+: .*\n`)
	field := regexp.MustCompile(`(?m)^(name|port|adminPort): (\S+)$`)
	descriptions, err := filepath.Glob("../services/*/service.yaml")
	if err != nil || len(descriptions) < 2 {
		t.Fatal(descriptions, err)
	}
	for _, file := range []string{"service.yaml", "Dockerfile", "docker-compose.yml"} {
		first := ""
		for _, description := range descriptions {
			about, err := os.ReadFile(description)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(filepath.Dir(description), file))
			if err != nil {
				t.Fatal(err)
			}
			same := own.ReplaceAllString(string(text), "")
			for _, m := range field.FindAllStringSubmatch(string(about), -1) {
				snake := strings.ReplaceAll(m[2], "-", "_")
				same = strings.NewReplacer(m[2], m[1], snake, m[1], strings.ToUpper(snake), m[1]).Replace(same)
			}
			if first == "" {
				first = same
			}
			if same != first {
				t.Errorf("%s of %s is not like that of the others:\n%s", file, filepath.Base(filepath.Dir(description)), same)
			}
		}
	}
}

// TestEveryServiceIsDeployed compares the services with the whole system's compose file
// and the load balancer's configuration.
func TestEveryServiceIsDeployed(t *testing.T) {
	t.Parallel()
	descriptions, err := filepath.Glob("../services/*/service.yaml")
	if err != nil || len(descriptions) < 2 {
		t.Fatal(descriptions, err)
	}
	for _, description := range descriptions {
		about, err := os.ReadFile(description)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(description))
		port := regexp.MustCompile(`(?m)^port: (\d+)$`).FindSubmatch(about)
		if port == nil {
			t.Fatalf("%s names no port", description)
		}
		for file, wants := range map[string][]string{
			"../deploy/docker-compose.yml": {"../services/" + name + "/docker-compose.yml", "behind-load-balancer/" + name + ".yml"},
			"../deploy/load-balancer/haproxy.cfg": {
				"use_backend " + name + " if { dst_port " + string(port[1]) + " }", "bind :" + string(port[1]),
				"backend " + name, " " + name + ":" + string(port[1]), "nbsrv(" + name + ")",
			},
		} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range wants {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s lacks %q", file, want)
				}
			}
		}
	}
}
