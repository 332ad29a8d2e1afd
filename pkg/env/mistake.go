package env

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with an environment.
type Error struct {
	// Mistakes is never empty and sorted by variable.
	Mistakes []Mistake
}

// Error returns exactly one line per mistake, without a trailing newline.
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets [errors.Is] and [errors.As] find the single mistakes.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Mistakes))
	for i, m := range e.Mistakes {
		errs[i] = m
	}
	return errs
}

// Mistake is one variable and what is wrong with it.
type Mistake struct {
	Variable string // as the user set it, e.g. "PORT"; "" when no single variable is to blame
	Problem  string // one line, for people; never the value of a [Secret]
}

// Error returns "PORT: must be at least 1", always one line.
func (m Mistake) Error() string {
	problem := strings.Join(strings.Fields(m.Problem), " ")
	if m.Variable == "" {
		return problem
	}
	return m.Variable + ": " + problem
}

// Invalid returns a [Mistake] about variable, for Validate methods. Never format
// the value of a secret into it.
func Invalid(variable, format string, args ...any) error {
	return Mistake{Variable: variable, Problem: fmt.Sprintf(format, args...)}
}

// mistakes collects what the stages of a load find. A variable that failed in an
// earlier stage is left alone by the later ones: its value is not there to judge.
type mistakes struct {
	found  []Mistake
	failed map[string]bool // variables blamed in an earlier stage
}

func (ms *mistakes) add(m Mistake) {
	if !ms.failed[m.Variable] && !slices.Contains(ms.found, m) {
		ms.found = append(ms.found, m)
	}
}

// endStage makes what was found so far final for the variables concerned.
func (ms *mistakes) endStage() {
	for _, m := range ms.found {
		if m.Variable != "" {
			ms.failed[m.Variable] = true
			ms.failed[strings.TrimSuffix(m.Variable, fileSuffix)] = true
		}
	}
}

// addError takes the mistakes out of an error tree; what is not a [Mistake] is
// reported without a variable.
func (ms *mistakes) addError(err error) {
	if m, ok := err.(Mistake); ok {
		ms.add(m)
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			ms.addError(e)
		}
		return
	}
	if m, ok := errors.AsType[Mistake](err); ok {
		ms.add(m)
		return
	}
	ms.add(Mistake{Problem: err.Error()})
}

func (ms *mistakes) err() error {
	if len(ms.found) == 0 {
		return nil
	}
	slices.SortStableFunc(ms.found, func(a, b Mistake) int { return cmp.Compare(a.Variable, b.Variable) })
	return &Error{Mistakes: ms.found}
}
