package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// Rule returns what is wrong with one package, one line per fault.
type Rule func(Package) []string

// Check reads the module in dir, tests and nested modules apart, and fails t
// for every package that breaks a rule.
func Check(t testing.TB, dir string, rules ...Rule) {
	t.Helper()
	packages, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		for _, rule := range rules {
			for _, fault := range rule(packages[dir]) {
				t.Errorf("%s: %s", dir, fault)
			}
		}
	}
}

// Tiers lets a package import only packages of lower tiers, the lowest coming
// first. A folder stands for the packages below it, too. Every package must be
// in a tier but the one in the module's root, which is above all.
func Tiers(tiers ...[]string) Rule {
	tierOf := func(dir string) int {
		if dir == "." {
			return len(tiers)
		}
		tier, longest := -1, 0 // of the directory that says most of dir
		for i, dirs := range tiers {
			for _, d := range dirs {
				if within(dir, []string{d}) && len(d) > longest {
					tier, longest = i, len(d)
				}
			}
		}
		return tier
	}
	return func(p Package) (faults []string) {
		own := tierOf(p.Dir)
		if own < 0 {
			return []string{"has no tier"}
		}
		for _, other := range slices.Sorted(maps.Keys(p.siblings)) {
			if tier := tierOf(other); tier >= own && other != p.Dir {
				faults = append(faults, fmt.Sprintf("tier %d imports %s of tier %d", own, other, tier))
			}
		}
		return faults
	}
}

// Only lets a fact be true of the packages in dirs, or below them, and of no
// other; without dirs, of none.
func Only(fact Fact, dirs ...string) Rule {
	return func(p Package) []string {
		if p.facts[fact] && !within(p.Dir, dirs) {
			return []string{string(fact)}
		}
		return nil
	}
}

// Never keeps a fact out of the packages in dirs and below them.
func Never(fact Fact, dirs ...string) Rule {
	return func(p Package) []string {
		if p.facts[fact] && within(p.Dir, dirs) {
			return []string{string(fact)}
		}
		return nil
	}
}

func within(dir string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		return dir == d || strings.HasPrefix(dir, path.Clean(d)+"/")
	})
}
