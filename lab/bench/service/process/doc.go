// Package process runs what is measured as processes of their own and reads from
// /proc what they took.
package process
