// Package report turns measurements into lines that can be compared: each side
// beside the others, the ratio, and the target.
package report
