// Package report compares measurements with their targets and writes tables of them
// into pages.
package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Side is a system that is measured.
type Side int

// The sides, in the order of their columns.
const (
	Baseline Side = iota // no guarantees
	Ours
	Tuned     // Watermill, tuned
	Default   // Watermill with its defaults
	Reference // measured earlier, not in this run
)

// String names the column.
func (s Side) String() string {
	return [...]string{"baseline", "ours", "Watermill tuned", "Watermill default", "reference"}[s]
}

var sides = []Side{Baseline, Ours, Tuned, Default, Reference}

// Values are the results of one measurement, by side.
type Values map[Side]float64

// Line is one measurement of all sides, in one unit.
type Line struct {
	Name, Unit string
	Values     Values
	Target     Target
}

// Target is a bound of our value, or of its ratio to another value.
type Target struct {
	Base    float64 // what our value is divided by; 0 compares the value itself
	Of      string  // names Base
	Bound   float64 // 0 is no target: the ratio only informs
	AtLeast bool    // the bound is a lower one
}

// To compares with another side of the same line.
func (l Line) To(s Side) Line {
	l.Target = Target{Base: l.Values[s], Of: s.String()}
	return l
}

// AtMost sets an upper bound.
func (l Line) AtMost(bound float64) Line {
	l.Target.Bound = bound
	return l
}

// AtLeast sets a lower bound.
func (l Line) AtLeast(bound float64) Line {
	l.Target.Bound, l.Target.AtLeast = bound, true
	return l
}

// measured returns what the target bounds.
func (l Line) measured() float64 {
	if l.Target.Base == 0 {
		return l.Values[Ours]
	}
	return l.Values[Ours] / l.Target.Base
}

// Missed reports whether there is a target that was not reached.
func (l Line) Missed() bool {
	switch {
	case l.Target.Bound == 0:
		return false
	case l.Target.AtLeast:
		return l.measured() < l.Target.Bound
	default:
		return l.measured() > l.Target.Bound
	}
}

// cells returns the columns of the line, with those of the sides shown.
func (l Line) cells(shown []Side) []string {
	cells := []string{l.Name + ", " + l.Unit}
	for _, s := range shown {
		if v, measured := l.Values[s]; measured {
			cells = append(cells, format(v))
		} else {
			cells = append(cells, "")
		}
	}
	return append(cells, l.ratio(), l.target(), l.verdict())
}

func (l Line) ratio() string {
	if l.Target.Base == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f × %s", l.measured(), l.Target.Of)
}

func (l Line) target() string {
	if l.Target.Bound == 0 {
		return ""
	}
	sign := "≤"
	if l.Target.AtLeast {
		sign = "≥"
	}
	bound := sign + " " + strconv.FormatFloat(l.Target.Bound, 'f', -1, 64)
	if l.Target.Base != 0 {
		return bound + " ×"
	}
	return bound + " " + l.Unit
}

func (l Line) verdict() string {
	switch {
	case l.Target.Bound == 0:
		return ""
	case l.Missed():
		return "missed"
	}
	return "held"
}

// String returns the line as it is printed while measuring.
func (l Line) String() string {
	cells := l.cells(sides)
	text := []string{fmt.Sprintf("%-58s", cells[0])}
	for i, s := range sides {
		if cells[i+1] != "" {
			text = append(text, fmt.Sprintf("%s %s", s, cells[i+1]))
		}
	}
	for _, rest := range cells[len(sides)+1:] {
		if rest != "" {
			text = append(text, rest)
		}
	}
	return strings.Join(text, "  ")
}

// format writes three digits at least and separates thousands.
func format(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
