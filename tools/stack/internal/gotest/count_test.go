package gotest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/tools/stack/internal/gotest"
)

// read feeds events, one a line as action|test|output, all of package p.
func read(t *testing.T, events string) (*gotest.Reader, string) {
	t.Helper()
	var in, out strings.Builder
	for line := range strings.Lines(events) {
		field := append(strings.SplitN(strings.TrimSpace(line), "|", 3), "", "")
		e := gotest.Event{Action: field[0], Package: "example.com/p", Test: field[1], Output: field[2], Elapsed: 1.5}
		if e.Output != "" {
			e.Output += "\n"
		}
		if e.Action == "build-output" {
			e.ImportPath, e.Package = "example.com/p [example.com/p.test]", ""
		}
		if e.Action == "fail" && e.Test == "build" {
			e.Test, e.FailedBuild = "", "example.com/p [example.com/p.test]"
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(text, '\n'))
	}
	r := &gotest.Reader{Out: &out, Trim: "example.com/"}
	if err := r.Read(strings.NewReader(in.String())); err != nil {
		t.Fatal(err)
	}
	return r, out.String()
}

func TestReaderCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, events string
		want         gotest.Count
		says         []string
	}{
		{
			"subtests count as tests do",
			"start\nrun|TestA\nrun|TestA/x\noutput|TestA/x|quiet\npass|TestA/x\npass|TestA\npass",
			gotest.Count{Passed: 2},
			[]string{"ok    p ", "1.50 s  2 passed\n"},
		},
		{
			"a skip tells its reason",
			"run|TestA\noutput|TestA|=== RUN   TestA\noutput|TestA|    a_test.go:7: not today\nskip|TestA\npass",
			gotest.Count{Skipped: 1},
			[]string{"0 passed"},
		},
		{
			"a failed test shows its whole output",
			"run|TestA\nrun|TestA/x\noutput|TestA/x|got 1\noutput|TestA/x|want 2\nfail|TestA/x\noutput|TestA|outer\nfail|TestA\nrun|TestB\noutput|TestB|fine\npass|TestB\nfail",
			gotest.Count{Passed: 1, Failed: 2},
			[]string{"--- p TestA/x\ngot 1\nwant 2\n", "--- p TestA\nouter\n", "FAIL  p "},
		},
		{
			"a build failure is a failure",
			"build-output|x|./a.go:1:1: syntax error\nbuild-fail\nstart\noutput||FAIL p [build failed]\nfail|build",
			gotest.Count{Failed: 1},
			[]string{"./a.go:1:1: syntax error\n", "1 failed"},
		},
		{
			"a test that never ends is a failure",
			"run|TestA\npass|TestA\nrun|TestB\noutput|TestB|panic: test timed out\noutput||FAIL\nfail",
			gotest.Count{Passed: 1, Failed: 1},
			[]string{"--- p TestB\npanic: test timed out\n"},
		},
		{
			"a package that dies before its tests is a failure",
			"start\noutput||panic: in TestMain\nfail",
			gotest.Count{Failed: 1},
			[]string{"panic: in TestMain\n"},
		},
		{"a package without tests counts nothing", "start\noutput||?   p [no test files]\nskip", gotest.Count{}, nil},
		{"a benchmark counts nothing", "run|BenchmarkA\nbench|BenchmarkA\npass", gotest.Count{}, nil},
		{"a cached package says so", "run|TestA\npass|TestA\noutput||ok  \texample.com/p\t(cached)\npass", gotest.Count{Passed: 1}, []string{"1 passed, cached\n"}},
		{"a paused test", "run|TestA\npause|TestA\ncont|TestA\npass|TestA\npass", gotest.Count{Passed: 1}, nil},
	} {
		r, out := read(t, test.events)
		if diff := cmp.Diff(test.want, r.Total); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		for _, want := range test.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: does not say %q:\n%s", test.name, want, out)
			}
		}
		for _, unwanted := range []string{"quiet", "fine"} {
			if strings.Contains(out, unwanted) {
				t.Errorf("%s: shows what a passed test printed:\n%s", test.name, out)
			}
		}
	}
}

func TestReaderKeepsSkips(t *testing.T) {
	t.Parallel()
	r, _ := read(t, "run|TestA\noutput|TestA|=== RUN   TestA\noutput|TestA|    a_test.go:7: not today\nskip|TestA\npass")
	if diff := cmp.Diff([]string{"p TestA: a_test.go:7: not today"}, r.Skips); diff != "" {
		t.Errorf("skips (-want +got):\n%s", diff)
	}
}

func TestReaderPassesOnWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := &gotest.Reader{Out: &out}
	if err := r.Read(strings.NewReader("go: no such module\n{\"odd\":1}\nlast")); err != nil {
		t.Fatal(err)
	}
	if want := "go: no such module\n{\"odd\":1}\nlast"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestClosingLine(t *testing.T) {
	t.Parallel()
	if got, want := (gotest.Count{Passed: 12, Skipped: 1}).String(), "12 passed, 0 failed, 1 skipped"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(`{"Action":"run","Package":"p","Test":"T"}` + "\n" + `{"Action":"fail","Package":"p"}`)
	f.Add(`{"Action":"fail","Package":"p","FailedBuild":"p"}`)
	f.Fuzz(func(t *testing.T, in string) {
		r := &gotest.Reader{Out: new(strings.Builder)}
		if err := r.Read(strings.NewReader(in)); err != nil {
			t.Fatal(err)
		}
		if r.Total.Passed < 0 || r.Total.Failed < 0 || r.Total.Skipped < 0 {
			t.Fatal(r.Total)
		}
	})
}
