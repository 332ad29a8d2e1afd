// Package figure measures the roads of package road beside each other and gives
// the figures with their targets.
//
// All figures come from one run on one machine. What is compared is measured
// turn by turn in slices of a few seconds, each with a warm-up, and a figure is
// the median over the rounds: on a machine that others use as well, the ratios
// are to be trusted, the figures themselves less.
package figure
