// Package gotest runs the tests of the workspace and counts them.
package gotest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Event is one line of go test -json, see go doc test2json.
type Event struct {
	Action      string
	Package     string
	ImportPath  string // of a build event
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// Count is how many tests ended how. Every test counts, each subtest too; a
// package that fails without a failed test (it does not build, or ends early)
// counts as one that failed.
type Count struct{ Passed, Failed, Skipped int }

// Add answers the sum.
func (c Count) Add(d Count) Count {
	return Count{c.Passed + d.Passed, c.Failed + d.Failed, c.Skipped + d.Skipped}
}

// String is the closing line, "N passed, N failed, N skipped".
func (c Count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

// Reader turns the events of go test -json into lines for people. The zero value
// with Out set is ready.
type Reader struct {
	Out    io.Writer
	Trim   string // prefix left out of package names
	Total  Count
	Skips  []string // what was skipped, and why
	builds map[string][]string
	runs   map[string]*run
}

// run is a package while its tests run.
type run struct {
	count  Count
	output map[string][]string // by test; "" is the package's own
	open   []string            // tests begun and not ended
	cached bool
}

// Read reads events until the end of in. Lines that are no event are passed on.
func (r *Reader) Read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		var e Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
			r.event(e)
		} else if line != "" {
			fmt.Fprint(r.Out, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) event(e Event) {
	if r.runs == nil {
		r.runs, r.builds = map[string]*run{}, map[string][]string{}
	}
	if e.Action == "build-output" {
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := r.runs[e.Package]
	if p == nil {
		p = &run{output: map[string][]string{}}
		r.runs[e.Package] = p
	}
	switch {
	case e.Action == "output":
		p.output[e.Test] = append(p.output[e.Test], e.Output)
		p.cached = p.cached || strings.Contains(e.Output, "\t(cached)")
	case e.Test == "":
		r.packageEvent(p, e)
	default:
		r.testEvent(p, e)
	}
}

func (r *Reader) testEvent(p *run, e Event) {
	switch e.Action {
	case "run":
		p.open = append(p.open, e.Test)
		return
	case "pass":
		p.count.Passed++
	case "skip":
		p.count.Skipped++
		r.Skips = append(r.Skips, strings.TrimPrefix(e.Package, r.Trim)+" "+e.Test+reason(p.output[e.Test]))
	case "fail":
		p.count.Failed++
		r.show(p, e.Package, e.Test)
	default:
		return
	}
	delete(p.output, e.Test)
	for i, name := range p.open {
		if name == e.Test {
			p.open = append(p.open[:i], p.open[i+1:]...)
			break
		}
	}
}

// packageEvent closes a package's account.
func (r *Reader) packageEvent(p *run, e Event) {
	name := strings.TrimPrefix(e.Package, r.Trim)
	switch e.Action {
	case "pass":
		note := ""
		if p.cached {
			note = ", cached"
		}
		fmt.Fprintf(r.Out, "ok    %-40s %7.2f s  %d passed%s\n", name, e.Elapsed, p.count.Passed, note)
	case "skip":
		// a package without tests
	case "fail":
		for _, test := range p.open {
			p.count.Failed++
			r.show(p, e.Package, test)
		}
		fmt.Fprint(r.Out, strings.Join(r.builds[e.FailedBuild], ""))
		if p.count.Failed == 0 {
			p.count.Failed = 1
			r.show(p, e.Package, "")
		}
		fmt.Fprintf(r.Out, "FAIL  %-40s %7.2f s  %v\n", name, e.Elapsed, p.count)
	default:
		return
	}
	r.Total = r.Total.Add(p.count)
	delete(r.runs, e.Package)
}

func (r *Reader) show(p *run, pkg, test string) {
	fmt.Fprintf(r.Out, "\n--- %s %s\n%s\n", strings.TrimPrefix(pkg, r.Trim), test, strings.Join(p.output[test], ""))
}

// reason is what a skipped test said, without its frame.
func reason(output []string) string {
	for _, line := range output {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return ": " + line
		}
	}
	return ""
}
