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
	// Problems is never empty and sorted by variable.
	Problems []Problem
}

// Error returns exactly one line per problem, without a trailing newline.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, m := range e.Problems {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets [errors.Is] and [errors.As] find the single problems.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, m := range e.Problems {
		errs[i] = m
	}
	return errs
}

// Problem is one variable and what is wrong with it.
type Problem struct {
	Variable string // as the user set it, e.g. "PORT"; "" when no single variable is to blame
	Message  string // one line, for people; never the value of a [Secret]
}

// Error returns "PORT: must be at least 1", always one line.
func (m Problem) Error() string {
	problem := strings.Join(strings.Fields(m.Message), " ")
	if m.Variable == "" {
		return problem
	}
	return m.Variable + ": " + problem
}

// Invalid returns a [Problem] about variable, for Validate methods. Never format
// the value of a secret into it.
func Invalid(variable, format string, args ...any) error {
	return Problem{Variable: variable, Message: fmt.Sprintf(format, args...)}
}

// problems collects what the stages of a load find. A variable that failed in an
// earlier stage is left alone by the later ones: its value is not there to judge.
type problems struct {
	found  []Problem
	failed map[string]bool // variables blamed in an earlier stage
}

func (ms *problems) add(m Problem) {
	if !ms.failed[m.Variable] && !slices.Contains(ms.found, m) {
		ms.found = append(ms.found, m)
	}
}

// endStage makes what was found so far final for the variables concerned.
func (ms *problems) endStage() {
	for _, m := range ms.found {
		if m.Variable != "" {
			ms.failed[m.Variable] = true
			ms.failed[strings.TrimSuffix(m.Variable, fileSuffix)] = true
		}
	}
}

// addError takes the problems out of an error tree; what is not a [Problem] is
// reported without a variable.
func (ms *problems) addError(err error) {
	if m, ok := err.(Problem); ok {
		ms.add(m)
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			ms.addError(e)
		}
		return
	}
	if m, ok := errors.AsType[Problem](err); ok {
		ms.add(m)
		return
	}
	ms.add(Problem{Message: err.Error()})
}

func (ms *problems) err() error {
	if len(ms.found) == 0 {
		return nil
	}
	slices.SortStableFunc(ms.found, func(a, b Problem) int { return cmp.Compare(a.Variable, b.Variable) })
	return &Error{Problems: ms.found}
}
