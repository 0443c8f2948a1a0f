package packet

import (
	"strconv"
	"strings"
	"time"

	"tollbook/app/money"
	"tollbook/app/period"
)

// dollars is an amount as people read it: a minus sign of its own, groups of three.
func dollars(c money.Cents) string {
	text := c.String()
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		return "−$" + grouped(rest)
	}
	return "$" + grouped(text)
}

// amount is dollars without the sign of the currency, for columns.
func amount(c money.Cents) string {
	text := c.String()
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		return "−" + grouped(rest)
	}
	return grouped(text)
}

// signed is a difference: its sign is always said.
func signed(c money.Cents) string {
	if c > 0 {
		return "+" + amount(c)
	}
	return amount(c)
}

func grouped(text string) string {
	whole, rest, _ := strings.Cut(text, ".")
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if rest != "" {
		b.WriteString("." + rest)
	}
	return b.String()
}

func count(n int64) string {
	if n < 0 {
		return "−" + grouped(strconv.FormatInt(-n, 10))
	}
	return grouped(strconv.FormatInt(n, 10))
}

// percent is a part of a whole with one decimal, half away from zero; empty of nothing.
func percent(part, whole money.Cents) string {
	if whole == 0 {
		return ""
	}
	negative := (part < 0) != (whole < 0) && part != 0
	p, w := abs(part), abs(whole)
	if p > 1<<52 || w > 1<<52 {
		return ""
	}
	permille := (p*1000 + w/2) / w
	text := grouped(strconv.FormatInt(int64(permille/10), 10)) + "." + strconv.FormatInt(int64(permille%10), 10) + " %"
	if negative {
		return "−" + text
	}
	return text
}

func abs(c money.Cents) money.Cents {
	if c < 0 {
		return -c
	}
	return c
}

func monthName(m period.Month) string { return m.Start().Format("January 2006") }

func minute(at time.Time) string { return at.UTC().Format("2 Jan 2006 15:04") + " UTC" }

// instant is a time in UTC and, where that is another, as the company's clocks showed it.
func instant(at time.Time, zone string) string {
	text := minute(at)
	place, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "UTC" {
		return text
	}
	return text + " (" + at.In(place).Format("2 Jan 15:04") + " " + zone + ")"
}

// word is a code as people read it.
func word(code string) string {
	if code == "" {
		return ""
	}
	text := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func booksWords(s period.State) string {
	switch s {
	case period.StateOpen:
		return "open: figures may still change"
	case period.StateClosing:
		return "closing: finance is still posting"
	case period.StateLocked:
		return "locked: nothing is posted to it any more"
	case period.StateClosed:
		return "closed: nothing is posted to it any more"
	}
	return string(s)
}

// stateWords says what a packet's state means.
func stateWords(s State) string {
	if s == Final {
		return "FINAL: the month is closed and these figures stay"
	}
	return "DRAFT: the month is not closed and figures may still change"
}
