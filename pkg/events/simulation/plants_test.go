package simulation

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var plant = flag.Bool("plant", false, "plant all faults, not two, and print the histories until each is found")

// plants are changes of the code that the simulation must find. Each is a fault that
// an earlier edition had, or that is easily made.
var plants = []struct{ name, file, from, to string }{
	{
		"the chain is not checked", "log.go",
		`return r.Pos == p.Pos+1 && r.Prev == p.Mark`, `return r.Pos == p.Pos+1`,
	}, {
		"an idle consumer does not ask", "consumer/reader.go",
		`if r.behind || part.Head.Pos > r.at.Pos {`, `if r.behind {`,
	}, {
		"the offset is not compared", "consumer/apply.go",
		`row != a.at || row.Owner != a.c.Instance {`, `false {`,
	}, {
		"a reader works at an offset that is not its own", "consumer/apply.go",
		` || row.Owner != a.c.Instance {`, ` {`,
	}, {
		"the offset is moved before the handler", "consumer/reader.go",
		"wait, err = r.apply(context.WithoutCancel(ctx), b)", `n := len(b.events)
		if n > 0 {
			err = r.c.DB.Transact(context.WithoutCancel(ctx), func(tx Tx) error {
				_, err := tx.Take(r.at, b.events[n-1].Position, nil)
				return err
			})
			r.at.Position = b.events[n-1].Position
		}
		if err == nil {
			wait, err = r.apply(context.WithoutCancel(ctx), b)
		}`,
	}, {
		"too short a way back after a restore", "consumer/decide.go",
		`return part.Known, true`, `return events.Position{Pos: part.Known.Pos + 1, Mark: part.Known.Mark}, true`,
	}, {
		"the inbox is purged too early", "consumer/decide.go",
		`return min(part.Base.Pos-part.Len(), at.Pos)`, `return at.Pos`,
	}, {
		"an event is parked without those that follow it", "consumer/apply.go",
		`case a.waits[d.Key]:
		return`, `case false:
		return`,
	}, {
		"what the stream has dropped is not asked of the log", "consumer/reader.go",
		`r.behind = gap`, `if gap {
			return batch{start: r.at.Position}, pageRest, nil
		}`,
	}, {
		"a layout is read before the end of the one before", "consumer/decide.go",
		`if p.Layout < mine.Layout && (!p.Closed || offsets[p.Number] != p.Head) {`, `if p.Layout < mine.Layout && false {`,
	}, {
		"a failed event goes behind those that follow it", "consumer/retry.go",
		`return false, t.postpone(ctx, tx, failure)
	}`, `if err := tx.Remove(t.key.Source, t.key.Key, p.Number); err != nil {
			return false, err
		}
		return false, tx.Park(t.key, 0, "", p, env.Event)
	}`,
	}, {
		"a page that does not continue the offset is believed", "consumer/decide.go",
		`if first.Pos == at.Pos+1 {
			return differs, at`, `if first.Pos == at.Pos+1 {
			return follows, at`,
	}, {
		"the relay believes any stream", "relay/decide.go",
		`return part.HasKnown && part.Known == end.Last`, `return true`,
	}, {
		"a replay goes back to a place on another history", "admin/replay.go",
		`i < 0 || !parts[i].KnowsAll`, `i < 0`,
	},
}

// TestPlantedFaultsAreFound runs the simulation on changed copies of the code.
func TestPlantedFaultsAreFound(t *testing.T) {
	some := plants
	if !*plant {
		some = plants[:2] // each takes seconds of compiling
	}
	for _, p := range some {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			file, err := filepath.Abs(filepath.Join("..", p.file))
			if err != nil {
				t.Fatal(err)
			}
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(code), p.from) != 1 {
				t.Fatalf("%s does not have once: %s", p.file, p.from)
			}
			t.Log(found(t, file, strings.Replace(string(code), p.from, p.to, 1)))
		})
	}
}

var foundLine = regexp.MustCompile(`history \d+, seed \d+: .*`)

// found returns what the simulation says of code that has changed in file.
func found(t *testing.T, file, code string) string {
	t.Helper()
	changed := filepath.Join(t.TempDir(), filepath.Base(file))
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	for _, err := range []error{err, os.WriteFile(changed, []byte(code), 0o600), os.WriteFile(overlay, replace, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-timeout", "3h", "-overlay", overlay, "-run", "^TestSimulation$", "-histories", "1000000", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	line := foundLine.Find(out)
	if err == nil || line == nil {
		t.Fatalf("not found: %s", out)
	}
	return string(line)
}
