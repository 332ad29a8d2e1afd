package report

import (
	"math"
	"slices"
	"time"
)

// Median is the middle of values, or the mean of the two in the middle; 0 of
// none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Percentile is the smallest of the durations that at least share p of them do
// not exceed, in milliseconds; 0 of none. p is from 0 to 1.
func Percentile(durations []time.Duration, p float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p * float64(len(sorted))))
	return Milliseconds(sorted[max(rank, 1)-1])
}

// Milliseconds is d with a fraction.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
