//go:build browser

package browser_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/go-troika/troika/e2e/driver"
)

var (
	axe   = flag.String("axe", "", "axe.min.js of axe-core")
	write = flag.String("write", "", "the folder to write the pictures to; none without it")
)

type size struct {
	name          string
	width, height int64
	scale         float64 // pixels of a picture for one of the page
}

var (
	desktop = size{"desktop", 1280, 1000, 1.5}
	phone   = size{"phone", 390, 844, 2}
)

// system is a stack of local processes.
type system struct {
	*driver.Stack
	name, command, receiver string
}

func startStack(t *testing.T) *system {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := driver.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &system{name: "troika-console", command: filepath.Join(root, "bin", "stack"), receiver: receiver}
	s.Stack, err = driver.Up(t.Context(), driver.Options{
		Root: root, Command: os.Getenv("STACK_BIN"), Name: s.name,
		Env: []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + s.receiver, "OTEL_BSP_SCHEDULE_DELAY=200",
			"LOG_LEVEL=debug", "BREAKER_COOLDOWN=5s",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// console runs stack console until the test ends, and returns its address.
func (s *system) console(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(s.command, "console", "--name", s.name, "--world", "local", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Stderr = filepath.Dir(filepath.Dir(s.command)), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // 130
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("stack console:", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "console: "))
}

// tab is a page in Chromium, with what it wrote to its console and requested.
type tab struct {
	ctx context.Context
	url string
	axe string

	mu       sync.Mutex
	problems []string
}

// startChromium opens an empty page.
func startChromium(t *testing.T) *tab {
	t.Helper()
	source, err := os.ReadFile(*axe)
	if err != nil {
		t.Fatal("axe-core is missing; make test-console installs it with npm: ", err)
	}
	options := chromedp.DefaultExecAllocatorOptions[:]
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("Chromium does not start; install it (apt-get install chromium): ", err)
	}
	return &tab{ctx: ctx, axe: string(source)}
}

// open opens url and watches the page.
func (p *tab) open(t *testing.T, url string) {
	t.Helper()
	p.url = url
	origin, _, _ := strings.Cut(url, "#")
	messages, requests := chromedp.Console(p.ctx), chromedp.Events(p.ctx, network.RequestWillBeSent)
	go func() {
		for m, err := range messages {
			mistakes := []chromedp.ConsoleType{chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException}
			if err == nil && slices.Contains(mistakes, m.Type) {
				p.report("console: %s %s %s", m.Type, m.Text, m.URL)
			}
		}
	}()
	go func() {
		for r, err := range requests {
			if err == nil && !strings.HasPrefix(r.Request.URL, origin) && r.Request.URL != "about:blank" {
				p.report("request: %s", r.Request.URL)
			}
		}
	}()
	p.resize(t, desktop, "light")
	p.navigate(t, url)
	p.until(t, "the page shows the system", `document.querySelectorAll(".service").length === 3`)
}

func (p *tab) report(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// check fails for every message of the page's console and every request to another origin.
func (p *tab) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		t.Error(problem)
	}
}

func (p *tab) navigate(t *testing.T, url string) {
	t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// resize makes the page as large as a screen, in a colour scheme.
func (p *tab) resize(t *testing.T, s size, scheme string) {
	t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"}, // pictures and axe do not wait for transitions
		},
	})
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(s.scale)}
	if s == phone {
		options = append(options, chromedp.EmulateMobile)
	}
	if err == nil {
		err = chromedp.Do(p.ctx, chromedp.EmulateViewport(s.width, s.height, options...))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// until waits until a JavaScript expression is true.
func (p *tab) until(t *testing.T, what, expression string) {
	t.Helper()
	poll := chromedp.Poll[chromedp.Void]("Boolean("+expression+")", chromedp.WithPollingInterval(patience/300),
		chromedp.WithPollingTimeout(patience))
	if _, err := chromedp.Run(p.ctx, poll); err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		p.picture(t, "failed", desktop, "light")
		t.Fatalf("not within %v: %s: %v\n%s", patience, what, err, text)
	}
}

func (p *tab) do(t *testing.T, statement string) {
	t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[chromedp.Void](statement)); err != nil {
		t.Fatal(err)
	}
}

// click clicks on a button by the mouse, and waits until what it did is shown.
func (p *tab) click(t *testing.T, selector string) {
	t.Helper()
	p.do(t, `document.querySelector("#status").hidden = true`)
	if err := chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		t.Fatal(selector, err)
	}
	p.until(t, selector+" has been done", `!document.querySelector("#status").hidden`)
}

func (p *tab) truth(expression string) bool {
	ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
	return err == nil && ok
}

func (p *tab) number(expression string) float64 {
	n, _ := chromedp.Run(p.ctx, chromedp.Evaluate[float64](expression))
	return n
}

// accessible fails for each violation that axe-core finds (https://github.com/dequelabs/axe-core).
func (p *tab) accessible(t *testing.T, s size, scheme string) {
	t.Helper()
	p.resize(t, s, scheme)
	p.do(t, `document.querySelector("#status").hidden = false`)
	p.do(t, p.axe)
	found, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`axe.run().then(r => r.violations.flatMap(
		v => v.nodes.map(n => v.id + ": " + n.html + " " + n.failureSummary)))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal("axe:", err)
	}
	for _, violation := range found {
		t.Errorf("%s, %s: %s", s.name, scheme, violation)
	}
	if wide := p.number("document.documentElement.scrollWidth"); wide > float64(s.width) {
		t.Errorf("%s: the page is %.0f wide", s.name, wide)
	}
	p.do(t, `document.querySelector("#status").hidden = true`)
}
