// Package conditions says what else a machine did while something was measured
// on it. Figures taken beside a compiler are not those of a quiet machine.
package conditions
