package branding

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"tollbook/app/fault"
)

// Accent is a color of text on paper as #rrggbb; empty is ink.
type Accent string

var accentForm = regexp.MustCompile(`^#[0-9a-f]{6}$`)

// MinContrast is what text needs on paper, in hundredths (WCAG 2.2, 1.4.3).
const MinContrast = 450

// ParseAccent reads an accent and refuses one that cannot be read on paper.
func ParseAccent(text string) (Accent, error) {
	a := Accent(strings.ToLower(strings.TrimSpace(text)))
	if a == "" {
		return "", nil
	}
	if !accentForm.MatchString(string(a)) {
		return "", fault.Invalid("accent", "accent_form", "An accent is a color such as #1d4ed8; %.40q is not.", text)
	}
	if c := a.Contrast(); c < MinContrast {
		return "", fault.Invalid("accent", "accent_contrast", "%s has a contrast of %s on paper, and text needs 4.5:1. Choose a darker one.", a, Ratio(c))
	}
	return a, nil
}

// Contrast is how an accent stands out from white paper, in hundredths and rounded down:
// 100 is not at all, 2100 is black.
func (a Accent) Contrast() int {
	const paper, haze = 1.0, 0.05
	return int(math.Floor(100*(paper+haze)/(a.luminance()+haze) + 1e-9))
}

// luminance is relative luminance as WCAG defines it.
func (a Accent) luminance() float64 {
	if a == "" {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(string(a), "#"), 16, 24)
	if err != nil {
		return 1
	}
	linear := func(shift uint) float64 {
		c := float64(n>>shift&0xff) / 0xff
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}

// Ratio prints a contrast.
func Ratio(hundredths int) string { return fmt.Sprintf("%d.%02d:1", hundredths/100, hundredths%100) }
