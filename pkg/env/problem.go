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
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes [errors.Is] and [errors.As] find the single problems.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// Problem is one variable and what is wrong with it.
type Problem struct {
	Variable string // as the user set it, e.g. "PORT"; "" when no single variable is to blame
	Message  string // one line, for people; never the value of a [Secret]
}

// Error returns "PORT: must be at least 1", always one line.
func (p Problem) Error() string {
	message := strings.Join(strings.Fields(p.Message), " ")
	if p.Variable == "" {
		return message
	}
	return p.Variable + ": " + message
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

func (ps *problems) add(p Problem) {
	if !ps.failed[p.Variable] && !slices.Contains(ps.found, p) {
		ps.found = append(ps.found, p)
	}
}

// endStage makes what was found so far final for the variables concerned.
func (ps *problems) endStage() {
	for _, p := range ps.found {
		if p.Variable != "" {
			ps.failed[p.Variable] = true
			ps.failed[strings.TrimSuffix(p.Variable, fileSuffix)] = true
		}
	}
}

// addError takes the problems out of joined errors; what is not a [Problem] is
// reported without a variable.
func (ps *problems) addError(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			ps.addError(e)
		}
		return
	}
	p, ok := errors.AsType[Problem](err)
	if !ok {
		p.Message = err.Error()
	}
	ps.add(p)
}

func (ps *problems) err() error {
	if len(ps.found) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.found, func(a, b Problem) int { return cmp.Compare(a.Variable, b.Variable) })
	return &Error{Problems: ps.found}
}
