//go:build soak

package e2e_test

import "testing"

// TestSoakKills kills a hundred times.
func TestSoakKills(t *testing.T) {
	c := newCrash(t)
	for round := range 100 {
		c.round(t, round)
	}
}
